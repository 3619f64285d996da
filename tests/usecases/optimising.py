"""What tests of optimising share: catalogues of made-up embeddings, and a search that finds what it is told."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from service.core.model import LabelledEmbeddings
from service.core.vectors import normalised
from service.ports import Parameter, Point
from service.records import Catalogue, Example, ExampleState, Fingerprint, Job, Selection, Split, Trial
from service.usecases.context import Context, partition_of
from service.usecases.optimise import run_optimise, start_optimise
from service.usecases.optimise_request import OptimiseRequest
from tests.core.clusters import clusters, labelled
from tests.fakes import fake_context

MEDOIDS = {"head": "none", "pull": 0.2, "per_label": 1, "cleaning": "none", "strategy": "medoids", "medoids": 1}
LOPSIDED = {"head": "lda", "shrinkage": 0.3, "strategy": "thresholds", "pull": 0.1}
LOPSIDED |= {"class_shares": {"c00": 0.5, "c01": 0.01, "c02": 0.01}}


class FixedSearch:
    """A ParameterSearch that tries one recipe and takes it; `shares` answers for the search over thresholds."""

    def __init__(self, parameters: Mapping[str, Any], shares: Mapping[str, float] | None = None) -> None:
        self.parameters = parameters
        self.shares = shares or {}
        self.calls: list[dict[str, Any]] = []

    def maximise(
        self,
        space: Mapping[str, Parameter],
        objective: Callable[[Mapping[str, Any]], float],
        *,
        on_trial: Callable[[Trial], None] = lambda _: None,
        **options: Any,
    ) -> Trial:
        self.calls.append({"space": space, **options})
        found = self.shares if "share_0" in space else self.parameters
        trial = Trial(found, objective(found))
        on_trial(trial)
        return trial


def planted(
    support: LabelledEmbeddings,
    tuning: LabelledEmbeddings | None = None,
    holdout: LabelledEmbeddings | None = None,
    **changes: Any,
) -> tuple[Context, Catalogue]:
    """A catalogue "fruit" of acme that holds these rows. Rows with the same id prefix "twin" are near-duplicates."""
    context = fake_context(**changes)
    made = context.registry.create_catalogue("acme", "fruit", "fake")
    width = support.embeddings.shape[1]
    context.registry.pin_fingerprint(made.id, Fingerprint("ab" * 32, "pixel", "Fake", {}, width))
    catalogue = context.registry.catalogue("acme", "fruit")
    context.store.open_collection(partition_of(catalogue).collection, width)
    for split, data in ((Split.SUPPORT, support), (Split.TUNING, tuning), (Split.HOLDOUT, holdout)):
        if data is not None:
            plant(context, catalogue, split, data)
    return context, catalogue


def plant(context: Context, catalogue: Catalogue, split: Split, data: LabelledEmbeddings, **values: Any) -> list[str]:
    """Rows and points of the data; the example ids, in its order. `values` replace fields of every example."""
    examples = []
    for row, name in enumerate(data.ids):
        content = hashlib.sha256(f"{split}/{name}/{row}".encode()).hexdigest()
        looks = name.split("/")[0] if name.startswith("twin") else content
        fields: dict[str, Any] = {
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, content)),  # the same order of rows in every catalogue
            "catalogue_id": catalogue.id,
            "label": data.classes[data.codes[row]],
            "split": split,
            "state": ExampleState.ACTIVE,
            "content_hash": content,
            "source": name,
            "width_px": 8,
            "height_px": 8,
            "perceptual_hash": hashlib.sha256(looks.encode()).hexdigest()[:16],
            "created_at": 0.0,
        }
        examples.append(Example(**(fields | values)))
    context.registry.example_rows |= {(catalogue.id, one.id): one for one in examples}
    points = [
        Point(one.id, embedding, {"label": one.label, "split": one.split.value, "source": one.source})
        for one, embedding in zip(examples, data.embeddings, strict=True)
    ]
    context.store.insert(partition_of(catalogue), points)
    return [one.id for one in examples]


def clear_cut(classes: int = 4, each: tuple[int, int, int] = (12, 4, 75)) -> tuple[LabelledEmbeddings, ...]:
    """Splits on whose holdout one reference a class does better than all, and surely so.

    One support picture of class 1 is labelled wrongly: it looks like six holdout pictures of class 0.
    """
    support, tuning, holdout = (
        clusters([size] * classes, noise=0.05, draw=draw, prefix=prefix)
        for draw, (size, prefix) in enumerate(zip(each, "sth", strict=True))
    )
    centre = support.embeddings[:6].mean(axis=0)
    odd = normalised(centre / np.linalg.norm(centre) + 0.6 * _away_from(support))[0]
    support.embeddings[each[0]] = odd
    holdout.embeddings[:6] = normalised(odd + 0.01 * np.random.default_rng(3).standard_normal((6, 8)))
    return support, tuning, holdout


def _away_from(data: LabelledEmbeddings) -> np.ndarray:
    """The unit direction that has least to do with the rows, one row."""
    return np.linalg.svd(data.embeddings)[2][-1:]


def lopsided() -> tuple[LabelledEmbeddings, ...]:
    """Splits on whose holdout the recipe LOPSIDED surely does worse than all references."""
    return tuple(
        clusters([size] * 3, noise=0.5, draw=draw, prefix=prefix)
        for draw, (size, prefix) in enumerate(((30, "s"), (5, "t"), (80, "h")))
    )


def one_of_each(classes: int = 4, draw: int = 0) -> LabelledEmbeddings:
    return clusters([1] * classes, noise=0.1, draw=draw)


def only(data: LabelledEmbeddings, codes: Sequence[int]) -> LabelledEmbeddings:
    """The rows of these classes."""
    return data.take(np.isin(data.codes, codes))


def renamed(data: LabelledEmbeddings, row: int, name: str) -> LabelledEmbeddings:
    return replace(data, ids=(*data.ids[:row], name, *data.ids[row + 1 :]))


def with_row(data: LabelledEmbeddings, embedding: np.ndarray, code: int, name: str) -> LabelledEmbeddings:
    """One row more."""
    more = labelled(np.vstack([data.embeddings, embedding[None]]), [*data.codes, code], classes=len(data.classes))
    return replace(more, ids=(*data.ids, name))


def optimised(context: Context, **asked: Any) -> Selection:
    """Ask for it, carry it out; the selection that serves then."""
    job = started(context, **asked)
    run_optimise(context, job.id)
    assert context.registry.job(job.id).error is None
    return serving(context)


def started(context: Context, **asked: Any) -> Job:
    return start_optimise(context, "acme", "fruit", OptimiseRequest(**({"trials": 3} | asked)))


def serving(context: Context) -> Selection:
    catalogue = context.registry.catalogue("acme", "fruit")
    assert catalogue.active_selection is not None
    return context.registry.selection(catalogue.id, catalogue.active_selection)


def members_of(context: Context, selection: Selection, *, provisional: bool = False) -> set[str]:
    members = context.registry.members(selection.id)
    return {member.example_id for member in members if member.provisional == provisional}


def split_of(context: Context, example_ids: set[str]) -> dict[str, int]:
    """How many of the examples each split has."""
    found: dict[str, int] = {}
    for (_, example_id), example in context.registry.example_rows.items():
        if example_id in example_ids:
            found[example.split.value] = found.get(example.split.value, 0) + 1
    return found
