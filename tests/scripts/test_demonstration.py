"""The demo's material: the holdout takes no part, a fifth of the labels is wrong, and it is the same every time."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.bench.pictures import Pictures, folder_pictures
from scripts.demonstration import choose, look_alikes, prepare, set_aside, wrong_labels


def named(**counts: int) -> Pictures:
    """Pictures that need not be there."""
    rows = [(f"{label}/{number}.png", label) for label, count in counts.items() for number in range(count)]
    return Pictures("made up", tuple(Path(path) for path, _ in rows), tuple(label for _, label in rows))


def written(folder: Path, each: int = 10, burst: int = 3) -> Pictures:
    """Two classes of pictures of random blocks; the first `burst` of a class are shades of one."""
    random = np.random.default_rng(0)
    for label in ("moth", "wasp"):
        blocks = random.integers(0, 240, (each, 8, 8, 3)).astype(np.uint8)
        blocks[:burst] = blocks[0]
        for number, block in enumerate(blocks):
            path = folder / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(block + number % 3).resize((64, 64), Image.Resampling.NEAREST).save(path)
    return folder_pictures("images", folder)


@pytest.mark.parametrize("most", [None, 30, 100])
def test_few_pictures_are_all_taken(most):
    pictures = named(a=12, b=18)
    assert choose(pictures, most) == pictures


def test_of_many_the_same_are_taken_evenly():
    pictures = named(a=40, b=40, c=4)
    chosen = choose(pictures, 30)
    assert Counter(chosen.labels) == {"a": 10, "b": 10, "c": 4}
    assert choose(pictures, 30) == chosen
    assert [path.parent.name for path in chosen.paths] == list(chosen.labels)
    assert set(chosen.paths) <= set(pictures.paths)
    order = [pictures.paths.index(path) for path in chosen.paths]
    assert order == sorted(order) != list(range(len(order)))


def test_every_class_keeps_five_pictures():
    assert Counter(choose(named(**{f"c{i}": 9 for i in range(20)}), 40).labels) == {f"c{i}": 5 for i in range(20)}


def test_a_fifth_of_every_class_is_set_aside_but_never_its_only_picture():
    labels = named(a=20, b=10, c=2, d=1).labels
    holdout = set_aside(labels, np.arange(len(labels)))
    assert Counter(np.array(labels)[holdout].tolist()) == {"a": 4, "b": 2, "c": 1}
    assert np.array_equal(set_aside(labels, np.arange(len(labels))), holdout)


def test_groups_are_set_aside_whole():
    labels = named(a=30, b=9).labels
    groups = np.concatenate([np.arange(30) // 3, 10 + np.zeros(9, np.int64)])
    holdout = set_aside(labels, groups)
    assert all(len(set(holdout[groups == group].tolist())) == 1 for group in np.unique(groups))
    assert holdout.sum() == 6, "two of the ten groups of a, and b is one group"


@pytest.mark.parametrize(("count", "wrong"), [(50, 20), (7, 3), (1, 0)])
def test_exactly_a_fifth_of_the_labels_is_wrong(count, wrong):
    labels = list(named(a=count, b=count).labels)
    given = wrong_labels(labels)
    assert sum(one != other for one, other in zip(labels, given, strict=True)) == wrong
    assert set(given) <= {"a", "b"}
    assert wrong_labels(labels) == given
    assert labels == list(named(a=count, b=count).labels)


def test_one_class_cannot_be_mixed_up():
    assert wrong_labels(["a"] * 10) == ["a"] * 10


def test_bursts_look_alike_within_a_class(tmp_path):
    groups = look_alikes(written(tmp_path, each=6, burst=3))
    assert len(set(groups[:3].tolist())) == 1
    assert len(set(groups.tolist())) == 8


def test_what_is_no_picture_does_not_stop_it(tmp_path):
    written(tmp_path, each=4, burst=0)
    (tmp_path / "wasp" / "x.png").write_bytes(b"no picture")
    groups = look_alikes(folder_pictures("images", tmp_path)).tolist()
    assert len(groups) == len(set(groups)) == 9


def rows_of(manifest: Path) -> dict[str, str]:
    with manifest.open(encoding="utf-8", newline="") as file:
        return {row["path"]: row["label"] for row in csv.DictReader(file)}


def test_no_picture_of_the_holdout_is_handed_over(tmp_path):
    pictures = written(tmp_path / "images")
    material = prepare(pictures, tmp_path / "work")
    clean, noisy = rows_of(material.clean), rows_of(material.noisy)
    aside = {path.read_bytes() for path in material.holdout.glob("*/*")}
    handed = {Path(path).read_bytes() for path in clean}
    assert not aside & handed
    assert (len(aside), len(handed), material.pictures) == (20 - len(clean), len(clean), 20)
    truth = {str(path): label for path, label in zip(pictures.paths, pictures.labels, strict=True)}
    assert clean == {path: truth[path] for path in clean}
    assert all(path.parent.name in {"moth", "wasp"} for path in material.holdout.glob("*/*"))
    for path in material.holdout.glob("*/*"):
        assert path.read_bytes() == (tmp_path / "images" / path.parent.name / path.name).read_bytes()
    assert noisy.keys() == clean.keys()
    assert sum(noisy[path] != clean[path] for path in clean) == round(0.2 * len(clean)) > 0
    bursts = [{path.name for path in material.holdout.glob(f"{label}/[012].png")} for label in ("moth", "wasp")]
    assert all(len(names) in (0, 3) for names in bursts)


def test_the_material_is_the_same_every_time_and_another_of_other_pictures(tmp_path):
    pictures = written(tmp_path / "images")
    first = prepare(pictures, tmp_path / "work")
    before = {path: path.read_bytes() for path in (tmp_path / "work").rglob("*") if path.is_file()}
    (first.holdout / "stray.txt").write_text("left behind")
    assert prepare(pictures, tmp_path / "work") == first
    assert {path: path.read_bytes() for path in (tmp_path / "work").rglob("*") if path.is_file()} == before
    pictures.paths[0].unlink()
    Image.new("RGB", (64, 64), (1, 2, 3)).save(pictures.paths[0])
    assert prepare(pictures, tmp_path / "work").key != first.key
