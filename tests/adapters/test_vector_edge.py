"""Qdrant Edge on disk: kills, second openers, forks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest

from service.adapters import edge_shards
from service.adapters import vector_common as common
from service.adapters.vector_edge import EdgeStore
from service.errors import DataDirectoryInUse, InvalidInput, Unavailable
from service.ports import Partition, Point
from tests.contracts.vector_stores import DIMENSION, new_id, new_partition, opened, points_of, unit_rows
from tests.processes import kill_group, start_python

COLLECTION = "holotype-test"

INSERT_WITHOUT_END = """
import sys
from pathlib import Path
from service.adapters.vector_edge import EdgeStore
from service.ports import Partition
from tests.contracts.vector_stores import DIMENSION, points_of, unit_rows

store = EdgeStore(Path(sys.argv[1]))
store.open_collection("holotype-test", DIMENSION)
partition = Partition("holotype-test", "tenant", sys.argv[2])
for batch in range(10_000):
    points = points_of(["class"] * 8, unit_rows(8, seed=batch))
    ids = [point.id for point in points]
    store.insert(partition, points)
    store.flag(partition, "a", "selection", ids, unit_rows(8, 3, seed=batch))
    print(*ids, flush=True)
"""

OPEN = """
import sys
from pathlib import Path
from service.adapters.vector_edge import EdgeStore
from service.errors import DataDirectoryInUse

try:
    EdgeStore(Path(sys.argv[1])).open_collection("holotype-test", int(sys.argv[2]))
except DataDirectoryInUse as error:
    print(error.message)
    sys.exit(4)
"""

pytestmark = pytest.mark.timeout(120)


def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path):
    folder, catalogue = tmp_path / "vectors", new_id()
    process = start_python(INSERT_WITHOUT_END, str(folder), catalogue, stdout=subprocess.PIPE)
    acknowledged: list[str] = []
    for line in process.stdout:
        acknowledged += line.split()
        if len(acknowledged) >= 25 * 8:
            os.kill(process.pid, signal.SIGKILL)
            break
    for line in process.stdout:
        whole = line.split()
        acknowledged += whole if len(whole) == 8 and line.endswith("\n") else []
    kill_group(process)
    with opened("edge", tmp_path) as store:
        partition = Partition(COLLECTION, "tenant", catalogue)
        stored = store.fetch(partition, acknowledged)
        assert stored.ids == tuple(acknowledged)
        expected = np.concatenate([unit_rows(8, seed=batch) for batch in range(len(acknowledged) // 8)])
        np.testing.assert_allclose(stored.embeddings, expected, atol=1e-6)
        assert set(acknowledged) <= set(store.ids(partition, {"selection_a": "selection"}))
        (nearest,) = store.nearest(partition, "projection_a", unit_rows(1, 3), {"selection_a": "selection"}, 1)
        assert nearest[0].example_id == acknowledged[0]


def test_a_kill_while_a_collection_is_made_leaves_nothing_half_made(tmp_path, monkeypatch):
    folder = tmp_path / "vectors"
    (folder / f".building-{COLLECTION}" / "segments" / "half").mkdir(parents=True)
    with opened("edge", tmp_path) as store:
        store.open_collection(COLLECTION, DIMENSION)
    assert [path.name for path in folder.iterdir()] == [COLLECTION]


def test_a_second_opener_is_told_what_to_do(tmp_path):
    folder = tmp_path / "vectors"
    with opened("edge", tmp_path) as store:
        store.open_collection(COLLECTION, DIMENSION)
        second = EdgeStore(folder)
        with pytest.raises(DataDirectoryInUse, match="HOLOTYPE_QDRANT_URL"):
            second.open_collection(COLLECTION, DIMENSION)
        other = subprocess.run(
            [sys.executable, "-c", OPEN, str(folder), str(DIMENSION)], capture_output=True, text=True, timeout=60
        )
        assert (other.returncode, other.stderr) == (4, "")
        assert "--data-dir" in other.stdout
    with opened("edge", tmp_path) as store:
        store.open_collection(COLLECTION, DIMENSION)


def test_a_fork_is_told_that_it_cannot_use_the_store(tmp_path, monkeypatch):
    with opened("edge", tmp_path) as store:
        store.open_collection(COLLECTION, DIMENSION)
        with monkeypatch.context() as patched:
            patched.setattr(edge_shards.os, "getpid", lambda: -1)
            with pytest.raises(DataDirectoryInUse, match="forked"):
                store.ids(Partition(COLLECTION, "tenant", "catalogue"), {})
        assert store.ids(Partition(COLLECTION, "tenant", "catalogue"), {}) == []


def test_nothing_may_follow_closing(tmp_path):
    with opened("edge", tmp_path) as store:
        store.open_collection(COLLECTION, DIMENSION)
        store.close()
        store.close()
        with pytest.raises(RuntimeError, match="closed"):
            store.ids(Partition(COLLECTION, "tenant", "catalogue"), {})


def test_all_payload_indexes_are_made_with_the_collection_and_it_is_never_optimised(tmp_path, monkeypatch):
    monkeypatch.setattr(edge_shards, "FLUSH_INTERVAL_S", -1.0)
    with opened("edge", tmp_path) as store:
        store.open_collection(COLLECTION, DIMENSION)
        partition = Partition(COLLECTION, "tenant", new_id())
        store.insert(partition, points_of(["class"] * 50, unit_rows(50)))
        with store._shards.using(COLLECTION) as shard:
            info = shard.info()
        assert set(info.payload_schema) == {
            "tenant",
            "catalogue",
            "label",
            "split",
            "selection_a",
            "selection_b",
            "metadata_terms",
        }
        assert info.payload_schema["tenant"].points == 50
        assert info.indexed_vectors_count == 0


def test_a_batch_tells_of_its_neighbours_what_a_query_alone_does(tmp_path):
    """One query reads payloads with the points it finds, a batch reads them once for all."""
    with closing(EdgeStore(tmp_path / "vectors")) as store:
        partition = new_partition(store)
        points = points_of(["oak", "elm", "ash"] * 8, unit_rows(24))
        store.insert(partition, points)
        queries = unit_rows(5, seed=1)
        alone = [store.nearest_per_label(partition, "embedding", query[None], {}, 2, 3)[0] for query in queries]
        together = store.nearest_per_label(partition, "embedding", queries, {}, 2, 3)
    told = [[(one.example_id, one.label, one.source) for one in answer] for answer in together]
    assert told == [[(one.example_id, one.label, one.source) for one in answer] for answer in alone]
    sources = {point.id: point.payload["source"] for point in points}
    assert all(one.source == sources[one.example_id] for answer in together for one in answer)
    for one, other in zip(together, alone, strict=True):
        assert [found.similarity for found in one] == pytest.approx([found.similarity for found in other], abs=1e-6)


@pytest.mark.parametrize("name", ["../elsewhere", "", "a/b", "."])
def test_names_that_would_leave_the_folder_are_refused(tmp_path, name):
    with opened("edge", tmp_path) as store, pytest.raises(InvalidInput, match="cannot name a folder"):
        store.open_collection(name, DIMENSION)


def test_a_damaged_shard_is_reported_with_its_place(tmp_path):
    damaged = tmp_path / "vectors" / COLLECTION
    damaged.mkdir(parents=True)
    (damaged / "edge_config.json").write_text("{")
    with opened("edge", tmp_path) as store, pytest.raises(Unavailable, match=COLLECTION):
        store.open_collection(COLLECTION, DIMENSION)


def test_a_folder_of_an_older_version_gets_the_indexes_that_it_lacks(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "INDEXED_KEYS", tuple(key for key in common.INDEXED_KEYS if key != common.TERMS_KEY))
    with closing(EdgeStore(tmp_path)) as store:
        partition = new_partition(store)
    monkeypatch.undo()
    with closing(EdgeStore(tmp_path)) as store:
        point = Point(new_id(), unit_rows(1)[0], {"label": "a", "metadata": {"lot": "7"}})
        store.insert(partition, [point])
        assert store.ids(partition, {"metadata.lot": "7"}) == [point.id]
        with store._shards.using(partition.collection) as shard:
            assert set(shard.info().payload_schema) == set(common.INDEXED_KEYS)
