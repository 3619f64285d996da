"""Catalogues, and what is in them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from service.client.models.base import Answer


class Conflict(Answer):
    """An example that waits for a decision: one picture under several labels."""

    id: str
    source: str
    labels: list[str]


class Changed(Answer):
    """Examples that came, or were given another label, since what serves was measured (seconds since 1970)."""

    since: float
    relabelled: int
    into: dict[str, int]
    out_of: dict[str, int]
    added: dict[str, int] = Field(default_factory=dict)
    new_classes: list[str] = Field(default_factory=list)


class Catalogue(Answer):
    """A catalogue and what it holds: active examples by split and by label."""

    name: str
    encoder: str
    examples: dict[str, int]
    labels: dict[str, int]
    conflicts: list[Conflict]
    active_selection: str | None
    references: int
    changed: Changed | None = None


class Reference(Answer):
    """What an example is in a selection. Provisional: it stands for a class that came after the optimisation."""

    centrality: float | None
    provisional: bool


class Example(Answer):
    """A labelled, embedded picture. `reference` is None where it is none of the selection that serves.

    Attributes:
        width_px, height_px: of the upright picture, or of its crop.
        content_hash: sha256 of the picture's bytes, hexadecimal.
        crop: the part of the picture that it shows, "x,y,width,height" in pixels; "" for all of it.
        created_at: seconds since 1970.
        metadata: the user's own texts by name.
        links: paths of the example, its image and its thumbnail.
    """

    id: str
    label: str
    split: str
    state: Literal["active", "conflict"]
    reference: Reference | None
    conflict_labels: list[str]
    settled_labels: list[str]
    source: str
    metadata: dict[str, str]
    width_px: int
    height_px: int
    content_hash: str
    crop: str = ""
    created_at: float
    links: dict[str, str]


class Relabelled(Example):
    """An example under its new label; `new_class` where no class had it before, `close` are known ones like it then."""

    new_class: bool
    close: list[str]


class Dropped(Answer):
    """A picture that is kept out under these labels; `content_hash` and `crop` as an `Example` has them."""

    id: str
    labels: list[str]
    content_hash: str
    crop: str


class Prompts(Answer):
    """The words that a class starts from; `made_at` in seconds since 1970."""

    label: str
    templates: list[str]
    made_at: float


class FindingExample(Answer):
    """An example that a finding is about."""

    id: str
    label: str
    split: str
    source: str


class Finding(Answer):
    """Something that may be wrong, with its evidence and the decision that is suggested; `look`: a person's alone."""

    kind: str
    labels: list[str]
    example: FindingExample | None
    others: list[FindingExample]
    numbers: dict[str, Any]
    suggested: Literal["keep", "relabel", "drop", "look"]
    why: str


class Hygiene(Answer):
    """What is left to decide. `total` counts findings of the kind asked for, `findings` are the first of them.

    Attributes:
        made_at: when the survey was made, seconds since 1970; None for an empty catalogue.
        changed: examples changed since; ask with `renew` to have them looked at.
        accepted: findings that are not listed, because somebody has kept the example.
        unreadable: ids of examples whose bytes cannot be read any more.
    """

    examples: int
    made_at: float | None
    changed: bool
    counts: dict[str, int]
    total: int
    findings: list[Finding]
    accepted: int
    unreadable: list[str]


class Decided(Answer):
    """What became of a decision: `kept` are kinds not listed again.

    `label` is None where there is no such example: it was dropped, or that was `taken_back` and the next ingest that
    brings it stores it.
    """

    example: str
    decision: Literal["keep", "relabel", "drop"]
    label: str | None
    kept: list[str]
    taken_back: bool
    new_class: bool
    close: list[str]


class Label(Answer):
    """A class: active examples by split, references of the selection that serves, examples in conflict."""

    label: str
    examples: dict[str, int]
    references: int
    conflicts: int


class Renamed(Answer):
    """What a renaming did; `merged` where a class of the new name was there before."""

    label: str
    relabelled: int
    merged: bool
    examples: int
    conflicts: int


class Deleted(Answer):
    """What the deletion of a class did."""

    label: str
    dropped: int
    conflicts: int


class Place(Answer):
    """An example on the map; x and y are -1..1."""

    id: str
    label: str
    split: str
    reference: bool
    x: float
    y: float
    thumbnail: str


class Map(Answer):
    """A catalogue in two dimensions; `total` examples, of which `places` are a fair sample."""

    places: list[Place]
    total: int
    selection: str | None
    head: str
