"""What a verification finds: one finding a kind and catalogue, with how many and which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

TOLD = 20
"""Names that a finding lists; `count` counts all."""


class StoreFinding(StrEnum):
    """What can be wrong between rows, points and bytes."""

    POINT_MISSING = "point missing"
    POINT_WITHOUT_ROW = "point without row"
    PAYLOAD = "payload"
    EMBEDDING = "embedding"
    EMBEDDING_MISSING = "embedding missing"
    PICTURE_MISSING = "picture missing"
    PICTURE_CHANGED = "picture changed"
    SELECTION_BYTES = "selection bytes"
    FLAG_MISSING = "flag missing"
    FLAG_SURPLUS = "flag too many"
    STRAY_BYTES = "stray bytes"


MEANING: Mapping[StoreFinding, str] = {
    StoreFinding.POINT_MISSING: "examples have a row and no point, so they answer nothing",
    StoreFinding.POINT_WITHOUT_ROW: "points belong to no example",
    StoreFinding.PAYLOAD: "points tell another label, split, hash or metadata than their rows",
    StoreFinding.EMBEDDING: "points hold another embedding than the one that was stored with the picture",
    StoreFinding.EMBEDDING_MISSING: "examples have no stored embedding that can be read",
    StoreFinding.PICTURE_MISSING: "pictures have no bytes; their examples answer all the same. Ingest them again",
    StoreFinding.PICTURE_CHANGED: "pictures' bytes do not hash to their names. Ingest them again",
    StoreFinding.SELECTION_BYTES: "heads, references or reports of selections cannot be read. Optimise again",
    StoreFinding.FLAG_MISSING: "references of what serves lack their flag",
    StoreFinding.FLAG_SURPLUS: "points are flagged by a selection that they do not belong to, or that is none",
    StoreFinding.STRAY_BYTES: "keys hold bytes that nothing needs",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: what.
        tenant: whose.
        catalogue: its name; "" for bytes, which belong to the tenant.
        names: ids of examples or points, or keys of bytes, all of them.
    """

    kind: StoreFinding
    tenant: str
    catalogue: str
    names: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-serialisable form; lists the first few names."""
        return {
            "kind": self.kind.value,
            "tenant": self.tenant,
            "catalogue": self.catalogue or None,
            "count": len(self.names),
            "names": list(self.names[:TOLD]),
            "means": MEANING[self.kind],
        }


@dataclass(slots=True)
class Findings:
    """Collects names by kind, for one catalogue (or the bytes of one tenant)."""

    tenant: str
    catalogue: str
    _names: dict[StoreFinding, list[str]] = field(default_factory=dict)

    def add(self, kind: StoreFinding, names: Iterable[str]) -> None:
        """More of a kind; nothing for no names."""
        if found := list(names):
            self._names.setdefault(kind, []).extend(found)

    def of(self, kind: StoreFinding) -> Sequence[str]:
        """The names of a kind."""
        return self._names.get(kind, ())

    def all(self) -> list[Finding]:
        """In the order of `StoreFinding`."""
        return [
            Finding(kind=kind, tenant=self.tenant, catalogue=self.catalogue, names=tuple(sorted(set(found))))
            for kind in StoreFinding
            if (found := self._names.get(kind))
        ]
