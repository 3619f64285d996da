"""The contract of `ports.BlobStore`: a folder, memory, and what HOLOTYPE_TEST_BLOB_URL names (an S3 bucket)."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.adapters.blob_store import FsspecBlobStore
from service.errors import InvalidInput, NotFound, Unavailable
from service.ports import BlobStore

GIVEN_URL = os.environ.get("HOLOTYPE_TEST_BLOB_URL")  # now: no test sees a HOLOTYPE_ variable


@pytest.fixture(params=["folder", "memory", *(["url"] if GIVEN_URL else [])])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlobStore]:
    locations = {
        "folder": str(tmp_path / "made" / "blobs"),
        "memory": f"memory://{uuid.uuid4().hex}",
        "url": f"{GIVEN_URL}/{uuid.uuid4().hex}",
    }
    location = locations[request.param]
    store: BlobStore = FsspecBlobStore(location)
    yield store
    store.delete(store.keys(""))


def test_what_was_put_is_there_byte_for_byte(blobs: BlobStore) -> None:
    for key, data in (("tenant/images/ab/abcdef", bytes(range(256)) * 300), ("tenant/empty", b""), ("t", b"x")):
        assert not blobs.exists(key)
        blobs.put(key, data)
        assert blobs.exists(key)
        assert blobs.get(key) == data


def test_an_existing_key_is_replaced(blobs: BlobStore) -> None:
    blobs.put("tenant/reports/1.json", b"a longer text")
    blobs.put("tenant/reports/1.json", b"short")
    assert blobs.get("tenant/reports/1.json") == b"short"
    assert blobs.keys("") == ["tenant/reports/1.json"]


def test_flushing_changes_nothing_that_can_be_read(blobs: BlobStore) -> None:
    blobs.flush()
    blobs.put("tenant/images/ab/abcdef", b"bytes")
    blobs.flush()
    assert blobs.get("tenant/images/ab/abcdef") == b"bytes"
    assert blobs.keys("") == ["tenant/images/ab/abcdef"]


def test_a_folder_that_is_gone_cannot_be_flushed(tmp_path: Path) -> None:
    store = FsspecBlobStore(tmp_path / "blobs")
    (tmp_path / "blobs").rmdir()
    with pytest.raises(Unavailable, match="flush"):
        store.flush()


def test_what_is_missing_is_not_found(blobs: BlobStore) -> None:
    blobs.put("tenant/images/a", b"a")
    for key in ("tenant/images/b", "tenant/images", "tenant", "other/images/a", "tenant/images/a/b"):
        assert not blobs.exists(key)
        with pytest.raises(NotFound, match=key):
            blobs.get(key)


def test_deleting_leaves_the_others_and_minds_nothing_missing(blobs: BlobStore) -> None:
    names = [f"tenant/images/{number:04d}" for number in range(1100)]
    for name in (names[0], names[5], names[-1], "tenant/kept", "another/images/0000"):
        blobs.put(name, b"x")
    blobs.delete(iter([*names, "tenant", "tenant/images/0000/below", names[0]]))
    blobs.delete([])
    assert blobs.keys("") == ["another/images/0000", "tenant/kept"]
    assert not blobs.exists(names[0])
    blobs.put(names[0], b"again")
    assert blobs.get(names[0]) == b"again"


def test_keys_are_listed_by_prefix_not_by_folder(blobs: BlobStore) -> None:
    keys = ["a/images/00/001", "a/images/00/002", "a/images/01/010", "a/images-of-b/1", "ab/images/1", "b"]
    for key in reversed(keys):
        blobs.put(key, b"x")
    assert blobs.keys("") == sorted(keys)
    for prefix in (
        "a/",
        "a",
        "a/images",
        "a/images/",
        "a/images/00/00",
        "a/images/00/001",
        "b",
        "x",
        "x/y",
        "b/",
        "..",
        "a/..",
    ):
        assert blobs.keys(prefix) == sorted(key for key in keys if key.startswith(prefix)), prefix


BAD_KEYS = [
    "",
    "/etc/passwd",
    "..",
    "../x",
    "a/../../x",
    "a/..",
    "a/./b",
    ".",
    "a//b",
    "a/",
    "a\\..\\b",
    "C:/x",
    "memory://x",
    "a/*",
    "a/[b]",
    "a/b?",
    "a\0b",
    "a\nb",
    "a/\udcff",
    "a/" + "x" * 256,
    "a/" * 600 + "x",
    ".unfinished/x",
]


@pytest.mark.parametrize("key", BAD_KEYS, ids=repr)
def test_keys_that_could_lead_elsewhere_are_refused(blobs: BlobStore, key: str) -> None:
    for call in (
        lambda: blobs.put(key, b"x"),
        lambda: blobs.get(key),
        lambda: blobs.exists(key),
        lambda: blobs.delete([key]),
    ):
        with pytest.raises(InvalidInput, match="the key"):
            call()


@pytest.mark.parametrize("prefix", ["../", "a/../", "../../x", "/", "/x", "a//", "a\\/"])
def test_prefixes_that_could_lead_elsewhere_are_refused(blobs: BlobStore, prefix: str) -> None:
    with pytest.raises(InvalidInput):
        blobs.keys(prefix)


@settings(max_examples=60, deadline=None)
@given(
    key=st.text(min_size=1, max_size=60) | st.lists(st.sampled_from(["..", ".", "", "a", "\\", "~", "é"])).map("/".join)
)
def test_every_accepted_key_is_found_again_inside_the_folder(
    key: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("outside") / "inside"
    store = FsspecBlobStore(folder)
    try:
        store.put(key, b"x")
    except InvalidInput:
        assert list(folder.iterdir()) == []
    else:
        assert store.keys("") == [key]
        assert (folder / key).read_bytes() == b"x"
    assert list(folder.parent.iterdir()) == [folder]


def test_readers_see_whole_blobs_while_writers_replace_them(blobs: BlobStore) -> None:
    whole = [bytes([digit]) * 200_000 for digit in range(4)]
    blobs.put("tenant/x", whole[0])

    def work(number: int) -> bool:
        if number % 2:
            blobs.put("tenant/x", whole[number % 4])
        return blobs.get("tenant/x") in whole

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(work, range(80)))
    assert blobs.keys("") == ["tenant/x"]


def test_a_local_write_that_fails_keeps_the_former_blob(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FsspecBlobStore(tmp_path)
    store.put("tenant/x", b"former")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", fail)
        with pytest.raises(Unavailable, match="No space left on device"):
            store.put("tenant/x", b"newer")
    assert store.get("tenant/x") == b"former"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "tenant" / "x"]


def test_what_a_killed_writer_left_is_no_key(tmp_path: Path) -> None:
    store = FsspecBlobStore(tmp_path)
    store.put("tenant/x", b"x")
    (tmp_path / ".unfinished" / "rest").write_bytes(b"half of")
    assert store.keys("") == ["tenant/x"]
    assert store.keys(".") == []


def test_locations_that_cannot_be_opened_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="nosuch"):
        FsspecBlobStore("nosuch://x")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    with pytest.raises(InvalidInput, match=r"pip install 'holotype\[s3\]'"):
        FsspecBlobStore("s3://bucket/prefix")
