"""What every vector store does, run on each: in memory, Qdrant Edge, the Qdrant client locally and over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.adapters.vector_exact import ExactStore
from service.errors import EncoderMismatch, InvalidInput, NotFound
from service.ports import Partition, Point, VectorStore
from tests.contracts.vector_stores import (
    DIMENSION,
    ON_DISK,
    STORES,
    assert_best_per_label,
    new_id,
    new_partition,
    opened,
    points_of,
    unit_rows,
)

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning")

PROPERTY = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module", params=STORES)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VectorStore]:
    with opened(request.param, tmp_path_factory.mktemp("store")) as opened_store:
        yield opened_store


@pytest.fixture(scope="module")
def collection(store: VectorStore) -> str:
    """One for all tests, which meet in it as catalogues do; making one takes Edge a second on a busy disk."""
    return new_partition(store).collection


@pytest.fixture(scope="module")
def small_collection(store: VectorStore) -> str:
    """One that stays nearly empty: local mode looks at every point of the collection for each question."""
    return new_partition(store).collection


@pytest.fixture
def partition(collection: str) -> Partition:
    return Partition(collection, "tenant", new_id())


@pytest.fixture
def filled(store: VectorStore, partition: Partition) -> list[Point]:
    """Twelve points of three classes."""
    points = points_of([f"class {i % 3}" for i in range(12)], unit_rows(12))
    store.insert(partition, points)
    return points


def other_catalogue(partition: Partition) -> Partition:
    return replace(partition, catalogue=new_id())


def embeddings_of(points: list[Point]) -> np.ndarray:
    return np.stack([point.embedding for point in points])


# ---------------------------------------------------------------------------------------------------------- collections


def test_a_collection_opens_again_with_its_width_and_refuses_another(store, partition, filled):
    store.open_collection(partition.collection, DIMENSION)
    with pytest.raises(EncoderMismatch, match=f"{DIMENSION} wide.*{DIMENSION + 1} wide"):
        store.open_collection(partition.collection, DIMENSION + 1)
    assert len(store.ids(partition, {})) == 12


def test_what_was_never_opened_is_not_found_and_is_deleted_without_complaint(store):
    nowhere = Partition("holotype-test-nowhere", "tenant", new_id())
    with pytest.raises(NotFound, match="holotype-test-nowhere"):
        store.ids(nowhere, {})
    with pytest.raises(NotFound, match="holotype-test-nowhere"):
        store.insert(nowhere, points_of(["a"], unit_rows(1)))
    store.delete_partition(nowhere)


# -------------------------------------------------------------------------------------------------------------- writing


def test_inserted_points_come_back_with_owner_payload_and_embedding(store, partition, filled):
    stored = store.fetch(partition, [filled[4].id])
    assert stored.ids == (filled[4].id,)
    assert stored.payloads == ({**filled[4].payload, "tenant": "tenant", "catalogue": partition.catalogue},)
    assert stored.embeddings is not None
    assert stored.embeddings.dtype == np.float32
    np.testing.assert_allclose(stored.embeddings, [filled[4].embedding], atol=1e-6)


def test_inserting_again_keeps_payload_flags_and_vectors(store, partition, filled):
    point = filled[0]
    store.flag(partition, "a", "selection-1", [point.id], unit_rows(1, 3, seed=1))
    store.set_payload(partition, {point.id: {"centrality": 0.25, "split": "holdout"}})
    again = Point(point.id, unit_rows(1, seed=9)[0], {**point.payload, "split": "tuning", "source": "elsewhere.png"})
    fresh = points_of(["class 9"], unit_rows(1, seed=8))[0]
    store.insert(partition, [again, fresh])
    stored = store.fetch(partition, [point.id])
    assert stored.payloads[0]["selection_a"] == "selection-1"
    assert stored.payloads[0]["split"] == "holdout"
    assert stored.payloads[0]["centrality"] == 0.25
    assert stored.payloads[0]["source"] == point.payload["source"]
    np.testing.assert_allclose(stored.embeddings, [point.embedding], atol=1e-6)
    query = unit_rows(1, 3, seed=1)
    (hits,) = store.nearest(partition, "projection_a", query, {"selection_a": "selection-1"}, 5)
    assert [(n.example_id, round(n.similarity, 5)) for n in hits] == [(point.id, 1.0)]
    assert fresh.id in store.ids(partition, {"label": "class 9"})


def test_of_one_id_twice_in_a_batch_the_first_counts(store, partition):
    first, second = points_of(["first", "second"], unit_rows(2))
    store.insert(partition, [first, replace(second, id=first.id)])
    assert store.fetch(partition, [first.id]).payloads[0]["label"] == "first"


def test_payloads_are_merged_each_into_its_own_point(store, partition, filled):
    ids = [point.id for point in filled]
    store.set_payload(
        partition, {ids[0]: {"split": "tuning"}, ids[1]: {"split": "tuning", "centrality": 0.5}, ids[2]: {}}
    )
    payloads = store.fetch(partition, ids[:4]).payloads
    assert [p["split"] for p in payloads] == ["tuning", "tuning", "support", "support"]
    assert payloads[1]["centrality"] == 0.5
    assert "centrality" not in payloads[0]
    assert [p["label"] for p in payloads] == [point.payload["label"] for point in filled[:4]]
    assert store.ids(partition, {"split": "tuning"}) == sorted(ids[:2])


def test_more_points_than_one_call_carries(store, partition):
    n = 1203
    points = points_of([f"class {i % 5}" for i in range(n)], unit_rows(n))
    ids = [point.id for point in points]
    store.insert(partition, points)
    assert store.ids(partition, {}) == sorted(ids)
    store.flag(partition, "b", "selection-2", ids, embeddings_of(points)[:, :])
    store.set_payload(partition, {example_id: {"centrality": i / n} for i, example_id in enumerate(ids)})
    stored = store.fetch(partition, ids)
    assert stored.ids == tuple(ids)
    assert [p["centrality"] for p in stored.payloads] == pytest.approx([i / n for i in range(n)], rel=1e-14)
    assert store.ids(partition, {"selection_b": "selection-2"}) == sorted(ids)
    store.unflag(partition, "b", ids[:600])
    assert store.ids(partition, {"selection_b": "selection-2"}) == sorted(ids[600:])
    store.delete(partition, ids[1:])
    assert store.ids(partition, {}) == ids[:1]


def test_writing_nothing_is_fine(store, partition):
    store.insert(partition, [])
    store.set_payload(partition, {})
    store.flag(partition, "a", "selection", [], np.zeros((0, 2), np.float32))
    store.unflag(partition, "a", [])
    store.delete(partition, [])
    store.delete_partition(partition)
    assert store.ids(partition, {}) == []


# ------------------------------------------------------------------------------------------------------------- flagging


def test_slots_are_written_apart_and_the_last_selection_of_a_slot_counts(store, partition, filled):
    ids = [point.id for point in filled]
    store.flag(partition, "a", "old", ids[:4], unit_rows(4, 3))
    store.flag(partition, "b", "other", ids[2:6], unit_rows(4, 2, seed=1))
    store.flag(partition, "a", "new", ids[3:5], unit_rows(2, 3, seed=2))
    assert store.ids(partition, {"selection_a": "old"}) == sorted(ids[:3])
    assert store.ids(partition, {"selection_a": "new"}) == sorted(ids[3:5])
    assert store.ids(partition, {"selection_b": "other"}) == sorted(ids[2:6])
    query = unit_rows(2, 3, seed=2)
    hits = store.nearest(partition, "projection_a", query, {"selection_a": "new"}, 9)
    assert [found[0].example_id for found in hits] == [ids[3], ids[4]]
    assert [len(found) for found in hits] == [2, 2]
    np.testing.assert_allclose([found[1].similarity for found in hits], [query[0] @ query[1]] * 2, atol=1e-6)


def test_unflagging_removes_one_slot_and_what_was_flagged_twice_needs_no_care(store, partition, filled):
    ids = [point.id for point in filled[:2]]
    for _ in range(2):
        store.flag(partition, "a", "one", ids, unit_rows(2))
        store.flag(partition, "b", "two", ids, unit_rows(2))
    store.unflag(partition, "a", ids[:1])
    store.unflag(partition, "a", ids[:1])
    assert store.ids(partition, {"selection_a": "one"}) == ids[1:]
    assert store.ids(partition, {"selection_b": "two"}) == sorted(ids)
    assert "selection_a" not in store.fetch(partition, ids[:1]).payloads[0]


# -------------------------------------------------------------------------------------------------------------- reading


def test_fetch_keeps_the_order_asked_and_leaves_out_what_is_not_there(store, partition, filled):
    ids = [filled[i].id for i in (7, 2, 9)]
    stored = store.fetch(partition, [ids[0], new_id(), "not an id", *ids[1:]])
    assert stored.ids == tuple(ids)
    np.testing.assert_allclose(stored.embeddings, embeddings_of([filled[i] for i in (7, 2, 9)]), atol=1e-6)
    bare = store.fetch(partition, ids, with_embeddings=False)
    assert bare.embeddings is None
    assert bare.payloads == stored.payloads
    nothing = store.fetch(partition, [])
    assert nothing.ids == ()
    assert nothing.embeddings is not None
    assert nothing.embeddings.shape == (0, DIMENSION)


def test_ids_are_sorted_and_conditions_must_all_hold(store, partition, filled):
    store.set_payload(partition, {point.id: {"split": "tuning"} for point in filled[::2]})
    expected = [p.id for i, p in enumerate(filled) if i % 2 == 0 and i % 3 == 0]
    assert store.ids(partition, {"split": "tuning", "label": "class 0"}) == sorted(expected)
    assert store.ids(partition, {"label": "class"}) == []


def test_nearest_is_what_numpy_says(store, partition):
    rows = unit_rows(90, seed=3)
    points = points_of([f"class {i % 7}" for i in range(90)], rows)
    for i, point in enumerate(points):
        point.payload["split"] = "support" if i % 3 else "holdout"
    store.insert(partition, points)
    queries = unit_rows(5, seed=4)
    kept = [i for i in range(90) if i % 3]
    similarities = queries @ rows[kept].T
    answers = store.nearest(partition, "embedding", queries, {"split": "support"}, 11)
    for line, answer in zip(similarities, answers, strict=True):
        order = np.argsort(-line)[:11]
        assert [n.example_id for n in answer] == [points[kept[i]].id for i in order]
        assert [n.label for n in answer] == [points[kept[i]].payload["label"] for i in order]
        assert [n.source for n in answer] == [points[kept[i]].payload["source"] for i in order]
        np.testing.assert_allclose([n.similarity for n in answer], line[order], atol=1e-6)


def test_nearest_takes_narrow_queries_of_projections_and_finds_flagged_points_only(store, partition, filled):
    projections = unit_rows(3, 2, seed=5)
    store.flag(partition, "b", "chosen", [p.id for p in filled[:3]], projections)
    query = np.array([[0.6, -0.8]], dtype=np.float32)
    (answer,) = store.nearest(partition, "projection_b", query, {}, 50)
    order = np.argsort(-(projections @ query[0]))
    assert [n.example_id for n in answer] == [filled[i].id for i in order]
    assert store.nearest(partition, "projection_a", query, {}, 50) == [[]]


def test_similarity_stays_within_its_range(store, partition):
    rows = unit_rows(20, seed=6)
    store.insert(partition, points_of(["same"] * 20, rows))
    store.insert(partition, points_of(["opposite"] * 20, -rows))
    for answer in store.nearest(partition, "embedding", rows, {}, 40):
        assert max(n.similarity for n in answer) <= 1.0
        assert min(n.similarity for n in answer) >= -1.0


def test_no_query_no_answer_and_no_point_an_empty_one(store, partition):
    assert store.nearest(partition, "embedding", np.zeros((0, DIMENSION), np.float32), {}, 3) == []
    assert store.nearest(partition, "embedding", unit_rows(2), {}, 3) == [[], []]
    assert store.nearest_per_label(partition, "embedding", unit_rows(2), {"split": "support"}, 2, 3) == [[], []]


@PROPERTY
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    per_label=st.integers(1, 3),
    labels=st.integers(1, 12),
    seed=st.integers(0, 2**16),
)
def test_nearest_per_label_is_exact(store, small_collection, sizes, per_label, labels, seed):
    rng = np.random.default_rng(seed)
    names = [f"class {label}" for label, size in enumerate(sizes) for _ in range(size)]
    centres = unit_rows(len(sizes), 4, seed=seed)
    rows = np.repeat(centres, sizes, axis=0) + rng.normal(0, 0.4, (len(names), 4))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    embeddings = np.pad(rows, ((0, 0), (0, DIMENSION - 4)))
    here = Partition(small_collection, "tenant", new_id())
    points = points_of(names, embeddings)
    store.insert(here, points)
    store.flag(here, "a", "selection", [p.id for p in points], rows)
    queries = unit_rows(3, 4, seed=seed + 1)
    answers = store.nearest_per_label(here, "projection_a", queries, {"selection_a": "selection"}, per_label, labels)
    for query, answer in zip(queries, answers, strict=True):
        assert_best_per_label(answer, names, rows @ query, per_label, labels)
    store.delete_partition(here)


# ------------------------------------------------------------------------------------------------------------- metadata


@pytest.fixture
def described(store: VectorStore, partition: Partition) -> list[Point]:
    """Eight points: lots 0 to 3, of two sites; the last has no metadata."""
    points = points_of(["one", "two"] * 4, unit_rows(8, seed=21))
    for i, point in enumerate(points[:-1]):
        point.payload["metadata"] = {"lot": str(i % 4), "site-2_b": f"a=b {i % 2} é"}
    store.insert(partition, points)
    return points


def test_nearest_keeps_to_what_the_metadata_says(store, partition, described):
    query = unit_rows(1, seed=22)
    similarities = (embeddings_of(described) @ query[0]).tolist()

    def found(**where: str) -> list[str]:
        conditions = {key.replace("__", "."): value for key, value in where.items()}
        (answer,) = store.nearest(partition, "embedding", query, conditions, 50)
        return [one.example_id for one in answer]

    def expected(*rows: int) -> list[str]:
        return [described[i].id for i in sorted(rows, key=lambda i: -similarities[i])]

    assert found(metadata__lot="1") == expected(1, 5)
    assert found(metadata__lot="3") == expected(3)
    assert found(metadata__lot="1", label="one") == []
    assert found(metadata__lot="2", label="one") == expected(2, 6)
    assert found(metadata__lot="") == found(metadata__other="1") == []
    conditions = {"metadata.site-2_b": "a=b 0 é", "metadata.lot": "0"}
    (answer,) = store.nearest(partition, "embedding", query, conditions, 50)
    assert [one.example_id for one in answer] == expected(0, 4)
    assert store.ids(partition, {"metadata.site-2_b": "a=b 1 é"}) == sorted(described[i].id for i in (1, 3, 5))
    assert store.nearest(other_catalogue(partition), "embedding", query, {"metadata.lot": "1"}, 9) == [[]]


def test_metadata_comes_back_as_it_was_and_a_new_one_replaces_it_whole(store, partition, described):
    ids = [point.id for point in described]
    stored = store.fetch(partition, ids)
    expected = [{**point.payload, "tenant": "tenant", "catalogue": partition.catalogue} for point in described]
    assert list(stored.payloads) == expected
    store.set_payload(partition, {ids[0]: {"metadata": {"lot": "9"}}, ids[1]: {"metadata": {}}})
    assert [p["metadata"] for p in store.fetch(partition, ids[:2]).payloads] == [{"lot": "9"}, {}]
    assert store.ids(partition, {"metadata.lot": "9"}) == ids[:1]
    assert store.ids(partition, {"metadata.lot": "0"}) == [ids[4]]
    assert store.ids(partition, {"metadata.lot": "1"}) == [ids[5]]
    store.set_payload(partition, {ids[4]: {"split": "tuning"}})
    assert store.ids(partition, {"metadata.lot": "0"}) == [ids[4]]


@pytest.mark.parametrize("key", ["", "a b", "a.b", "a=b", "é", "x" * 51, 'a"'])
def test_metadata_keys_are_checked(store, partition, described, key):
    with pytest.raises(InvalidInput, match="metadata key"):
        store.nearest(partition, "embedding", unit_rows(1), {f"metadata.{key}": "1"}, 3)
    with pytest.raises(InvalidInput, match="metadata key"):
        store.set_payload(partition, {described[0].id: {"metadata": {key: "1"}}})


@pytest.mark.parametrize("metadata", [None, "lot", ["lot"], {"lot": 1}, {"lot": None}, {1: "lot"}])
def test_metadata_that_maps_no_names_to_texts_is_refused(store, partition, metadata):
    with pytest.raises(InvalidInput, match="metadata"):
        store.insert(partition, [Point(new_id(), unit_rows(1)[0], {"label": "a", "metadata": metadata})])
    with pytest.raises(InvalidInput, match="metadata_terms"):
        store.insert(partition, [Point(new_id(), unit_rows(1)[0], {"label": "a", "metadata_terms": ["lot=1"]})])
    assert store.ids(partition, {}) == []


# ------------------------------------------------------------------------------------------------------------- refusing


@pytest.mark.parametrize(
    "row",
    [
        np.full(DIMENSION, np.nan, np.float32),
        np.full(DIMENSION, np.inf, np.float32),
        np.zeros(DIMENSION, np.float32),
        unit_rows(1)[0] * np.float32(1.01),
        unit_rows(1, DIMENSION + 1)[0],
        unit_rows(1, DIMENSION - 1)[0],
    ],
    ids=["nan", "inf", "zero", "long", "wide", "narrow"],
)
def test_embeddings_and_queries_that_are_not_usable_are_refused_and_nothing_is_written(store, partition, filled, row):
    good = points_of(["good"], unit_rows(1))[0]
    with pytest.raises(InvalidInput):
        store.insert(partition, [good, Point(new_id(), row, {"label": "bad"})])
    assert len(store.ids(partition, {})) == 12
    with pytest.raises(InvalidInput):
        store.nearest(partition, "embedding", row[None], {}, 1)
    with pytest.raises(InvalidInput):
        store.nearest_per_label(partition, "embedding", row[None], {}, 1, 1)


@pytest.mark.parametrize(
    "row", [np.full(3, np.nan), np.zeros(3), unit_rows(1, DIMENSION + 1)[0]], ids=["nan", "zero", "wide"]
)
def test_projections_that_are_not_usable_are_refused_and_nothing_is_flagged(store, partition, filled, row):
    ids = [point.id for point in filled[:2]]
    rows = np.stack([np.eye(len(row), dtype=np.float32)[0], row.astype(np.float32)])
    with pytest.raises(InvalidInput):
        store.flag(partition, "a", "selection", ids, rows)
    with pytest.raises(InvalidInput, match="2 ids do not go with 1 projections"):
        store.flag(partition, "a", "selection", ids, rows[:1])
    assert store.ids(partition, {"selection_a": "selection"}) == []


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"split": "support"}, "no label"),
        ({"label": True}, "label .* must be text"),
        ({"label": "a", "split": 1}, "split .* must be text"),
        ({"label": "a", "tenant": "other"}, "tenant"),
        ({"label": "a", "selection_a": "mine"}, "selection_a"),
        ({"label": "a", "centrality": float("nan")}, "JSON"),
        ({"label": "a", "centrality": np.float32(1)}, "JSON"),
    ],
)
def test_payloads_that_cannot_be_kept_are_refused(store, partition, payload, said):
    with pytest.raises(InvalidInput, match=said):
        store.insert(partition, [Point(new_id(), unit_rows(1)[0], payload)])
    assert store.ids(partition, {}) == []


def test_owners_cannot_be_changed_by_a_payload_or_a_condition(store, partition, filled):
    for key in ("tenant", "catalogue", "selection_b"):
        with pytest.raises(InvalidInput, match=key):
            store.set_payload(partition, {filled[0].id: {key: "other"}})
    for key in ("tenant", "catalogue", "source"):
        with pytest.raises(InvalidInput, match=key):
            store.ids(partition, {key: "other"})


def test_ids_slots_vectors_and_limits_are_checked(store, partition, filled):
    with pytest.raises(InvalidInput, match="not a UUID"):
        store.insert(partition, [Point("17", unit_rows(1)[0], {"label": "a"})])
    with pytest.raises(InvalidInput, match="slot 'c'"):
        store.flag(partition, "c", "selection", [filled[0].id], unit_rows(1))
    with pytest.raises(InvalidInput, match="projection_c"):
        store.nearest(partition, "projection_c", unit_rows(1), {}, 1)
    with pytest.raises(InvalidInput, match="limit is 0"):
        store.nearest(partition, "embedding", unit_rows(1), {}, 0)
    with pytest.raises(InvalidInput, match="per_label is 0"):
        store.nearest_per_label(partition, "embedding", unit_rows(1), {}, 0, 1)
    with pytest.raises(InvalidInput, match="labels is 0"):
        store.nearest_per_label(partition, "embedding", unit_rows(1), {}, 1, 0)


# ------------------------------------------------------------------------------------------------------------- deleting


def test_deleted_points_are_gone_and_may_come_back_without_their_flags(store, partition, filled):
    point = filled[0]
    store.flag(partition, "a", "selection", [point.id], unit_rows(1))
    store.delete(partition, [point.id, new_id()])
    assert point.id not in store.ids(partition, {})
    assert store.fetch(partition, [point.id]).ids == ()
    store.insert(partition, [point])
    assert "selection_a" not in store.fetch(partition, [point.id]).payloads[0]
    assert store.nearest(partition, "projection_a", unit_rows(1), {}, 3) == [[]]


def test_deleting_a_partition_leaves_its_neighbours(store, partition, filled):
    neighbours = [other_catalogue(partition), replace(partition, tenant="somebody else")]
    for neighbour in neighbours:
        store.insert(neighbour, points_of(["theirs"], unit_rows(1)))
    store.delete_partition(partition)
    store.delete_partition(partition)
    assert store.ids(partition, {}) == []
    assert [len(store.ids(neighbour, {})) for neighbour in neighbours] == [1, 1]


# ------------------------------------------------------------------------------------------------------- tenants apart

OPERATIONS = st.tuples(
    st.sampled_from(["insert", "insert", "set_payload", "flag", "flag", "unflag", "delete", "delete_partition"]),
    st.integers(0, 3),
    st.lists(st.integers(0, 6), min_size=1, max_size=4, unique=True),
    st.integers(0, 50),
)


def apply(store: VectorStore, partition: Partition, verb: str, ids: list[str], number: int) -> None:
    slot = "a" if number % 2 else "b"
    if verb == "insert":
        rows = unit_rows(len(ids), seed=number)
        payloads = [{"label": f"class {(number + i) % 3}", "split": "support"} for i in range(len(ids))]
        store.insert(partition, [Point(*point) for point in zip(ids, rows, payloads, strict=True)])
    elif verb == "set_payload":
        store.set_payload(partition, {i: {"centrality": number / 7, "split": f"split {number % 2}"} for i in ids})
    elif verb == "flag":
        store.flag(partition, slot, f"selection {number % 3}", ids, unit_rows(len(ids), 3, seed=number))
    elif verb == "unflag":
        store.unflag(partition, slot, ids)
    elif verb == "delete":
        store.delete(partition, ids)
    else:
        store.delete_partition(partition)


def everything(store: VectorStore, partition: Partition, ids: list[str]) -> dict[str, Any]:
    """All that can be read of a partition, floats rounded to what all engines agree on."""
    stored = store.fetch(partition, ids)
    view: dict[str, Any] = {"fetch": dict(zip(stored.ids, stored.payloads, strict=True))}
    assert stored.embeddings is not None
    view["embeddings"] = np.round(stored.embeddings, 4).tolist()
    for where in ({}, {"split": "support"}, {"selection_a": "selection 1"}, {"selection_b": "selection 0"}):
        view[f"ids {where}"] = store.ids(partition, where)
    for using, width in (("embedding", DIMENSION), ("projection_a", 3), ("projection_b", 3)):
        queries = unit_rows(2, width, seed=77)
        answers = store.nearest(partition, using, queries, {}, 9)
        best = store.nearest_per_label(partition, using, queries, {}, 2, 2)
        view[using] = [[(n.example_id, n.label, round(n.similarity, 4)) for n in a] for a in answers + best]
    return view


def traces(store: VectorStore, partition: Partition, ids: list[str]) -> list[Any]:
    """What a write of somebody else's could have changed; projections are looked at in the end alone, for speed."""
    stored = store.fetch(partition, ids)
    assert stored.embeddings is not None
    return [stored.ids, stored.payloads, stored.embeddings.tolist()]


@settings(PROPERTY, max_examples=10)
@given(operations=st.lists(OPERATIONS, max_size=8))
def test_tenants_and_catalogues_never_meet(store, small_collection, operations):
    """Random operations on four partitions that use the same ids: each sees its own alone, as the model does."""
    model = ExactStore()
    model.open_collection(small_collection, DIMENSION)
    ids = [new_id() for _ in range(7)]
    catalogues = [new_id(), new_id()]
    partitions = [Partition(small_collection, tenant, c) for tenant in ("one", "two") for c in catalogues]
    seen = [traces(store, owned, ids) for owned in partitions]
    for verb, at, chosen, number in operations:
        for either in (store, model):
            apply(either, partitions[at], verb, [ids[i] for i in chosen], number)
        now = [traces(store, owned, ids) for owned in partitions]
        assert now[:at] + now[at + 1 :] == seen[:at] + seen[at + 1 :]
        seen = now
    for owned in partitions:
        view = everything(store, owned, ids)
        assert view == everything(model, owned, ids)
        assert all(p["tenant"] == owned.tenant and p["catalogue"] == owned.catalogue for p in view["fetch"].values())
        store.delete_partition(owned)


# ------------------------------------------------------------------------------------------------ threads and reopening


@pytest.mark.parametrize("name", [name for name in STORES if name != "qdrant-local"])
def test_threads_may_write_and_ask_at_once(name, tmp_path):
    failures: list[BaseException] = []
    with opened(name, tmp_path) as store:
        partition = new_partition(store)
        points = points_of([f"class {i % 4}" for i in range(160)], unit_rows(160))

        def work(part: list[Point]) -> None:
            try:
                for i in range(0, len(part), 10):
                    store.insert(partition, part[i : i + 10])
                    ids = [p.id for p in part[i : i + 10]]
                    store.flag(partition, "a", "selection", ids, embeddings_of(part[i : i + 10]))
                    store.set_payload(partition, {ids[0]: {"centrality": 0.5}})
                    store.nearest_per_label(partition, "projection_a", unit_rows(2), {"selection_a": "selection"}, 2, 3)
                    store.delete(partition, ids[-1:])
            except BaseException as error:  # noqa: BLE001
                failures.append(error)

        threads = [threading.Thread(target=work, args=(points[i::4],)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(store.ids(partition, {"selection_a": "selection"})) == 160 - 16


@pytest.mark.parametrize("name", ON_DISK)
def test_a_store_on_disk_opens_again_with_everything(name, tmp_path):
    points = points_of(["one", "two", "two"], unit_rows(3))
    with opened(name, tmp_path) as store:
        partition = new_partition(store)
        store.insert(partition, points)
        store.flag(partition, "a", "selection", [p.id for p in points[:2]], unit_rows(2, 3))
        store.delete(partition, [points[2].id])
    with opened(name, tmp_path) as store:
        assert store.ids(partition, {}) == sorted(p.id for p in points[:2])
        (answer,) = store.nearest(partition, "projection_a", unit_rows(1, 3), {"selection_a": "selection"}, 5)
        assert answer[0].example_id == points[0].id
        assert len(answer) == 2
        store.open_collection(partition.collection, DIMENSION)
        with pytest.raises(EncoderMismatch):
            store.open_collection(partition.collection, 2 * DIMENSION)
