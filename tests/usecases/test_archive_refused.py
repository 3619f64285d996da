"""Archives that were cut off, changed or forged: always a stated refusal, and nothing left behind."""

from __future__ import annotations

import io
import json
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.core.float_rows import npy_bytes
from service.errors import HolotypeError, InvalidInput
from service.usecases.archive_reading import ArchiveLimits
from tests.fakes import FAKE_DIMENSION, picture
from tests.usecases.archives import (
    LIMITS,
    archived,
    imported,
    packed,
    traces,
    unpacked,
    with_document,
    with_line,
    with_selections,
)

LINES, ROWS = "examples/00000.jsonl", "embeddings/00000.npy"
SELECTION = "selections/001/selection.json"
MEMBERS = "selections/001/members.jsonl"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A context, and the archive of its "fruit" with pictures; no test changes either."""
    context, _ = with_selections(tmp_path_factory.mktemp("archive"))
    return context, archived(context)


@pytest.fixture
def members(whole):
    return unpacked(whole[1])


def refused(context, data, match=None, limits=LIMITS):
    before = traces(context)
    with pytest.raises(InvalidInput, match=match) as caught:
        imported(context, data, limits=limits)
    assert traces(context) == before
    return caught.value.message


def test_what_is_packed_anew_is_taken(whole, members):
    """Else the refusals below could come from the packing."""
    context, _ = whole
    for number, data in enumerate((packed(members), packed(members, deflate=True))):
        imported(context, data, f"packed{number}")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_flipped_byte_is_refused_or_changes_nothing(whole, place, flip):
    """Bytes that nothing depends on (a date, a version) may be any; whatever is taken is what was exported."""
    context, data = whole
    changed = bytearray(data)
    changed[int(place * len(data))] ^= flip
    before = traces(context)
    try:
        imported(context, bytes(changed))
    except InvalidInput:
        assert traces(context) == before
        return
    except HolotypeError as error:  # pragma: no cover
        raise AssertionError(f"{type(error).__name__} is no refusal") from error
    copy = unpacked(archived(context, name="copy"))
    _forget(context)
    original = unpacked(data)
    assert {name: body for name, body in copy.items() if name.startswith("images/")} == {
        name: body for name, body in original.items() if name.startswith("images/")
    }
    assert sorted(copy[LINES].splitlines()) == sorted(original[LINES].splitlines())


def _forget(context):
    from service.usecases.catalogues import delete_catalogue

    delete_catalogue(context, "acme", "copy")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_an_archive_that_was_cut_off_is_refused(whole, share):
    context, data = whole
    refused(context, data[: int(share * len(data))])


@settings(max_examples=40, deadline=None)
@given(data=st.binary(max_size=400))
def test_any_bytes_are_refused(whole, data):
    refused(whole[0], data)
    refused(whole[0], data + b"PK\5\6" + bytes(18))


def test_every_member_is_needed(whole, members):
    context, _ = whole
    for name in members:
        rest = {other: data for other, data in members.items() if other != name}
        refused(context, packed(rest, seal=False))
        if name != "manifest.json":
            refused(context, packed(rest))


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/passwd",
        "examples/../../evil",
        "images/" + "0" * 63 + "/",
        "selections/000/extra.json",
        "selections/999/report.json",
        "C:\\evil",
        "images/\x00",
        "examples/00009.jsonl",
        "images/" + "0" * 64,
        "notes.txt",
    ],
)
def test_a_member_that_does_not_belong_is_refused(whole, members, name):
    refused(whole[0], packed(members | {name: b"x"}))


def test_a_member_that_is_there_twice_is_refused(whole, members):
    buffer = io.BytesIO(packed(members))
    with zipfile.ZipFile(buffer, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(LINES, members[LINES])
    refused(whole[0], buffer.getvalue(), "two members of one name")


@pytest.mark.parametrize(("mode", "match"), [(0o120777, "link"), (0o040755, "link or a folder")])
def test_a_link_is_refused(whole, members, mode, match):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (mode if name == LINES else 0o100644) << 16
            archive.writestr(info, data)
    refused(whole[0], buffer.getvalue(), match)


def test_other_compressions_and_encryption_are_refused(whole, members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    refused(whole[0], buffer.getvalue(), "compressed otherwise")
    data = bytearray(packed(members))
    at = data.rindex(b"PK\1\2")
    data[at + 8] |= 1
    refused(whole[0], bytes(data), "encrypted")


def test_a_bomb_is_refused_before_it_is_unpacked(whole, members):
    bomb = members | {"selections/000/report.json": b'{"a":"' + b" " * 20_000_000 + b'"}'}
    refused(whole[0], packed(bomb, deflate=True), "more than 100 times")
    refused(whole[0], packed(bomb), "HOLOTYPE_IMPORT_MB", ArchiveLimits(10_000_000))


def test_a_directory_that_claims_to_be_huge_is_refused_unread(whole):
    context, data = whole
    changed = bytearray(data)
    at = changed.rindex(b"PK\5\6")
    struct.pack_into("<L", changed, at + 12, 0xFFFFFFF0)
    refused(context, bytes(changed), "directory")


def test_overlapping_members_do_not_get_past_their_hashes(whole, members):
    """Two entries of the directory that point to the same bytes: a bomb without a ratio."""
    data = bytearray(packed(members))
    entries = [at for at in range(len(data) - 4) if data[at : at + 4] == b"PK\1\2"]
    first = data[entries[0] + 42 : entries[0] + 46]
    data[entries[1] + 42 : entries[1] + 46] = first
    refused(whole[0], bytes(data))


def example(key, value):
    return lambda members: with_line(members, LINES, 3, lambda line: line.update({key: value}))


def dropped(*lines):
    return lambda members: members | {"dropped.jsonl": b"".join(json.dumps(line).encode() + b"\n" for line in lines)}


def document(name, change):
    return lambda members: with_document(members, name, change)


def setting(name, key, value):
    return document(name, lambda found: found.update({key: value}))


def embeddings(change):
    def apply(members):
        header = len(npy_bytes(np.zeros((24, FAKE_DIMENSION), np.float32))) - 24 * FAKE_DIMENSION * 4
        rows = np.frombuffer(members[ROWS][header:], "<f4").reshape(24, FAKE_DIMENSION).copy()
        return members | {ROWS: npy_bytes(change(rows))}

    return apply


def _one(rows, row, value):
    rows[row] = value
    return rows


def recipe(key, value):
    return document(SELECTION, lambda found: found["recipe"].update({key: value}))


def _judged(**changes):
    return {"ids": ["ab" * 32], "truth": [0], "predicted": [0], "confidence": [0.5]} | changes


FORGED = {
    "hash of another form": example("hash", "ab" * 31),
    "hash in capitals": example("hash", "AB" * 32),
    "a picture that is not there": example("hash", "ab" * 32),
    "an empty label": example("label", ""),
    "a label with white space": example("label", " apple"),
    "a label that is not NFC": example("label", "e\u0301"),
    "a label with a line break": example("label", "a\nb"),
    "a label that is a number": example("label", 3),
    "a label of a thousand": example("label", "a" * 1000),
    "an unknown split": example("split", "train"),
    "an unknown state": example("state", "gone"),
    "a former label that is none": example("relabelled", {"former": " ", "at": 1.0}),
    "a relabelling without its time": example("relabelled", {"former": "a"}),
    "a relabelling that is none": example("relabelled", "a"),
    "a conflict without labels": example("state", "conflict"),
    "labels without a conflict": example("conflict_labels", ["a"]),
    "settled labels that are none": example("settled_labels", [""]),
    "a source with half a surrogate pair": example("source", "\ud800"),
    "a source with NUL": example("source", "a\0b"),
    "a width of another kind": example("width_px", 3.5),
    "a width that is true": example("width_px", True),
    "a width of the picture's not": example("width_px", 999),
    "a negative height": example("height_px", -1),
    "a perceptual hash that is none": example("perceptual_hash", "xyz"),
    "a time that is text": example("created_at", "now"),
    "a time that is endless": example("created_at", float("inf")),
    "a time of a thousand digits": example("created_at", 10**1000),
    "metadata that is a list": example("metadata", []),
    "metadata of numbers": example("metadata", {"a": 1}),
    "metadata with NUL in a name": example("metadata", {"a\0": "b"}),
    "a finding that there is not": example("kept", ["nothing"]),
    "a centrality that is text": example("centrality", "high"),
    "an image flag that is text": example("image", "yes"),
    "an image that is denied": example("image", False),
    "a line that is no object": lambda members: members | {LINES: b"[]\n" + members[LINES].split(b"\n", 1)[1]},
    "a line with a name twice": lambda members: (
        members | {LINES: members[LINES].replace(b'{"hash"', b'{"image":true,"hash"', 1)}
    ),
    "a line nested too deeply": lambda members: members | {LINES: b"[" * 100_000 + b"\n"},
    "a line without end": lambda members: members | {LINES: members[LINES][:-1]},
    "a line too many": lambda members: members | {LINES: members[LINES] + members[LINES].split(b"\n", 1)[0] + b"\n"},
    "a line twice": lambda members: (
        members | {LINES: b"\n".join([*members[LINES].split(b"\n")[:-2], members[LINES].split(b"\n")[0]]) + b"\n"}
    ),
    "a dropped picture without labels": dropped({"hash": "ab" * 32, "labels": []}),
    "a dropped picture under no label": dropped({"hash": "ab" * 32, "labels": [" "]}),
    "a dropped picture without a hash": dropped({"hash": "x", "labels": ["a"]}),
    "a dropped picture twice": dropped(*[{"hash": "ab" * 32, "labels": ["a"]}] * 2),
    "an embedding that is not finite": embeddings(lambda rows: _one(rows, 5, np.nan)),
    "an embedding of no length": embeddings(lambda rows: _one(rows, 5, 0.0)),
    "an embedding that is too long": embeddings(lambda rows: _one(rows, 5, 1.0)),
    "a row too few": embeddings(lambda rows: rows[:-1]),
    "a column too few": embeddings(lambda rows: rows[:, :-1].copy()),
    "an array of objects": lambda members: members | {ROWS: members[ROWS].replace(b"<f4", b"|O ")},
    "an array of doubles": lambda members: members | {ROWS: members[ROWS].replace(b"<f4", b"<f8")},
    "a shape that would fill the memory": lambda members: (
        members | {ROWS: members[ROWS].replace(b"(24, 8)", b"(2400000000, 8)")}
    ),
    "an unknown format": setting("manifest.json", "format", 2),
    "an encoder that there is not": setting("manifest.json", "encoder", "other"),
    "no fingerprint": setting("manifest.json", "fingerprint", None),
    "another width": document("manifest.json", lambda found: found["fingerprint"].update(dimension=9)),
    "a width without end": document("manifest.json", lambda found: found["fingerprint"].update(dimension=10**12)),
    "an example too many": document("manifest.json", lambda found: found["counts"].update(examples=25)),
    "a selection too many": document("manifest.json", lambda found: found["counts"].update(selections=3)),
    "a selection too few": document(
        "manifest.json", lambda found: found.update(active=0) or found["counts"].update(selections=1)
    ),
    "an image too many": document("manifest.json", lambda found: found["counts"].update(images=25)),
    "an active selection that is not there": setting("manifest.json", "active", 2),
    "parts of no examples": setting("manifest.json", "part_examples", 0),
    "parts that fill the memory": setting("manifest.json", "part_examples", 10**6),
    "a member under another label": lambda members: with_line(
        members, MEMBERS, 0, lambda line: line.update(label="melon")
    ),
    "a member that is no example": lambda members: with_line(
        members, MEMBERS, 0, lambda line: line.update(hash="ab" * 32)
    ),
    "a member twice": lambda members: (
        members | {MEMBERS: b"\n".join([members[MEMBERS].split(b"\n")[0], *members[MEMBERS].split(b"\n")[:-2]]) + b"\n"}
    ),
    "a chosen member that is provisional": lambda members: with_line(
        members, MEMBERS, 0, lambda line: line.update(provisional=True)
    ),
    "more chosen than there are": setting(SELECTION, "chosen", 5),
    "wider than the embeddings": setting(SELECTION, "width", 9),
    "another width of projections": setting(SELECTION, "width", 4),
    "a head of another kind": setting(SELECTION, "head", "deep"),
    "a head that is a number": setting(SELECTION, "head", 3),
    "a seed that is too large": setting(SELECTION, "seed", 2**63),
    "thresholds of text": setting(SELECTION, "thresholds", {"apple": "x"}),
    "a recipe without temperature": recipe("temperature", 0),
    "a recipe of text": recipe("pull", "all"),
    "a recipe that counts nothing": recipe("per_label", 0),
    "a strategy that there is not": recipe("strategy", "magic"),
    "shares of labels that are text": recipe("class_shares", {"apple": "x"}),
    "figures that are a list": setting(SELECTION, "figures", []),
    "a policy that cannot be read": setting(SELECTION, "figures", {"policy": {"trust": 3}}),
    "verification that cannot be read": setting(SELECTION, "figures", {"verification": {"pictures": {"otsu": {}}}}),
    "judgements by id": document("selections/001/report.json", lambda found: found.update(judged=_judged(ids=["x"]))),
    "judgements without answers": document(
        "selections/001/report.json", lambda found: found.update(judged=_judged(truth=[]))
    ),
    "judgements of text": document(
        "selections/001/report.json", lambda found: found.update(judged=_judged(confidence=["x"]))
    ),
    "judgements that are a list": document("selections/001/report.json", lambda found: found.update(judged=[])),
    "a matrix that is not square": document(
        "selections/001/report.json", lambda found: found.update(confusion={"labels": ["a"], "matrix": [[1, 2]]})
    ),
    "a matrix without rows": document(
        "selections/001/report.json", lambda found: found.update(confusion={"labels": ["a"], "matrix": []})
    ),
    "a report that is a list": lambda members: members | {"selections/001/report.json": b"[]"},
}


@pytest.mark.parametrize("what", FORGED)
def test_what_is_forged_is_refused(whole, members, what):
    """With every size and hash made to fit: only what the content itself says is wrong."""
    forged = FORGED[what](members)
    assert forged != members
    refused(whole[0], packed(forged))


def test_an_image_of_other_bytes_is_refused(whole, members):
    name = next(name for name in members if name.startswith("images/"))
    refused(whole[0], packed(members | {name: members[name] + b" "}), "was changed")


def test_an_image_that_is_no_picture_is_refused(whole, members):
    import hashlib

    row = json.loads(members[LINES].splitlines()[0])
    junk = b"no picture"
    found = hashlib.sha256(junk).hexdigest()
    changed = {name: data for name, data in members.items() if name != f"images/{row['hash']}"}
    changed |= {f"images/{found}": junk}
    changed = {name: data.replace(row["hash"].encode(), found.encode()) for name, data in changed.items()}
    refused(whole[0], packed(changed), "no picture")


def test_a_picture_of_another_size_than_its_row_says_is_refused(whole, members):
    name = next(name for name in members if name.startswith("images/"))
    row = json.loads(members[LINES].splitlines()[0])
    assert f"images/{row['hash']}" == name
    told = {"width_px": 9, "height_px": 9}
    message = refused(whole[0], packed(with_line(members, LINES, 0, lambda line: line.update(told))))
    assert "its example says 9 x 9" in message
    assert picture("a", 1)


def test_a_line_that_never_ends_is_not_kept_in_memory(whole, members):
    refused(whole[0], packed(members | {LINES: b"x" * 6_000_000}), "line 1 has more than")
