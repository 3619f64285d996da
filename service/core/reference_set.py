"""The references of a selection as they were published: ids, labels and projections.

They are kept whole, beside the head, so that a selection written again (rollback, repair) is the same bit for bit:
projecting the embeddings anew could differ in the last bit with the size of the batch, and the class means that the
references were pulled towards depend on examples that may have been dropped since.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from service.core.model import Float32Array
from service.errors import InvalidInput


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceSet:
    """References in a fixed order.

    Attributes:
        ids: the r example ids.
        labels: their r labels when they were published.
        projections: float32 (r, k), unit rows, pulled.
    """

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    projections: Float32Array

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.labels) == len(self.projections):
            raise InvalidInput(
                f"{len(self.ids)} ids, {len(self.labels)} labels and {len(self.projections)} projections do not match"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, ids: Iterable[str]) -> ReferenceSet:
        """Those of the given ids that are here, in the order of this set."""
        wanted = set(ids)
        rows = [row for row, example_id in enumerate(self.ids) if example_id in wanted]
        return ReferenceSet(
            tuple(self.ids[row] for row in rows), tuple(self.labels[row] for row in rows), self.projections[rows]
        )

    def to_bytes(self) -> bytes:
        """NumPy's npz format; no pickle. Names travel as JSON: NumPy's own strings lose trailing zeros."""
        buffer = io.BytesIO()
        names = json.dumps({"ids": self.ids, "labels": self.labels}).encode()
        np.savez(buffer, names=np.frombuffer(names, dtype=np.uint8), projections=self.projections)
        return buffer.getvalue()

    @staticmethod
    def from_bytes(data: bytes) -> ReferenceSet:
        """Reads `to_bytes` back. Raises InvalidInput for anything else."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                names = json.loads(arrays["names"].tobytes())
                return ReferenceSet(tuple(names["ids"]), tuple(names["labels"]), arrays["projections"])
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise InvalidInput(f"these {len(data)} bytes are not a stored reference set: {error}") from error
