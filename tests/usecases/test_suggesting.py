"""Label this next: which pictures of a folder are named, in which order, and which are left out."""

import os
from pathlib import Path

import numpy as np
import pytest

from service.errors import CatalogueNotFound, InvalidInput, NothingToServe
from service.usecases.resolver import Resolver
from service.usecases.suggesting import LIKELY, STAGE, suggest_next
from tests.fakes import FAKE_ENCODER, fake_context, fruit, ingested, picture, write_pictures
from tests.usecases.serving import fruit_of, stocked


def suggested(context, folder, count=20, on_progress=lambda *_: None):
    return suggest_next(context, "acme", "fruit", folder, count, on_progress)


@pytest.fixture
def unlabelled(tmp_path):
    """Nine new pictures, some deeper in the folder."""
    pictures = {f"{'deep/er/' * (n % 2)}new{n}.png": picture(f"new{n}", 9000 + n) for n in range(9)}
    return write_pictures(tmp_path / "unlabelled", pictures)


@pytest.fixture
def context(tmp_path):
    return stocked(tmp_path / "labelled")[0]


def test_the_most_doubtful_comes_first_with_what_is_likely(context, unlabelled):
    found = suggested(context, unlabelled)
    assert [one.rank for one in found] == list(range(1, 10))
    assert {one.path for one in found} == {str(path) for path in unlabelled.rglob("*.png")}
    margins = [one.prediction.margin for one in found]
    assert margins[0] == min(margins)
    first = found[0].as_dict()
    assert set(first) == {"path", "rank", "likely", "margin", "why"}
    assert len(first["likely"]) == LIKELY
    best, second = first["likely"][:2]
    assert first["margin"] == pytest.approx(best["score"] - second["score"])
    assert (
        first["why"]
        == f"the most in doubt of what is left: {best['label']} ({best['score']:.3f}) or {second['label']} "
        f"({second['score']:.3f})"
    )
    assert "similarity to those before it at most" in found[1].why


def test_what_is_listed_for_its_difference_says_so(context, tmp_path):
    """Three copies in all but bytes of the most doubtful, and one that is surely something: it comes second."""
    doubtful = {f"same{n}.png": picture(f"same{n}", 9200) for n in range(3)}
    sure = {"sure.png": picture("sure", 9100)}
    found = suggested(context, write_pictures(tmp_path / "odd", doubtful | sure))
    margins = {Path(one.path).name: one.prediction.margin for one in found}
    assert margins["sure.png"] > margins["same0.png"], "or the pictures must be others"
    assert Path(found[1].path).name == "sure.png"
    assert found[1].why.startswith("unlike those before it (similarity to those before it at most ")
    assert ", though others are more in doubt: " in found[1].why
    assert all(found[place].why.startswith("the most in doubt of what is left: ") for place in (0, 2, 3))


def test_answers_are_those_that_serve(context, unlabelled):
    found = suggested(context, unlabelled)
    encoder = context.encoders.load(FAKE_ENCODER)
    for one in found:
        with Path(one.path).open("rb") as file:
            embedding = encoder.encode([encoder.preprocess(context.decoder.decode(file.read(), 1).pixels)])
        (answer,) = Resolver(context).resolve(fruit_of(context), embedding, LIKELY).predictions
        assert [top.label for top in one.prediction.top] == [top.label for top in answer.top]
        assert one.prediction.margin == pytest.approx(answer.margin, abs=1e-6)


def test_no_more_than_asked_and_the_same_again(context, unlabelled):
    four = suggested(context, unlabelled, count=4)
    assert len(four) == 4
    assert four == suggested(context, unlabelled, count=4)


def test_stored_pictures_and_copies_are_left_out_and_broken_ones_told(context, unlabelled):
    write_pictures(
        unlabelled,
        {
            "known.png": fruit(1)["apple/0.png"],
            "copy.png": picture("new0", 9000),
            "broken.png": b"no picture",
            "old.gif": b"GIF89a",
            "notes.txt": b"no name of a picture",
        },
    )
    found = suggested(context, unlabelled)
    usable = [one for one in found if one.rank is not None]
    assert len(usable) == 9
    assert not any(one.path.endswith("known.png") for one in found)
    refused = {one.path.rsplit("/", 1)[-1]: one.as_dict()["error"] for one in found[9:]}
    assert set(refused) == {"broken.png", "old.gif"}
    assert refused["old.gif"].endswith("convert it to JPEG, PNG or WebP")


def test_a_file_that_may_not_be_read_is_told(context, unlabelled, monkeypatch):
    opened = os.open

    def refuse(path, *mode):
        if Path(path).name == "new0.png":
            raise PermissionError(13, "Permission denied")
        return opened(path, *mode)

    monkeypatch.setattr(os, "open", refuse)
    last = suggested(context, unlabelled)[-1]
    assert last.as_dict() == {
        "path": str(unlabelled / "new0.png"),
        "error": "it cannot be read (Permission denied): check its permissions",
    }


def test_copies_in_all_but_bytes_come_last(context, tmp_path):
    pictures = {f"same{n}.png": picture(f"same{n}", 9100) for n in range(3)} | {"other.png": picture("other", 9200)}
    found = suggested(context, write_pictures(tmp_path / "alike", pictures))
    names = [one.path.rsplit("/", 1)[-1] for one in found]
    assert "other.png" in names[:2]
    assert np.isclose(float(found[-1].why.rsplit(" ", 1)[-1]), 1.0)


def test_progress_counts_every_file(context, unlabelled):
    told = []
    suggested(context, unlabelled, on_progress=lambda *step: told.append(step))
    assert told[0] == (STAGE, 0, 9)
    assert told[-1] == (STAGE, 9, 9)


def test_one_class_is_said_to_be_the_only_one(tmp_path, unlabelled):
    context = fake_context()
    ingested(context, write_pictures(tmp_path / "one", fruit(3, ("apple",))))
    assert "the only class" in suggested(context, unlabelled)[0].why


def test_what_cannot_be_asked_is_said(context, tmp_path, unlabelled):
    with pytest.raises(InvalidInput, match="is not a folder"):
        suggested(context, tmp_path / "none")
    with pytest.raises(InvalidInput, match="count is 0"):
        suggested(context, unlabelled, count=0)
    with pytest.raises(CatalogueNotFound):
        suggest_next(context, "other", "fruit", unlabelled, 3, lambda *_: None)
    context.registry.create_catalogue("acme", "empty", FAKE_ENCODER)
    with pytest.raises(NothingToServe):
        suggest_next(context, "acme", "empty", unlabelled, 3, lambda *_: None)
    (tmp_path / "nothing").mkdir()
    assert suggested(context, tmp_path / "nothing") == []
