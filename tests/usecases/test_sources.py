"""Where pictures come from: folders, manifests, single files, and everything odd that lies among them."""

import json
import os
import re
import sys

import pytest

from service.errors import InvalidInput, ManifestError
from service.records import Split
from service.usecases.sources import Sources, find_sources
from tests.fakes import write_pictures

AUTO = Split.UNASSIGNED


def found(path, label=None, split=AUTO):
    """(path relative to the folder, label) of those that can be read."""
    root = path if path.is_dir() else path.parent
    return [(str(one.path.relative_to(root)), one.label) for one in find_sources(path, label, split) if not one.failure]


def failures(path, label=None):
    return {one.name: one.failure for one in find_sources(path, label, AUTO) if one.failure}


def test_a_folder_per_class(tmp_path):
    names = ["pear/b.png", "pear/a.JPG", "apple/red/one.webp", "apple/c.jpeg", "apple/d.jfif"]
    write_pictures(tmp_path, dict.fromkeys(names, b"x"))
    assert found(tmp_path) == [
        ("apple/c.jpeg", "apple"),
        ("apple/d.jfif", "apple"),
        ("apple/red/one.webp", "apple"),
        ("pear/a.JPG", "pear"),
        ("pear/b.png", "pear"),
    ]
    assert {one.split for one in find_sources(tmp_path, None, Split.TUNING)} == {Split.TUNING}


def test_hidden_and_foreign_files_are_passed_over(tmp_path):
    hidden = ["pear/.a.jpg", ".git/b.jpg", ".DS_Store", "pear/.x/c.jpg"]
    names = ["pear/a.jpg", "pear/Thumbs.db", "pear/notes.txt", *hidden]
    write_pictures(tmp_path, dict.fromkeys(names, b"x"))
    assert [one.path.name for one in find_sources(tmp_path, None, AUTO)] == ["a.jpg"]


JPEG, PNG, WEBP = b"\xff\xd8\xff\xe0\0\x10JFIF", b"\x89PNG\r\n\x1a\n\0\0", b"RIFF\n\0\n\0WEBPVP8 "


def test_pictures_are_known_by_their_first_bytes_whatever_their_names(tmp_path):
    pictures = {"pear/wrong.txt": JPEG, "pear/none": PNG, "pear/old.gif": WEBP, "pear/v1.2": JPEG}
    others = {"pear/a.txt": b"text", "pear/empty": b"", "pear/sound.wav": b"RIFF\n\0\n\0WAVEfmt ", "pear/.none": PNG}
    folder = write_pictures(tmp_path / "in", pictures | others)
    os.mkfifo(folder / "pear/pipe")
    (folder / "pear/link").symlink_to(write_pictures(tmp_path / "out", {"b": PNG}) / "b")
    assert [one.name for one in find_sources(folder, None, AUTO)] == [f"{folder}/{name}" for name in sorted(pictures)]
    assert failures(folder) == {}
    assert found(folder / "pear/none", label="pear") == [("none", "pear")]
    listed = manifest(folder, "path,label\npear/old.gif,pear\npear/a.gif,pear\n")
    assert found(listed) == [("pear/old.gif", "pear")]


def test_other_kinds_of_pictures_fail_with_advice(tmp_path):
    write_pictures(tmp_path, {"pear/a.jpg": b"x", "pear/b.GIF": b"x", "pear/c.heic": b"x"})
    assert failures(tmp_path) == {
        f"{tmp_path}/pear/b.GIF": ".GIF files are not read: convert it to JPEG, PNG or WebP",
        f"{tmp_path}/pear/c.heic": ".heic files are not read: convert it to JPEG, PNG or WebP",
    }


def test_pictures_directly_in_the_folder_need_a_label(tmp_path):
    write_pictures(tmp_path, {"a.jpg": b"x", "b.jpg": b"x"})
    with pytest.raises(InvalidInput, match=r"2 pictures lie directly in .* add --label"):
        list(find_sources(tmp_path, None, AUTO))
    assert found(tmp_path, label=" pear ") == [("a.jpg", "pear"), ("b.jpg", "pear")]


def test_a_stray_beside_classes_fails_alone(tmp_path):
    write_pictures(tmp_path, {"stray.jpg": b"x", "pear/a.jpg": b"x"})
    assert found(tmp_path) == [("pear/a.jpg", "pear")]
    assert "lies directly in PATH" in failures(tmp_path)[f"{tmp_path}/stray.jpg"]


def test_a_label_for_class_folders_is_refused(tmp_path):
    write_pictures(tmp_path, {"a.jpg": b"x", "apple/b.jpg": b"x", "pear/green/c.jpg": b"x", "plum/notes.txt": b"x"})
    said = f"2 pictures of {tmp_path} lie in folders of their own, such as {tmp_path}/apple: leave --label out, or give"
    with pytest.raises(InvalidInput, match=re.escape(said)):
        list(find_sources(tmp_path, "kiwi", AUTO))
    assert found(tmp_path / "apple", label="kiwi") == [("b.jpg", "kiwi")]


def test_a_folder_whose_name_is_no_label(tmp_path):
    write_pictures(tmp_path, {"a\nb/a.jpg": b"x", "pear/b.jpg": b"x"})
    assert found(tmp_path) == [("pear/b.jpg", "pear")]
    assert "control characters" in next(iter(failures(tmp_path).values()))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes any bytes for a name")
def test_names_that_are_not_utf8(tmp_path):
    write_pictures(tmp_path, {"pear/" + os.fsdecode(b"\xff.jpg"): b"x"})
    (source,) = find_sources(tmp_path, None, AUTO)
    assert source.failure is None
    assert source.path.read_bytes() == b"x"
    source.name.encode()


def test_links_are_not_followed_out_of_the_folder(tmp_path):
    write_pictures(tmp_path, {"in/pear/a.jpg": b"x", "out/b.jpg": b"x", "out/plum/c.jpg": b"x"})
    folder = tmp_path / "in"
    (folder / "pear/out.jpg").symlink_to(tmp_path / "out/b.jpg")
    (folder / "pear/same.jpg").symlink_to("a.jpg")
    (folder / "plum").symlink_to(tmp_path / "out/plum")
    (folder / "pear/up").symlink_to("..")
    assert found(folder) == [("pear/a.jpg", "pear"), ("pear/same.jpg", "pear")]
    assert {name.removeprefix(f"{folder}/"): reason.split(":")[0] for name, reason in failures(folder).items()} == {
        "pear/out.jpg": "it is a link that leads out of PATH and is not followed",
        "pear/up": "it is a linked folder, and links to folders are not followed",
        "plum": "it is a linked folder, and links to folders are not followed",
    }


def test_a_folder_without_pictures_gives_none(tmp_path):
    write_pictures(tmp_path, {"pear/readme.txt": b"x"})
    assert list(find_sources(tmp_path, None, AUTO)) == []


def test_single_pictures(tmp_path):
    write_pictures(tmp_path, {"a.jpg": b"x", "b.gif": b"x", "c.txt": b"x"})
    assert found(tmp_path / "a.jpg", label="pear") == [("a.jpg", "pear")]
    assert "convert" in failures(tmp_path / "b.gif", label="pear")[f"{tmp_path}/b.gif"]
    with pytest.raises(InvalidInput, match="add --label"):
        list(find_sources(tmp_path / "a.jpg", None, AUTO))
    with pytest.raises(InvalidInput, match="neither a picture"):
        list(find_sources(tmp_path / "c.txt", "pear", AUTO))


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(InvalidInput, match="is not there"):
        list(find_sources(tmp_path / "none", None, AUTO))


def test_a_label_that_is_none(tmp_path):
    with pytest.raises(InvalidInput, match="the label is empty"):
        list(find_sources(tmp_path, "  ", AUTO))


# ------------------------------------------------------------------------------------------------------------ manifests


def manifest(tmp_path, text, name="list.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_csv(tmp_path, separator, newline, mark):
    rows = [["Path", "Label", "split"], ["a.jpg", "pear", "support"], ["sub/b.png", " plum ", ""], []]
    path = manifest(tmp_path, mark + newline.join(separator.join(row) for row in rows))
    sources = list(find_sources(path, None, Split.HOLDOUT))
    assert [(one.path, one.label, one.split, one.failure) for one in sources] == [
        (tmp_path / "a.jpg", "pear", Split.SUPPORT, None),
        (tmp_path / "sub/b.png", "plum", Split.HOLDOUT, None),
    ]


def test_csv_fields_in_quotes_and_absolute_paths(tmp_path):
    path = manifest(tmp_path, f'label,other,path\n"pear, green",x,"a, b.jpg"\nplum,x,{tmp_path}/up/../c.jpg\n')
    assert [(one.path, one.label) for one in find_sources(path, None, AUTO)] == [
        (tmp_path / "a, b.jpg", "pear, green"),
        (tmp_path / "up/../c.jpg", "plum"),
    ]


def test_jsonl(tmp_path):
    first = {"path": "a.jpg", "label": "pear", "split": "auto"}
    lines = [first, {"path": "b.jpg", "label": 7}, {"path": "c\u2028.jpg"}]
    text = "\n\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    sources = list(find_sources(manifest(tmp_path, text, "list.jsonl"), "default", Split.SUPPORT))
    assert [(one.path.name, one.label, one.split) for one in sources] == [
        ("a.jpg", "pear", Split.UNASSIGNED),
        ("b.jpg", "7", Split.SUPPORT),
        ("c\u2028.jpg", "default", Split.SUPPORT),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",pear", "the line names no path"),
        ("a.jpg,", "the label is empty"),
        ("a.jpg", "the label is empty"),
        ("a.jpg,pear,train", "the split is 'train'; it must be one of auto, support, tuning, holdout"),
        ("a.jpg,pear,support,x", "the line has 4 fields, the header 3"),
        ("a.gif,pear", "convert it"),
    ],
)
def test_a_bad_csv_line_fails_alone_and_is_named(tmp_path, line, reason):
    path = manifest(tmp_path, f"path,label,split\ngood.jpg,pear\n{line}\nalso.jpg,pear\n")
    sources = list(find_sources(path, None, AUTO))
    assert [one.path.name for one in sources if not one.failure] == ["good.jpg", "also.jpg"]
    (bad,) = [one for one in sources if one.failure]
    assert reason in bad.failure
    assert bad.name.endswith(", line 3")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "it is not JSON"),
        ('{"path": "b.jpg", "label": "pear", "label": "fig"}', "'label' is given twice"),
        ("[1]", "it is not a JSON object"),
        ('{"path": ["a"], "label": "pear"}', 'path is not text: ["a"]'),
        ('{"path": 5, "label": "kiwi"}', "path is not text: 5"),
        ('{"path": true, "label": "kiwi"}', "path is not text: true"),
        ('{"path": "a.jpg", "label": ["kiwi"]}', "a text is needed"),
        ('{"path": "a\\u0000.jpg", "label": "pear"}', "NUL"),
        ('{"label": "pear"}', "names no path"),
        ("[" * 100_000, "it is not"),
    ],
)
def test_a_bad_json_line_fails_alone_and_is_named(tmp_path, line, reason):
    path = manifest(tmp_path, f'{{"path": "a.jpg", "label": "pear"}}\n{line}\n', "list.jsonl")
    good, bad = find_sources(path, None, AUTO)
    assert good.failure is None
    assert reason in bad.failure
    assert bad.name == f"{path}, line 2"


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("list.csv", "", "has the columns \\(none\\)"),
        ("list.csv", "file,class\na.jpg,pear\n", "lacks path and label"),
        ("list.csv", "path,label\n", "lists no picture"),
        ("list.csv", b"path,label\n\xff\xfe,x\n", "is not UTF-8 text"),
        ("list.csv", 'path,label\n"a,b\n', "is no CSV at line"),
        ("list.jsonl", "path,label\na.jpg,pear\n", "is no JSONL manifest: line 1"),
        ("list.csv", "path,Label,shop,label\na.jpg,pear,x,fig\n", "has the column 'label' twice"),
        ("list.jsonl", "\n\n", "lists no picture"),
        ("list.ndjson", b"\x89PNG\x0d\x0a", "is not UTF-8 text"),
    ],
)
def test_what_is_no_manifest(tmp_path, name, text, reason):
    with pytest.raises(ManifestError, match=reason):
        list(find_sources(manifest(tmp_path, text, name), None, AUTO))


def test_a_csv_without_labels_is_fine_with_a_label(tmp_path):
    assert found(manifest(tmp_path, "path\na.jpg\n"), label="pear") == [("a.jpg", "pear")]


def test_they_are_counted_at_once_and_walked_anew_each_time(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.jpg").write_bytes(b"\xff\xd8\xff")
    sources = Sources(tmp_path, "pear", AUTO)
    assert len(sources) == 3
    assert list(sources) == list(sources) == list(find_sources(tmp_path, "pear", AUTO))
    with pytest.raises(InvalidInput, match="is not there"):
        Sources(tmp_path / "nothing", "pear", AUTO)
