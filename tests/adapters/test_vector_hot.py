"""What the copies in memory add to Edge: the contract suite runs on them as on every store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.adapters.hot_references import HotReferences
from service.adapters.vector_edge import EdgeStore
from service.adapters.vector_hot import HotEdgeStore
from service.adapters.vector_ranking import best_classes, best_of_labels
from service.core.model import Neighbour
from service.ports import Partition
from tests.contracts.vector_stores import DIMENSION, new_partition, points_of, unit_rows

FLAGGED = {"selection_a": "chosen"}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Iterator[HotEdgeStore]:
    opened = HotEdgeStore(tmp_path_factory.mktemp("store"), 2**20)
    yield opened
    opened.close()


def searched(store: EdgeStore, partition: Partition, rows: np.ndarray, per_label: int = 1) -> list[list[Neighbour]]:
    """By the filtered search, whatever is kept in memory."""
    return EdgeStore.nearest_per_label(store, partition, "projection_a", rows, FLAGGED, per_label, 2)


def asked(store: EdgeStore, partition: Partition, rows: np.ndarray, per_label: int = 1) -> list[list[Neighbour]]:
    return store.nearest_per_label(partition, "projection_a", rows, FLAGGED, per_label, 2)


def same(one: list[list[Neighbour]], other: list[list[Neighbour]]) -> bool:
    """The same classes, by the same points; Edge may list more of them."""
    return all(
        [n.example_id for n in best_classes(best_of_labels(a, 1), 2)]
        == [n.example_id for n in best_classes(best_of_labels(b, 1), 2)]
        for a, b in zip(one, other, strict=True)
    )


def test_every_change_is_answered_at_once(store: HotEdgeStore) -> None:
    partition = new_partition(store)
    points = points_of(["oak", "elm", "ash"] * 4, unit_rows(12))
    ids = [point.id for point in points]
    store.insert(partition, points)
    rows, queries = unit_rows(12), unit_rows(5, seed=1)
    changes = [
        lambda: store.flag(partition, "a", "chosen", ids[:6], rows[:6]),
        lambda: store.flag(partition, "a", "chosen", ids[6:9], rows[6:9]),  # as provisional references come
        lambda: store.flag(partition, "a", "chosen", ids[:3], rows[3:6]),  # projected anew
        lambda: store.set_payload(partition, {ids[0]: {"label": "yew"}}),
        lambda: store.unflag(partition, "a", ids[1:2]),
        lambda: store.delete(partition, ids[2:3]),
        lambda: store.delete_partition(partition),
    ]
    seen = []
    for change in changes:
        asked(store, partition, queries)
        change()
        answers = asked(store, partition, queries)
        assert same(answers, searched(store, partition, queries))
        seen.append([[n.example_id for n in answer] for answer in answers])
    assert all(seen[0]), "flagged points answer"
    assert not any(seen[-1]), "and nothing answers once they are gone"
    assert len({str(answers) for answers in seen}) > 4, "the changes change answers"


def test_a_write_during_the_making_of_a_copy_is_not_lost(store: HotEdgeStore, monkeypatch) -> None:
    partition = new_partition(store)
    points = points_of(["oak", "elm"] * 2, unit_rows(4))
    store.insert(partition, points)
    ids = [point.id for point in points]
    store.flag(partition, "a", "chosen", ids[:2], unit_rows(4)[:2])
    made = store._made

    def late(key):
        copy = made(key)
        store.flag(partition, "a", "chosen", ids[2:], unit_rows(4)[2:])
        return copy

    monkeypatch.setattr(store, "_made", late)
    asked(store, partition, unit_rows(1))
    monkeypatch.undo()
    query = unit_rows(4)[3:]
    assert asked(store, partition, query)[0][0].example_id == ids[3]


def test_memory_is_bounded_and_what_does_not_fit_is_searched(tmp_path: Path) -> None:
    store = HotEdgeStore(
        tmp_path / "vectors", 2 * HotReferences.of([("l", "i", "", np.zeros(DIMENSION))], DIMENSION).bytes
    )
    partition = new_partition(store)
    points = points_of(["oak", "elm", "ash"] * 3, unit_rows(9))
    store.insert(partition, points)
    ids, rows = [point.id for point in points], unit_rows(9)
    store.flag(partition, "a", "chosen", ids[:3], rows[:3])
    for number, name in enumerate("xyz"):
        store.flag(partition, "b", name, ids[3 + 2 * number : 5 + 2 * number], rows[3 + 2 * number : 5 + 2 * number])
    assert same(asked(store, partition, rows), searched(store, partition, rows)), "three do not fit"
    for name in "xyz":
        store.nearest_per_label(partition, "projection_b", rows, {"selection_b": name}, 1, 2)
    assert sum(copy.bytes for copy in store._kept.values() if copy) <= store._limit
    store.close()


@given(
    seed=st.integers(0, 2**16),
    per_label=st.integers(1, 3),
    labels=st.integers(1, 8),
    coarse=st.booleans(),
    skewed=st.booleans(),
    queries=st.sampled_from([1, 4]),
)
@settings(max_examples=120, deadline=None)
def test_the_best_classes_are_those_of_looking_at_everything(
    seed: int, per_label: int, labels: int, coarse: bool, skewed: bool, queries: int
) -> None:
    random = np.random.default_rng(seed)
    rows = unit_rows(30, seed=seed) if not coarse else np.eye(DIMENSION, dtype=np.float32)[random.integers(0, 3, 30)]
    names = random.choice(list("abcdefgh"), 30, p=[0.93, *[0.01] * 7] if skewed else None)
    found = [(str(name), f"{i:02d}", "", row) for i, (name, row) in enumerate(zip(names, rows, strict=True))]
    asked_rows = unit_rows(queries, seed=seed + 1)
    answers = HotReferences.of(found, DIMENSION).nearest_per_label(asked_rows, per_label, labels)
    for query, got in zip(asked_rows, answers, strict=True):
        every = sorted(
            (Neighbour(i, label, float(s), "") for (label, i, _, _), s in zip(found, rows @ query, strict=True)),
            key=lambda n: (-n.similarity, n.example_id),
        )
        expected = best_classes(best_of_labels(every, per_label), labels)
        if not coarse:
            assert [n.example_id for n in got] == [n.example_id for n in expected]
        assert [n.similarity for n in got] == pytest.approx([n.similarity for n in expected], abs=1e-6)


@given(seed=st.integers(0, 2**16), labels=st.integers(1, 9), per_label=st.integers(1, 2), skewed=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_batch_is_answered_as_its_queries_alone(seed: int, labels: int, per_label: int, skewed: bool) -> None:
    random = np.random.default_rng(seed)
    rows = np.eye(DIMENSION, dtype=np.float32)[random.integers(0, 6, 40)]
    names = random.choice(list("abcdefgh"), 40, p=[0.93, *[0.01] * 7] if skewed else None)
    copy = HotReferences.of(
        [(str(name), f"{i:02d}", f"{i}", row) for i, (name, row) in enumerate(zip(names, rows, strict=True))], DIMENSION
    )
    # Halves: products without rounding, whose order is the same in every product, with many equal ones.
    queries = np.zeros((7, DIMENSION), dtype=np.float32)
    np.put_along_axis(queries, np.argsort(random.random((7, 6)))[:, :4], random.choice([-0.5, 0.5], (7, 4)), axis=1)
    alone = [copy.nearest_per_label(query[None], per_label, labels)[0] for query in queries]
    assert copy.nearest_per_label(queries, per_label, labels) == alone
    assert all(type(found) is Neighbour and type(found.similarity) is float for one in alone for found in one)


def test_equal_references_are_told_in_one_order_whether_one_is_asked_or_many() -> None:
    row = unit_rows(1)[0]
    copy = HotReferences.of([(label, f"{label}{i}", "", row) for label in "cab" for i in range(2)], DIMENSION)
    alone = copy.nearest_per_label(row[None], 1, 3)[0]
    assert [n.example_id for n in alone] == ["a0", "b0", "c0"]
    assert copy.nearest_per_label(np.stack([row] * 3), 1, 3) == [alone] * 3
