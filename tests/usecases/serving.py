"""What tests of serving share: a stocked catalogue, drafts, answers, and stores that misbehave when told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from service.core.projection import Head
from service.core.pull import class_means, pulled
from service.core.recipe import Recipe
from service.records import Catalogue, ExampleState, SelectionMember, Split
from service.usecases.context import Context, partition_of
from service.usecases.publish import Draft
from service.usecases.resolver import Resolver
from tests.fakes import FAKE_DIMENSION, fake_context, fruit, ingested, write_pictures

LABELS = ("apple", "pear", "plum")
QUERIES = np.abs(np.random.default_rng(5).standard_normal((6, FAKE_DIMENSION)))
QUERIES = (QUERIES / np.linalg.norm(QUERIES, axis=1, keepdims=True)).astype(np.float32)


class Killed(BaseException):
    """The process ends here."""


class WatchedStore:
    """A VectorStore that calls `before` and `after` around every call, with the method's name and its arguments."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.before: Callable[[str, tuple[Any, ...]], None] = lambda name, arguments: None
        self.after: Callable[[str, tuple[Any, ...]], None] = lambda name, arguments: None
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.store, name)

        def call(*arguments: Any, **options: Any) -> Any:
            self.calls.append(name)
            self.before(name, arguments)
            result = method(*arguments, **options)
            self.after(name, arguments)
            return result

        return call


def stocked(
    folder: Path, *, labels: Sequence[str] = LABELS, each: int = 8, **changes: Any
) -> tuple[Context, Catalogue]:
    """A context of fakes with `each` pictures of each label ingested into acme's "fruit"."""
    context = fake_context(**changes)
    ingested(context, write_pictures(folder, fruit(each, labels)))
    return context, fruit_of(context)


def fruit_of(context: Context) -> Catalogue:
    return context.registry.catalogue("acme", "fruit")


def draft(
    context: Context, *, each: int = 2, skip: int = 0, pull: float = 0.4, seed: int = 0, per_label: int = 1
) -> Draft:
    """`each` support examples of each label, after the first `skip`, behind a random head of width 5."""
    catalogue = fruit_of(context)
    rng = np.random.default_rng(seed)
    support = [
        one for one in context.registry.examples(catalogue.id, Split.SUPPORT) if one.state is ExampleState.ACTIVE
    ]
    labels = sorted({one.label for one in support})
    matrix = rng.standard_normal((FAKE_DIMENSION, 5)).astype(np.float32)
    head = Head("within", np.full(FAKE_DIMENSION, 0.1, np.float32), matrix)
    embeddings = context.store.fetch(partition_of(catalogue), [one.id for one in support]).embeddings
    projections = head.project(embeddings)
    codes = np.array([labels.index(one.label) for one in support])
    chosen = np.concatenate([np.flatnonzero(codes == code)[skip : skip + each] for code in range(len(labels))])
    ready = pulled(projections, codes, class_means(projections, codes, len(labels)), pull)
    return Draft(
        recipe=Recipe(head="within", pull=pull, per_label=per_label, strategy="medoids").as_dict(),
        head=head,
        members=tuple(
            SelectionMember(example_id=support[row].id, label=support[row].label, centrality=0.1) for row in chosen
        ),
        projections=ready[chosen],
        thresholds={},
        split_hash="0" * 64,
        seed=seed,
        why="a test",
        measured_on="holdout",
        figures={"accuracy": 0.5, "panel": {"all": {"accuracy": 0.5}}},
        report={"versions": {"numpy": "2"}},
    )


def no_sleep(seconds: float) -> None:
    """Patience costs nothing here."""


def answers(context: Context) -> list[Any]:
    """What a fixed set of queries is answered, to the last bit, and by which selection."""
    resolved = Resolver(context).resolve(fruit_of(context), QUERIES, top=5)
    return [resolved.serving.selection, *resolved.predictions]


def flagged_ids(context: Context, slot: str, selection_id: str) -> set[str]:
    return set(context.store.ids(partition_of(fruit_of(context)), {f"selection_{slot}": selection_id}))


def member_ids(context: Context, selection_id: str) -> set[str]:
    return {member.example_id for member in context.registry.members(selection_id)}


def serves_whole(context: Context) -> bool:
    """Flags of the active selection are exactly its members."""
    active = fruit_of(context).active_selection
    slot = context.registry.selection(fruit_of(context).id, active).slot
    return flagged_ids(context, slot, active) == member_ids(context, active) != set()


def watched(context: Context) -> tuple[Context, WatchedStore]:
    """The same with a watched store."""
    store = WatchedStore(context.store)
    return replace(context, store=store), store
