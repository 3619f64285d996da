"""Label this next: the unlabelled pictures of a folder whose label would help most, in order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from service.core.labelling import for_difference, label_next
from service.core.model import Float32Array, Prediction
from service.errors import InvalidInput
from service.ports import Encoder
from service.records import Catalogue
from service.usecases.context import Context, OnProgress, partition_of
from service.usecases.files import read_file
from service.usecases.reading import encoder_of, read_pictures
from service.usecases.resolver import Resolver
from service.usecases.selections import chunked
from service.usecases.sources import find_pictures

STAGE = "looking"
LIKELY = 3
"""Labels named for each picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A picture to label, or the reason why one cannot be.

    Attributes:
        path: the file.
        rank: from 1, most helpful first; None when the picture cannot be used.
        prediction: what is answered for it now.
        why: what its label would help with, or why it cannot be used.
    """

    path: str
    rank: int | None = None
    prediction: Prediction | None = None
    why: str

    def as_dict(self) -> dict[str, Any]:
        """JSON of one line of `holotype next`."""
        if self.prediction is None:
            return {"path": self.path, "error": self.why}
        return {
            "path": self.path,
            "rank": self.rank,
            "likely": [one._asdict() for one in self.prediction.top],
            "margin": self.prediction.margin,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Candidate:
    """A picture that nobody has labelled.

    Attributes:
        path: what it is called.
        read: its bytes; raises InvalidInput when they cannot be had.
        failure: why it cannot be used; None for one to be read.
    """

    path: str
    read: Callable[[], bytes]
    failure: str | None = None


@dataclass(slots=True)
class _Looked:
    """Pictures that can be labelled, and the ones that cannot."""

    paths: list[str] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)
    embeddings: list[Float32Array] = field(default_factory=list)
    refused: list[Suggestion] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)


def suggest_next(
    context: Context, tenant: str, name: str, folder: Path, count: int, on_progress: OnProgress
) -> list[Suggestion]:
    """Up to `count` pictures of a folder, most helpful first, then those that cannot be read.

    Left out: pictures that the catalogue holds already, and a picture's further copies in the folder.

    Raises:
        CatalogueNotFound, NothingToServe, EncoderMismatch: as for `classify`.
        InvalidInput: `folder` is no folder, or `count` is below 1.
    """
    partition_of(context.registry.catalogue(tenant, name))
    return suggest_among(context, tenant, name, candidates_of(folder), count, on_progress)


def candidates_of(folder: Path) -> list[Candidate]:
    """All pictures of a folder. Raises InvalidInput when it is none."""
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is not a folder: give one that holds unlabelled pictures")
    return [Candidate(one.name, partial(read_file, one.path), one.failure) for one in find_pictures(folder)]


def suggest_among(
    context: Context,
    tenant: str,
    name: str,
    candidates: Sequence[Candidate],
    count: int,
    on_progress: OnProgress = lambda *_: None,
    resolver: Resolver | None = None,
) -> list[Suggestion]:
    """The same for pictures that are given. Raises as `suggest_next`."""
    catalogue = context.registry.catalogue(tenant, name)
    partition_of(catalogue)
    if count < 1:
        raise InvalidInput(f"count is {count}; at least one picture must be asked for", count=count)
    encoder = encoder_of(context, catalogue)
    looked = _look(context, catalogue, encoder, candidates, on_progress, resolver or Resolver(context))
    return [*_ranked(looked, count), *looked.refused]


def _look(
    context: Context,
    catalogue: Catalogue,
    encoder: Encoder,
    candidates: Sequence[Candidate],
    on_progress: OnProgress,
    resolver: Resolver,
) -> _Looked:
    looked = _Looked()
    done = 0
    on_progress(STAGE, done, len(candidates))
    for batch in chunked(candidates, context.limits.chunk_images):
        fresh = _fresh(context, catalogue, batch, looked)
        read = read_pictures(context, encoder, catalogue.tenant, [data for _, data in fresh])
        usable = [path for (path, _), row in zip(fresh, read.rows, strict=True) if not isinstance(row, str)]
        looked.refused.extend(
            Suggestion(path=path, why=row)
            for (path, _), row in zip(fresh, read.rows, strict=True)
            if isinstance(row, str)
        )
        if usable:
            looked.paths.extend(usable)
            looked.predictions.extend(resolver.resolve(catalogue, read.embeddings, LIKELY).predictions)
            looked.embeddings.append(read.embeddings)
        done += len(batch)
        on_progress(STAGE, done, len(candidates))
    return looked


def _fresh(
    context: Context, catalogue: Catalogue, candidates: Sequence[Candidate], looked: _Looked
) -> list[tuple[str, bytes]]:
    """(path, bytes) of the pictures that nobody has labelled yet."""
    read: list[tuple[str, bytes, str]] = []
    for one in candidates:
        if one.failure:
            looked.refused.append(Suggestion(path=one.path, why=one.failure))
            continue
        try:
            data = one.read()
        except InvalidInput as error:
            looked.refused.append(Suggestion(path=one.path, why=error.message))
            continue
        if (content_hash := hashlib.sha256(data).hexdigest()) not in looked.seen:
            looked.seen.add(content_hash)
            read.append((one.path, data, content_hash))
    held = context.registry.examples_by_hash(catalogue.id, [content_hash for _, _, content_hash in read])
    return [(path, data) for path, data, content_hash in read if content_hash not in held]


def _ranked(looked: _Looked, count: int) -> list[Suggestion]:
    if not looked.paths:
        return []
    margins = np.array([one.margin for one in looked.predictions], dtype=np.float64)
    picks, nearness = label_next(margins, np.concatenate(looked.embeddings), count)
    told = zip(picks.tolist(), nearness.tolist(), for_difference(margins, picks).tolist(), strict=True)
    return [
        Suggestion(
            path=looked.paths[row],
            rank=rank,
            prediction=looked.predictions[row],
            why=_why(looked.predictions[row], nearest, differs=differs),
        )
        for rank, (row, nearest, differs) in enumerate(told, start=1)
    ]


def _why(prediction: Prediction, nearest: float, *, differs: bool) -> str:
    """What it is asked for: its doubt, or that it is unlike those before it though others are more in doubt."""
    best = [f"{one.label} ({one.score:.3f})" for one in prediction.top[:2]]
    alike = f"similarity to those before it at most {nearest:.2f}"
    if len(best) == 1:
        doubt = f"nearest to {best[0]}, the only class"
    elif differs:
        return f"unlike those before it ({alike}), though others are more in doubt: {best[0]} before {best[1]}"
    else:
        doubt = f"the most in doubt of what is left: {best[0]} or {best[1]}"
    return doubt if np.isnan(nearest) else f"{doubt}; {alike}"
