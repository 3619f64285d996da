"""Embeddings of benchmark pictures: every picture is encoded once, whatever set it comes in next."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from scripts.bench import pictures
from scripts.bench.pictures import MissingDataError, Pictures, embedded, folder_pictures


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    for label in ("a", "b"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(3):
            pixels = random.integers(0, 255, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / label / f"{number}.png")
    return tmp_path / "data"


def counted(monkeypatch):
    seen = []
    own = pictures.PillowDecoder.decode

    def decode(self, data, *args, **kwargs):
        seen.append(data)
        return own(self, data, *args, **kwargs)

    monkeypatch.setattr(pictures.PillowDecoder, "decode", decode)
    return seen


def test_only_pictures_that_are_new_are_encoded(folder, monkeypatch):
    seen = counted(monkeypatch)
    all_of_them = folder_pictures("set", folder)
    part = Pictures("set", all_of_them.paths[:4], all_of_them.labels[:4])
    first = embedded(part, "pixel")
    assert len(seen) == 4
    whole = embedded(all_of_them, "pixel")
    assert len(seen) == 6
    assert np.array_equal(whole.embeddings[:4], first.embeddings)
    (folder / "a" / "0.png").rename(folder / "b" / "9.png")
    moved = embedded(folder_pictures("set", folder), "pixel")
    assert len(seen) == 6, "a picture is known by its content, not by its name"
    assert np.array_equal(moved.embeddings[-1], whole.embeddings[0])
    assert moved.codes.tolist() == [0, 0, 1, 1, 1, 1]
    assert moved.classes == ("a", "b")


def test_a_run_that_is_stopped_keeps_what_it_had(folder, monkeypatch):
    monkeypatch.setattr(pictures, "BATCH", 2)
    monkeypatch.setattr(pictures, "SAVE_BATCHES", 1)
    seen = counted(monkeypatch)
    bad = folder / "b" / "2.png"
    good = bad.read_bytes()
    bad.write_bytes(b"no picture")
    with pytest.raises(Exception, match=r".+"):
        embedded(folder_pictures("set", folder), "pixel")
    bad.write_bytes(good)
    before = len(seen)
    embedded(folder_pictures("set", folder), "pixel")
    assert len(seen) - before == 2, "the last batch only"


def test_a_folder_that_is_not_there_is_missing_data(tmp_path):
    with pytest.raises(MissingDataError, match="no folder"):
        folder_pictures("set", tmp_path / "nowhere")
