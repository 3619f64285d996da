from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from service.core.agreement import WITH_ANSWERS, compared, compared_with_class
from service.core.projection import Head
from service.errors import Busy, CatalogueNotFound, ImageRejected, InvalidInput, NotFound
from service.usecases.context import partition_of
from service.usecases.publish import publish
from service.usecases.reading import read_pictures
from service.usecases.resolver import Resolver
from service.usecases.verify import verify_label, verify_pictures
from tests.fakes import FakeEncoder, picture
from tests.usecases.serving import draft, fruit_of, no_sleep, stocked, watched

A, B = (("a.png", picture("a", seed=1)), ("b.png", picture("b", seed=2)))


def measured(threshold: float) -> dict:
    return {
        "otsu": {"threshold": threshold, "tpr": 0.9, "tnr": 0.8},
        "eer": {"threshold": threshold + 3.0, "tpr": 0.7, "tnr": 0.6},
        "eer_rate": 0.15,
        "same": 10,
        "different": 20,
        "measured_on": "holdout",
    }


def served(tmp_path, pictures: float = 0.0, labels: float = 0.0, per_label: int = 2):
    context, _ = stocked(tmp_path)
    return context, published(context, pictures, labels, per_label)


def published(context, pictures: float = 0.0, labels: float = 0.0, per_label: int = 2, compared=WITH_ANSWERS, by=None):
    set_on = {"pictures": measured(pictures) | {"compared": compared}, "labels": measured(labels) | {"compared": by}}
    made = replace(draft(context, per_label=per_label), figures={"verification": set_on})
    return publish(context, fruit_of(context), made, sleep=no_sleep)


def embeddings(context, *pictures):
    return read_pictures(context, FakeEncoder(), "acme", [data for _, data in pictures]).embeddings


def test_two_pictures_are_compared_behind_the_head_that_serves(tmp_path):
    context, selection = served(tmp_path, pictures=-1.0)
    head = Head.from_bytes(context.blobs.get(selection.head_blob))
    one, other = head.project(embeddings(context, A, B))
    resolved = Resolver(context).resolve(fruit_of(context), embeddings(context, A, B), top=5)
    tops = [prediction.top for prediction in resolved.predictions]
    assert all(len(top) == 3 for top in tops)
    expected = compared(float(one @ other), *tops, resolved.serving.recipe.temperature)
    answer = verify_pictures(context, "acme", "fruit", A, B)
    assert answer == {
        "same": True,
        "similarity": pytest.approx(expected),
        "threshold": -1.0,
        "rule": "otsu",
        "tpr": 0.9,
        "tnr": 0.8,
        "eer": 0.15,
        "same_pairs": 10,
        "different_pairs": 20,
        "selection": selection.id,
        "measured_on": "holdout",
    }
    json.dumps(answer)
    strict = verify_pictures(context, "acme", "fruit", A, B, rule="eer")
    assert (strict["same"], strict["threshold"], strict["tpr"], strict["rule"]) == (False, 2.0, 0.7, "eer")
    assert verify_pictures(context, "acme", "fruit", A, A)["similarity"] == pytest.approx(1.0)


def test_the_threshold_itself_is_the_same_class(tmp_path):
    context, _ = served(tmp_path / "first")
    similarity = verify_pictures(context, "acme", "fruit", A, B)["similarity"]
    for threshold, same in ((similarity, True), (np.nextafter(similarity, 2.0), False)):
        published(context, pictures=float(threshold))
        assert verify_pictures(context, "acme", "fruit", A, B)["same"] is same


def test_thresholds_that_were_set_on_the_cosine_are_held_against_the_cosine(tmp_path):
    context, _ = served(tmp_path)
    selection = published(context, compared=None)
    one, other = Head.from_bytes(context.blobs.get(selection.head_blob)).project(embeddings(context, A, B))
    answer = verify_pictures(context, "acme", "fruit", A, B)
    assert (answer["selection"], answer["similarity"]) == (selection.id, pytest.approx(float(one @ other)))


@pytest.mark.parametrize("per_label", [1, 2])
def test_a_picture_is_compared_with_a_class_by_its_score(tmp_path, per_label):
    context, _ = served(tmp_path, per_label=per_label)
    (prediction,) = Resolver(context).resolve(fruit_of(context), embeddings(context, A), top=3).predictions
    for scored in prediction.top:
        answer = verify_label(context, "acme", "fruit", A, scored.label)
        assert answer["similarity"] == pytest.approx(scored.score, abs=1e-6)
        assert answer["same"] == (scored.score >= 0.0)


def test_a_picture_is_compared_with_a_class_by_its_probability_too(tmp_path):
    context, _ = served(tmp_path)
    published(context, by=WITH_ANSWERS)
    resolved = Resolver(context).resolve(fruit_of(context), embeddings(context, A), top=5)
    (prediction,) = resolved.predictions
    for scored in prediction.top:
        expected = compared_with_class(scored.score, prediction.top, resolved.serving.recipe.temperature)
        assert expected > scored.score / 2
        assert verify_label(context, "acme", "fruit", A, scored.label)["similarity"] == pytest.approx(
            expected, abs=1e-6
        )


def test_a_class_without_a_reference_is_not_found(tmp_path):
    context, _ = served(tmp_path)
    with pytest.raises(NotFound, match=r"'durian' .* apple, pear, plum"):
        verify_label(context, "acme", "fruit", A, "durian")
    with pytest.raises(CatalogueNotFound):
        verify_label(context, "other", "fruit", A, "apple")


def test_without_thresholds_that_is_said(tmp_path):
    context, _ = stocked(tmp_path)
    with pytest.raises(InvalidInput, match=r"run `holotype optimise fruit` .* first"):
        verify_pictures(context, "acme", "fruit", A, B)
    publish(context, fruit_of(context), draft(context), sleep=no_sleep)
    for call in (
        lambda: verify_pictures(context, "acme", "fruit", A, B),
        lambda: verify_label(context, "acme", "fruit", A, "apple"),
    ):
        with pytest.raises(InvalidInput, match="ingest more and run"):
            call()


def test_what_cannot_be_compared_is_refused(tmp_path):
    context, _ = served(tmp_path)
    with pytest.raises(ImageRejected, match=r"broken\.png: the file is no picture"):
        verify_pictures(context, "acme", "fruit", A, ("broken.png", b"no picture"))
    with pytest.raises(InvalidInput, match="rule 'median'"):
        verify_pictures(context, "acme", "fruit", A, B, rule="median")


def test_a_pointer_that_moves_meanwhile_is_told(tmp_path):
    context, _ = served(tmp_path)
    seen, store = watched(context)

    def move(name, arguments):
        if name == "nearest":
            publish(context, fruit_of(context), draft(context, skip=1, seed=1), sleep=no_sleep)

    store.after = move
    with pytest.raises(Busy, match="changed while the picture was compared"):
        verify_label(seen, "acme", "fruit", A, "apple")
    assert partition_of(fruit_of(context)).tenant == "acme"
