"""What an archive of a catalogue holds: names of members, limits, and rows as JSON that nobody vouches for.

A zip of
- `examples/00000.jsonl`: a line an example, without ids: they are made anew from the catalogue that it goes to;
- `embeddings/00000.npy`: the embeddings of the same lines, float32;
- `images/HASH`: the bytes of a picture, named by their sha256, where they were asked for; several examples may show
  parts of it: what one shows is named HASH or HASH@CROP (`core.crop`);
- `selections/000/`: `selection.json`, `report.json`, `members.jsonl` (the chosen ones first), `projections.npy` (of the
  chosen ones), and where there is a head `mean.npy` and `matrix.npy`;
- `dropped.jsonl`, where pictures were dropped: a line each, with the labels under which it shall not come back;
- `prompts.jsonl`, where classes start from words: a line a class, with its embedding;
- `manifest.json`, the last: versions, encoder, counts, and size and sha256 of every member (an image's is its name).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any

from service.core.crop import CROP, Crop, hash_and_crop
from service.core.recipe import Recipe
from service.errors import InvalidInput
from service.records import Example, ExampleState, Relabelling, Selection, SelectionState, Split
from service.usecases.archive_fields import Fields, encoded, fields_of
from service.usecases.findings import FindingKind
from service.usecases.labels import label_asked_for

MANIFEST = "manifest.json"
PROMPTS = "prompts.jsonl"
DROPPED = "dropped.jsonl"
PAGE_EXAMPLES = 1000
"""Examples a part: what is held in memory at once, beside one picture."""

MAX_SELECTIONS = 999
MAX_LABELS = 10_000
MAX_METADATA = 100
MAX_RELABELLINGS = 100_000
MAX_TEXT = 10_000
MAX_EDGE_PX = 1_000_000

HASH = re.compile(r"[0-9a-f]{64}")
PICTURE = re.compile(rf"{HASH.pattern}(@{CROP.pattern})?")
_LOOKS = re.compile(r"[0-9a-f]{16}")
_IMAGE = "images/"


def examples_part(number: int) -> str:
    """Name of a part's lines."""
    return f"examples/{number:05}.jsonl"


def embeddings_part(number: int) -> str:
    """Name of the same part's embeddings."""
    return f"embeddings/{number:05}.npy"


def image_member(content_hash: str) -> str:
    """Name of a picture's bytes."""
    return f"{_IMAGE}{content_hash}"


def hash_of_image(member: str) -> str | None:
    """The content hash of a member that is a picture; None for others."""
    name = member.removeprefix(_IMAGE)
    return name if name != member and HASH.fullmatch(name) else None


def selection_member(number: int, name: str) -> str:
    """Name of a part of a selection."""
    return f"selections/{number:03}/{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedExample:
    """A line of the examples: the row (of whichever catalogue), and what belongs to it elsewhere.

    Attributes:
        example: the row; its ids mean nothing outside the catalogue that it is read from.
        centrality: as its point has it.
        kept: kinds of findings that a person accepts.
        image: are its bytes in the archive?
        relabelled: each time that it got another label, the first first; archives of before have none, or the last.
    """

    example: Example
    centrality: float | None
    kept: tuple[str, ...]
    image: bool
    relabelled: tuple[Relabelling, ...] = ()


RELABELLED = "relabelled"
_COPIED = ("label", "source", "width_px", "height_px", "perceptual_hash", "created_at")


def example_line(one: ArchivedExample) -> bytes:
    """One line, with its end."""
    row = one.example
    return (
        encoded(
            {
                "hash": row.picture,
                "split": row.split.value,
                "state": row.state.value,
                "conflict_labels": list(row.conflict_labels),
                "settled_labels": list(row.settled_labels),
                "metadata": dict(row.metadata),
                "centrality": one.centrality,
                "kept": list(one.kept),
                "image": one.image,
            }
            | {name: getattr(row, name) for name in _COPIED}
            | ({RELABELLED: [each._asdict() for each in one.relabelled]} if one.relabelled else {})
        )
        + b"\n"
    )


def read_example(line: bytes, where: str) -> ArchivedExample:
    """An example without ids. Raises InvalidInput naming what cannot be; `where` is the line."""
    found = fields_of(line, where)
    state = ExampleState(found.one_of("state", [one.value for one in ExampleState]))
    conflict = labels_in(found, "conflict_labels")
    if (state is ExampleState.CONFLICT) != bool(conflict):
        raise found.wrong("conflict_labels", "the labels of an example in conflict, and of no other")
    content_hash, crop = picture_in(found)
    example = Example(
        id="",
        catalogue_id="",
        label=_label(found, "label", found.value("label")),
        split=Split(found.one_of("split", [one.value for one in Split])),
        state=state,
        content_hash=content_hash,
        crop=crop,
        source=found.text("source", MAX_TEXT),
        width_px=found.whole("width_px", 1, MAX_EDGE_PX),
        height_px=found.whole("height_px", 1, MAX_EDGE_PX),
        perceptual_hash=found.matching("perceptual_hash", _LOOKS),
        created_at=found.number("created_at"),
        conflict_labels=conflict,
        settled_labels=labels_in(found, "settled_labels"),
        metadata=_metadata(found),
    )
    kept = tuple(found.texts("kept", len(FindingKind), 100))
    if not set(kept) <= {kind.value for kind in FindingKind}:
        raise found.wrong("kept", "kinds of findings")
    centrality = None if found.value("centrality") is None else found.number("centrality")
    return ArchivedExample(
        example=example, centrality=centrality, kept=kept, image=found.flag("image"), relabelled=_relabelled(found)
    )


def _relabelled(found: Fields) -> tuple[Relabelling, ...]:
    if RELABELLED not in found.whole_object:
        return ()
    one_alone = isinstance(found.value(RELABELLED), dict)
    several = [found.inner(RELABELLED)] if one_alone else found.inners(RELABELLED, MAX_RELABELLINGS)
    return tuple(Relabelling(_label(one, "former", one.value("former")), one.number("at")) for one in several)


def picture_in(found: Fields) -> tuple[str, str]:
    """Content hash and crop of the field "hash"."""
    content_hash, crop = hash_and_crop(found.matching("hash", PICTURE))
    try:
        Crop.parse(crop)
    except InvalidInput as error:
        raise found.wrong("hash", "a content hash, with a crop of at least a pixel where there is one,") from error
    return content_hash, crop


def labels_in(found: Fields, key: str) -> tuple[str, ...]:
    """The labels of a field, each as it was archived. Raises InvalidInput for what no catalogue has."""
    return tuple(_label(found, key, one) for one in found.texts(key, MAX_LABELS, MAX_TEXT))


def _label(found: Fields, key: str, given: object) -> str:
    """A label as `label_asked_for` leaves it: anything else would be another label than the one that was archived."""
    if not isinstance(given, str) or label_asked_for(given) != given:
        raise found.wrong(key, "a label without white space around it, in Unicode's NFC")
    return given


def _metadata(found: Fields) -> dict[str, str]:
    inner = found.inner("metadata")
    names = inner.names()
    if len(names) > MAX_METADATA:
        raise found.wrong("metadata", f"at most {MAX_METADATA} texts by name")
    return {name: inner.text(name, MAX_TEXT) for name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedSelection:
    """A selection's own record, with the shapes of its arrays.

    Attributes:
        selection: the record; its ids, slot and blob mean nothing outside the catalogue that it is read from.
        members: lines of its members.
        chosen: how many of them were chosen, the others being provisional: rows of the projections.
        width: k, columns of the projections, and of the head's matrix; 0 without chosen ones and without a head.
        head: kind of the head, None for the identity.
    """

    selection: Selection
    members: int
    chosen: int
    width: int
    head: str | None


def selection_bytes(one: ArchivedSelection) -> bytes:
    """JSON."""
    row = one.selection
    copied = ("created_at", "split_hash", "seed", "why", "measured_on")
    told: dict[str, Any] = {name: getattr(row, name) for name in copied}
    told |= {name: dict(getattr(row, name)) for name in ("recipe", "thresholds", "figures")}
    return encoded(told | {"members": one.members, "chosen": one.chosen, "width": one.width, "head": one.head})


def read_selection(data: bytes, where: str, dimension: int) -> ArchivedSelection:
    """A selection without ids. Raises InvalidInput naming what cannot be."""
    found = fields_of(data, where, finite=False)
    members = found.whole("members", 1, 10**9)
    thresholds = found.inner("thresholds")
    selection = Selection(
        id="",
        catalogue_id="",
        slot="a",
        state=SelectionState.WRITING,
        created_at=found.number("created_at"),
        fingerprint_digest="",
        recipe=_recipe(found),
        head_blob=None,
        thresholds={name: thresholds.number(name, finite=False) for name in thresholds.names()},
        split_hash=found.text("split_hash", 200),
        seed=found.whole("seed", -(2**63), 2**63 - 1),
        why=found.text("why", MAX_TEXT),
        measured_on=found.text("measured_on", 100),
        figures=found.mapping("figures"),
    )
    head = None if found.value("head") is None else found.text("head", 50)
    chosen = found.whole("chosen", 0, members)
    width = found.whole("width", 1 if chosen or head is not None else 0, dimension)
    return ArchivedSelection(selection=selection, members=members, chosen=chosen, width=width, head=head)


def _recipe(found: Fields) -> dict[str, Any]:
    """The recipe as it is, when what serves can read it."""
    given = found.mapping("recipe")
    known = {field.name for field in fields(Recipe)}
    try:
        Recipe.from_dict({name: value for name, value in given.items() if name in known}).check()
    except InvalidInput as error:
        raise InvalidInput(f"{found.where}: {error.message}", **error.details) from error
    return given
