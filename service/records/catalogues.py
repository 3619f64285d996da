"""Catalogues and their examples."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from service.core.crop import picture_name


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What makes two encoders' embeddings comparable. Where the weights came from and the precision are not part.

    Attributes:
        weights_sha256: hash of the weights, 64 hex digits.
        pooling: "class_token", "layers", "mean", "clip_projection" or "pixel"; behind it "+mirror" where a picture's
            mirror image is embedded too.
        processor: class name of the image processor.
        processor_parameters: its parameters, JSON values.
        dimension: width d of the embeddings.
    """

    weights_sha256: str
    pooling: str
    processor: str
    processor_parameters: Mapping[str, Any]
    dimension: int

    def as_dict(self) -> dict[str, Any]:
        """JSON-serialisable form; `Fingerprint(**value)` reads it back."""
        return {**asdict(self), "processor_parameters": dict(self.processor_parameters)}

    @property
    def digest(self) -> str:
        """First 16 hex digits of the sha256 of the canonical JSON form."""
        canonical = json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def collection(self) -> str:
        """Name of the vector store's collection for this encoder."""
        return f"holotype-{self.digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """A tenant's named set of classes, on one encoder. `fingerprint` is None until the first picture is encoded.

    With `without_pictures` it was imported from an archive that lacks the bytes of pictures.
    """

    id: str
    tenant: str
    name: str
    encoder: str
    fingerprint: Fingerprint | None
    active_selection: str | None
    created_at: float
    without_pictures: bool = False


class Split(StrEnum):
    """What an example is for. UNASSIGNED until the ingest job ends; HELD while in conflict."""

    SUPPORT = "support"
    TUNING = "tuning"
    HOLDOUT = "holdout"
    UNASSIGNED = "unassigned"


class ExampleState(StrEnum):
    """CONFLICT: one picture under two labels; used by nothing until somebody decides."""

    ACTIVE = "active"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One labelled, embedded image.

    `conflict_labels` are the labels it was handed over under (in conflict), `settled_labels` those that a person
    decided against. `metadata` is the user's own: short texts by name, to filter a search by. `crop` is the part of the
    picture that it shows (`core.crop`), "" for all of it; its size and perceptual hash are those of that part.
    """

    id: str
    catalogue_id: str
    label: str
    split: Split
    state: ExampleState
    content_hash: str
    source: str
    width_px: int
    height_px: int
    perceptual_hash: str
    created_at: float
    conflict_labels: tuple[str, ...] = ()
    settled_labels: tuple[str, ...] = ()
    crop: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def picture(self) -> str:
        """What it shows: the content hash, with the crop where there is one."""
        return picture_name(self.content_hash, self.crop)


class Dropped(NamedTuple):
    """A picture that a person has dropped: it is not stored again under any of these labels until it is taken back.

    `picture` is as `Example.picture`; `labels` are all under which it was ever handed over, in order.
    """

    example_id: str
    picture: str
    labels: tuple[str, ...]


class Deleted(NamedTuple):
    """An example whose row is gone, while its picture's bytes may be there still; `picture` as `Example.picture`."""

    catalogue_id: str
    example_id: str
    picture: str


class Relabelling(NamedTuple):
    """That an example got another label: the one it had before, and when that was (seconds since 1970)."""

    former: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassPrompts:
    """The words that a class starts from.

    Attributes:
        label: of the class.
        templates: as they were given; "{label}" stands for the label.
        embedding: mean of the texts' embeddings, unit length, as bytes of little-endian float32.
        made_at: seconds since 1970.
    """

    label: str
    templates: tuple[str, ...]
    embedding: bytes = field(repr=False)
    made_at: float
