"""The double with switches, met by the real store: each trouble is seen, and what was written is there after a kill."""

import subprocess
import sys
from contextlib import contextmanager

import httpx
import numpy as np
import pytest

from service.adapters.qdrant_retry import RetryPolicy
from service.adapters.vector_qdrant import QdrantStore
from service.errors import Unavailable
from service.ports import Partition, Point
from tests.processes import kill_group, start
from tests.qdrant_faults import halved, writes_points

PARTITION = Partition(collection="holotype-double", tenant="acme", catalogue="c")
IDS = [f"00000000-0000-0000-0000-00000000000{digit}" for digit in range(8)]
ONCE = RetryPolicy(tries=1)
QUICK = RetryPolicy(tries=4, base_s=0.01)


@contextmanager
def double(folder, port=0):
    command = [sys.executable, "-m", "tests.qdrant_faults", "--folder", str(folder), "--port", str(port)]
    process = start(command, stdout=subprocess.PIPE)
    try:
        yield process.stdout.readline().strip()
    finally:
        kill_group(process)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with double(tmp_path_factory.mktemp("double")) as address:
        yield address


@pytest.fixture
def store(url):
    turn(url, "none", 0)
    opened = QdrantStore.at(url, policy=ONCE)
    opened.open_collection(PARTITION.collection, 2)
    opened.delete_partition(PARTITION)
    opened.insert(PARTITION, [point(one) for one in IDS])
    yield opened
    turn(url, "none", 0)
    opened.close()


def turn(url, kind, seconds=30, **options):
    httpx.put(f"{url}/double/switch", json={"kind": kind, "seconds": seconds, **options}).raise_for_status()


def point(example_id):
    payload = {"label": "apple", "split": "support", "content_hash": example_id, "source": "a.png"}
    return Point(example_id, np.array([1, 0], dtype=np.float32), payload)


def labels(store):
    return [payload["label"] for payload in store.fetch(PARTITION, IDS, with_embeddings=False).payloads]


@pytest.mark.parametrize("kind", ["busy", "broken", "cut_before", "cut_after"])
def test_a_request_that_goes_wrong_raises_and_one_that_was_cut_afterwards_was_done(url, store, kind):
    turn(url, kind)
    with pytest.raises(Unavailable):
        store.delete_partition(PARTITION)
    turn(url, "cut_after")
    turn(url, "none", 0)
    assert store.ids(PARTITION, {}) == IDS


def test_a_write_whose_answer_was_cut_off_is_done(url, store):
    own = httpx.post(f"{url}/collections/{PARTITION.collection}/points", json={"ids": IDS}).json()["result"]
    assert len(own) == len(IDS)
    turn(url, "cut_after")
    with pytest.raises(httpx.HTTPError):
        httpx.post(f"{url}/collections/{PARTITION.collection}/points/delete", json={"points": IDS[:3]})
    turn(url, "none", 0)
    assert store.ids(PARTITION, {}) == IDS[3:]


def test_half_of_a_write_is_applied_and_the_store_that_tries_again_gets_it_whole(url, store):
    turn(url, "half")
    with pytest.raises(Unavailable):
        store.unflag(PARTITION, "a", IDS)
    with pytest.raises(Unavailable):
        store.delete(PARTITION, IDS)
    turn(url, "none", 0)
    assert store.ids(PARTITION, {}) == IDS[4:]
    turn(url, "half", share=0.4)
    patient = QdrantStore.at(url, policy=RetryPolicy(tries=12, base_s=0.01))
    patient.set_payload(PARTITION, {one: {"label": "pear"} for one in IDS[4:]})
    patient.close()
    assert labels(store) == ["pear"] * 4


def test_a_stale_replica_shows_what_was_there_before(url, store):
    turn(url, "stale")
    httpx.post(f"{url}/collections/{PARTITION.collection}/points/delete", json={"points": IDS[:3]}).raise_for_status()
    asked = httpx.post(f"{url}/collections/{PARTITION.collection}/points", json={"ids": IDS})
    assert len(asked.json()["result"]) == len(IDS)
    turn(url, "none", 0)
    asked = httpx.post(f"{url}/collections/{PARTITION.collection}/points", json={"ids": IDS})
    assert len(asked.json()["result"]) == len(IDS) - 3


def test_the_store_asks_the_majority_of_replicas_whatever_one_of_them_says(url, store):
    store.delete(PARTITION, IDS)
    turn(url, "stale")
    store.insert(PARTITION, [point(one) for one in IDS])
    assert store.ids(PARTITION, {}) == IDS
    assert store.fetch(PARTITION, IDS).ids == tuple(IDS)
    store.set_payload(PARTITION, {one: {"label": "pear"} for one in IDS})
    rows = np.array([[1, 0]] * len(IDS), dtype=np.float32)
    store.flag(PARTITION, "a", "selection", IDS, rows)
    (found,) = store.nearest(PARTITION, "projection_a", rows[:1], {"selection_a": "selection"}, 20)
    assert {(one.example_id, one.label) for one in found} == {(one, "pear") for one in IDS}
    store.delete(PARTITION, IDS[:3])
    turn(url, "none", 0)
    assert store.ids(PARTITION, {}) == IDS[3:]
    assert labels(store) == ["pear"] * 5


def test_a_slow_answer_is_an_answer(url, store):
    turn(url, "slow", delay_s=0.3)
    assert store.ids(PARTITION, {}) == IDS


def test_a_share_of_the_requests_goes_wrong(url, store):
    turn(url, "broken", share=0.5)
    answers = {httpx.get(f"{url}/collections/{PARTITION.collection}/exists").status_code for _ in range(40)}
    assert answers == {200, 500}


def test_what_was_written_is_there_after_a_kill(tmp_path):
    with double(tmp_path) as url:
        store = QdrantStore.at(url, policy=QUICK)
        store.open_collection(PARTITION.collection, 2)
        store.insert(PARTITION, [point(one) for one in IDS])
        indexes = httpx.get(f"{url}/collections/{PARTITION.collection}").json()["result"]["payload_schema"]
        store.close()
    with double(tmp_path) as url:
        store = QdrantStore.at(url, policy=QUICK)
        assert store.ids(PARTITION, {}) == IDS
        again = httpx.get(f"{url}/collections/{PARTITION.collection}").json()["result"]["payload_schema"]
        assert again == indexes != {}
        store.close()


def test_which_requests_are_halved():
    assert writes_points("PUT", "/collections/c/points")
    assert writes_points("POST", "/collections/c/points/payload")
    assert not writes_points("POST", "/collections/c/points/scroll")
    assert not writes_points("PUT", "/collections/c")
    assert halved(b'{"points": [1, 2, 3], "payload": {}}') == b'{"points": [1], "payload": {}}'
    assert halved(b'{"filter": {}}') is None
