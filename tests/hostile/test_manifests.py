"""Manifests that nobody means well with: each line is taken or refused with a sentence, on disk and over HTTP alike."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.errors import InvalidInput
from service.records import ItemState, JobState
from service.usecases.crops import COLUMNS
from service.usecases.files import MAX_FILE_BYTES, MAX_PATH
from service.usecases.handing_over import Picture
from service.usecases.ingest import sources_to_ingest, start_ingest
from service.usecases.manifests import MAX_MANIFEST_BYTES
from service.usecases.sources import Source
from service.usecases.upload_labels import SentLabels, SentPicture, labelled
from tests.adapters.pictures import as_file, noise
from tests.api.conftest import api, context  # noqa: F401 -- fixtures
from tests.api.filled import finished

LONGEST_REASON = 500
TEN_MB = 10_000_000


def on_disk(path: Path) -> list[Source]:
    return list(sources_to_ingest(path, "auto", None))


def over_http(path: Path) -> list[Picture]:
    sent = [SentPicture(name="a.jpg", path=path, size_bytes=1)]
    return labelled(sent, SentLabels(label="other", manifest=path, manifest_name=path.name))


def read(path: Path) -> list[tuple[str, str | None]]:
    """(what reports call it, why it fails) of each line, both ways; each is fit to be stored and shown."""
    told = []
    for reading in (on_disk, over_http):
        try:
            found = reading(path)
        except InvalidInput as error:
            told.append(("", error.message))
            continue
        for one in found:
            name = one.name if isinstance(one, Source) else one.source
            assert name.encode()
            assert len(name) <= MAX_PATH + 200
            assert len(one.label) <= 200
            told.append((name, one.failure))
    for _, reason in told:
        assert reason is None or 5 < len(reason) < LONGEST_REASON, reason[:200]
    return told


def written(folder: Path, data: bytes | str, name: str = "list.jsonl") -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def line(**fields: object) -> str:
    return json.dumps({"path": "a.jpg", "label": "apple"} | fields)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"path": "\ud800.jpg"}, "half of a surrogate pair"),
        ({"mask": "\ud800"}, "half of a surrogate pair"),
        ({"label": "\ud800"}, "not valid UTF-8"),
        ({"path": "a" * TEN_MB}, f"at most {MAX_PATH} characters"),
        ({"mask": "a" * TEN_MB}, f"at most {MAX_PATH} characters"),
        ({"label": "a" * TEN_MB}, "at most 200"),
        ({"split": "a" * TEN_MB}, "must be one of"),
        ({"box": "1," * (TEN_MB // 2)}, "numbers"),
        ({"a" * TEN_MB: "x"}, "cannot be a metadata key"),
        ({"lot": "a" * TEN_MB}, "at most 200"),
        ({"path": "a\0b"}, "NUL"),
        ({"box": [float("nan"), 1, 2, 3]}, "a number of pixels"),
        ({"box": [1, 1, float("inf"), 3]}, "a number of pixels"),
        ({"box": [-1, 1, 2, -3]}, "begins at"),
        ({"box": [1, 1, 10**400, 3]}, "a number of pixels"),
        ({"box": [{}, 1, 2, 3]}, "a number of pixels"),
    ],
)
def test_a_line_that_no_file_can_be_of_is_refused_alone(tmp_path, fields, reason):
    path = written(tmp_path, "\n".join([line(), line(**fields), line(path="b.jpg")]))
    told = read(path)
    assert sum(failure is not None and reason in failure for _, failure in told) == 2, [
        (name[:80], failure) for name, failure in told
    ]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("list.csv", bytes(100_000)),
        ("list.csv", "path,label\na,b\n".encode("utf-16")),
        ("list.csv", "path,label\nä,b\n".encode("latin-1")),
        ("list.csv", b"path,label\n" + b"a" * TEN_MB + b",b\n"),
        ("list.csv", b"path,label" + b",x" * 100_000 + b"\n"),
        ("list.csv", b'"' * TEN_MB),
        ("list.jsonl", b"[" * TEN_MB),
        ("list.jsonl", b'{"a":' * 100_000),
        ("list.jsonl", b"9" * TEN_MB),
        ("list.jsonl", b"\xff\xfe"),
        ("list.jsonl", b"\n" * 100_000),
        ("list.ndjson", b"\x80\x04\x95\x1a\0\0\0\0\0\0\0\x8c\x05posix\x8c\x06system\x93."),
    ],
)
def test_what_is_no_manifest_is_refused_whole_and_shortly(tmp_path, name, data):
    assert all(failure is not None for _, failure in read(written(tmp_path, data, name)))


def test_a_manifest_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "list.csv"
    with path.open("wb") as file:
        file.truncate(MAX_MANIFEST_BYTES + 1)
    with pytest.raises(InvalidInput, match="has more than 512 MB: hand its lines over in several manifests"):
        on_disk(path)


def test_a_manifest_that_was_cut_off_on_its_way_is_refused(api):  # noqa: F811
    """Of a file that is too large only the beginning is kept: half a list must not pass for the whole."""
    acme = api.as_tenant("acme")
    acme.post("/v1/catalogues", json={"name": "fruit"})
    manifest = b"path,label\na.png,apple\n" + b"\n" * MAX_FILE_BYTES
    files = [("pictures", ("a.png", as_file(noise()))), ("manifest", ("list.csv", manifest))]
    answer = acme.post("/v1/catalogues/fruit/ingests", files=files)
    assert answer.status_code == 413
    assert "the manifest: it has 64.0 MB; at most 64 MB are read" in answer.json()["detail"]


# ----------------------------------------------------------------------------------------------------- any line at all

TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "../../etc/passwd",
            "/dev/zero",
            "a/../b",
            "%2e%2e/",
            "C:\\x",
            "=1+1",
            "'; DROP TABLE examples;--",
            "<script>",
            "\u202egpj.exe",
            "�",
            "a\x00b",
            "a" * 5000,
            ".",
            "..",
            "",
            "con",
            "file:///etc/passwd",
            "\u2028",
        ]
    ),
)
VALUES = st.one_of(
    TEXTS,
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.lists(st.one_of(st.integers(), st.floats(), TEXTS), max_size=5),
    st.dictionaries(TEXTS, TEXTS, max_size=2),
)
NAMES = st.one_of(st.sampled_from(["path", "label", "split", *COLUMNS]), TEXTS)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(NAMES, VALUES, max_size=6), max_size=4))
def test_any_objects_are_lines_or_refused(tmp_path, objects):
    read(written(tmp_path, "\n".join(json.dumps(one) for one in [{"path": "a.jpg", "label": "x"}, *objects])))


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["list.csv", "list.jsonl"]),
    st.sampled_from(
        [b"", b"path,label\n", b"path;label;box\n", b'{"path":"a","label":"b"}\n', b"\xef\xbb\xbfpath,label\n"]
    ),
    st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))),
)
def test_any_bytes_are_a_manifest_or_refused(tmp_path, name, head, data):
    read(written(tmp_path, head + data, name))


# -------------------------------------------------------------------------------------------------- where paths lead to


def test_what_paths_lead_to_is_a_picture_or_a_reason(working_context, tmp_path):
    """Devices, pipes, sockets of the system, circles of links, folders, the manifest itself: no picture waits."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "good.png").write_bytes(as_file(noise()))
    os.mkfifo(folder / "pipe.jpg")
    (folder / "circle.jpg").symlink_to("back.jpg")
    (folder / "back.jpg").symlink_to("circle.jpg")
    (folder / "zero.jpg").symlink_to("/dev/zero")
    (folder / "empty.jpg").touch()
    (folder / "deep.jpg").symlink_to("x/" * 200)
    with (folder / "film.jpg").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    paths = ["pipe.jpg", "circle.jpg", "zero.jpg", "empty.jpg", "deep.jpg", "film.jpg", "list.csv", ".", "..", "/", "~"]
    paths += ["/dev/zero", "/dev/stdin", "/dev/random", "/dev/tty", "/proc/self/mem", "/proc/self/fd/0", "/proc/kmsg"]
    paths += ["http://127.0.0.1/a.jpg", "file:///etc/passwd", "a" * 300, "../" * 500 + "etc/passwd", "good.png/x.jpg"]
    written(folder, "path,label\n" + "".join(f"{path},apple\n" for path in ["good.png", *paths]), "list.csv")
    working_context.registry.ensure_tenant("acme")
    job = finished(
        working_context, start_ingest(working_context, "acme", "fruit", folder / "list.csv", encoder="pixel").id
    )
    assert job.state is JobState.DONE
    assert working_context.registry.item_counts(job.id) == {ItemState.STORED: 1, ItemState.FAILED: len(paths)}
    for item in working_context.registry.items(job.id, (ItemState.FAILED,)):
        assert item.reason
        assert 5 < len(item.reason) < LONGEST_REASON


def test_a_folder_of_circles_and_devices_ends(tmp_path):
    (tmp_path / "apple").mkdir()
    (tmp_path / "apple/good.png").write_bytes(as_file(noise()))
    (tmp_path / "apple/again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "pear").symlink_to("pear")
    (tmp_path / "apple/zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "apple/circle.jpg").symlink_to("circle.jpg")
    found = list(sources_to_ingest(tmp_path, "auto", None))
    assert [one.path.name for one in found if one.failure is None] == ["good.png"]
    assert all(one.failure for one in found if one.path.name != "good.png")
