"""The Qdrant adapter over real HTTP: trouble on the line, versions, what a collection is made with, two processes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from qdrant_client.http.exceptions import UnexpectedResponse

from service.adapters.qdrant_retry import RetryPolicy
from service.adapters.vector_qdrant import QdrantStore
from service.errors import NotFound, Unavailable
from service.ports import Partition
from tests.contracts.vector_stores import DIMENSION, new_id, new_partition, points_of, unit_rows
from tests.processes import kill_group, start
from tests.qdrant_double import Trouble, running_double

QUICK = RetryPolicy(base_s=0.01, longest_s=0.05)


@pytest.mark.parametrize("version", ["1.16.9", "0.11.0", "1.2.0", "unknown"])
def test_an_old_server_is_refused_at_the_start(version):
    with running_double(version) as double, pytest.raises(Unavailable, match=rf"version {version}.*1\.17"):
        QdrantStore.at(double.url)


@pytest.mark.parametrize("version", ["1.17.0", "1.20.3-dev", "2.0.0"])
def test_newer_servers_are_fine(version):
    with running_double(version) as double:
        QdrantStore.at(double.url).close()


def test_a_server_that_is_not_there_is_unavailable():
    with running_double() as double:
        url = double.url
    with pytest.raises(Unavailable, match=rf"{url} gave no answer in 5 tries"):
        QdrantStore.at(url, policy=QUICK)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_trouble_that_passes_is_not_noticed(status):
    with running_double() as double:
        store = QdrantStore.at(double.url, policy=QUICK)
        partition = new_partition(store)
        points = points_of(["class"] * 3, unit_rows(3))
        double.engine.trouble = Trouble(status=status, failures=4)
        store.insert(partition, points)
        double.engine.trouble = Trouble(status=status, failures=4)
        assert len(store.ids(partition, {})) == 3
        double.engine.trouble = Trouble(status=status, failures=5)
        with pytest.raises(Unavailable, match=f"5 tries .HTTP {status}"):
            store.ids(partition, {})
        store.close()


def test_a_429_with_its_own_pause_is_obeyed():
    with running_double() as double:
        store = QdrantStore.at(double.url, policy=QUICK)
        partition = new_partition(store)
        double.engine.trouble = Trouble(status=429, failures=2, retry_after_s=0)
        assert store.ids(partition, {}) == []
        store.close()


def test_a_slow_answer_is_asked_for_again_and_the_write_is_there_once():
    with running_double() as double:
        store = QdrantStore.at(double.url, timeout_s=1, policy=QUICK)
        partition = new_partition(store)
        points = points_of(["class"] * 3, unit_rows(3))
        double.engine.trouble = Trouble(delays=1, delay_s=1.5)
        store.insert(partition, points)
        assert store.ids(partition, {}) == sorted(p.id for p in points)
        store.close()


def test_a_collection_is_made_for_many_tenants_and_small_exact_searches():
    with running_double() as double:
        store = QdrantStore.at(double.url)
        partition = new_partition(store)
        made = double.engine.created[partition.collection]
        assert made.hnsw_config is not None
        assert (made.hnsw_config.m, made.hnsw_config.payload_m) == (0, 16)
        assert made.hnsw_config.full_scan_threshold == 40_000
        indexes = double.engine.indexes[partition.collection]
        texts = {"label", "split", "selection_a", "selection_b", "metadata_terms"}
        assert set(indexes) == {"tenant", "catalogue", *texts}
        assert [key for key, index in indexes.items() if index.params.is_tenant] == ["tenant"]
        assert {key for key, index in indexes.items() if index.params.enable_hnsw} == {"tenant", "catalogue"}
        store.close()


def test_an_index_that_a_killed_process_did_not_make_is_made_by_the_next():
    with running_double() as double:
        store = QdrantStore.at(double.url)
        partition = new_partition(store)
        del double.engine.indexes[partition.collection]["selection_b"]
        before = double.engine.requests["create_index"]
        store.open_collection(partition.collection, DIMENSION)
        assert "selection_b" in double.engine.indexes[partition.collection]
        assert double.engine.requests["create_index"] == before + 1
        store.close()


def test_two_that_make_a_collection_at_once_both_have_it(monkeypatch):
    with running_double() as double:
        first, second = QdrantStore.at(double.url), QdrantStore.at(double.url)
        partition = new_partition(first)
        answers, exists = [False], second._client.collection_exists
        monkeypatch.setattr(
            second._client, "collection_exists", lambda name: answers.pop() if answers else exists(name)
        )
        second.open_collection(partition.collection, DIMENSION)
        assert second.ids(partition, {}) == []
        first.close()
        second.close()


def test_points_that_vanish_between_the_look_and_the_write_are_left_out(monkeypatch):
    """Another worker deletes a point after its owner was looked up: the others are written all the same."""
    with running_double() as double:
        store, other = QdrantStore.at(double.url), QdrantStore.at(double.url)
        partition = new_partition(store)
        points = points_of(["class"] * 4, unit_rows(4))
        store.insert(partition, points)
        ids = [p.id for p in points]
        look = store._own

        def look_then_lose(*arguments, **named):
            records = look(*arguments, **named)
            if records and ids[0] in other.ids(partition, {}):
                other.delete(partition, ids[:1])
            return records

        monkeypatch.setattr(store, "_own", look_then_lose)
        store.flag(partition, "a", "selection", ids, unit_rows(4))
        assert store.ids(partition, {"selection_a": "selection"}) == sorted(ids[1:])
        store.close()
        other.close()


def test_points_that_vanish_again_and_again_end_in_a_sentence(monkeypatch):
    with running_double() as double:
        store = QdrantStore.at(double.url)
        partition = new_partition(store)
        points = points_of(["class"] * 2, unit_rows(2))
        store.insert(partition, points)

        def missing(*_, **__):
            raise UnexpectedResponse(404, "", b"No point with id", {})

        monkeypatch.setattr(store._client, "delete_payload", missing)
        with pytest.raises(Unavailable, match="being deleted"):
            store.unflag(partition, "a", [p.id for p in points])
        store.close()


def test_a_collection_that_was_dropped_behind_our_back_is_not_found():
    with running_double() as double:
        store = QdrantStore.at(double.url)
        partition = new_partition(store)
        double.engine.client.delete_collection(partition.collection)
        with pytest.raises(NotFound, match=partition.collection):
            store.ids(partition, {})
        store.close()


def test_two_processes_share_what_a_third_one_keeps():
    process = start([sys.executable, "-m", "tests.qdrant_double", "--port", "0"], stdout=subprocess.PIPE)
    try:
        url = process.stdout.readline().strip()
        writer, reader = QdrantStore.at(url), QdrantStore.at(url)
        partition = new_partition(writer)
        points = points_of(["one", "two"], unit_rows(2))
        writer.insert(partition, points)
        assert reader.ids(Partition(partition.collection, partition.tenant, partition.catalogue), {}) == sorted(
            p.id for p in points
        )
        assert reader.ids(Partition(partition.collection, partition.tenant, new_id()), {}) == []
        writer.close()
        reader.close()
    finally:
        kill_group(process)
