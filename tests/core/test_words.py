"""Words and pictures weighed against each other, by hand."""

import numpy as np
import pytest

from service.core.model import Neighbour
from service.core.voting import vote
from service.core.words import DEFAULT_FADE, FADES, MIN_ANSWERS, Blend, Evidence, Scale, chosen_blend, scale_of
from service.errors import InvalidInput, NothingToServe

BLEND = Blend(2.0, image=Scale(0.5, 0.4), text=Scale(0.25, 0.1))


@pytest.mark.parametrize(("images", "weight"), [(0, 1), (1, 2 / 3), (2, 0.5), (6, 0.25), (20, 2 / 22)])
def test_the_weight_of_words_fades(images, weight):
    assert BLEND.weight(images) == pytest.approx(weight)


def test_without_a_fade_words_count_for_classes_without_pictures_alone():
    none = Blend(0.0)
    assert (none.weight(0), none.weight(1)) == (1, 0)


@pytest.mark.parametrize(("similarity", "score"), [(0.25, 0.5), (0.30, 0.7), (0.20, 0.3), (0.35, 0.9)])
def test_what_separates_by_words_is_worth_what_separates_by_pictures(similarity, score):
    assert BLEND.on_image_scale(similarity) == pytest.approx(score)
    assert BLEND.score(None, similarity, 0) == pytest.approx(score)


def test_the_blend_by_hand():
    # two pictures: half of 0.6, half of 0.7
    assert BLEND.score(0.6, 0.30, 2) == pytest.approx(0.65)
    # its pictures are no longer counted, yet one answers: as one picture
    assert BLEND.score(0.6, 0.30, 0) == pytest.approx(0.6 / 3 + 0.7 * 2 / 3)


def test_twenty_pictures_are_hardly_moved_by_default():
    blend = Blend()
    assert blend.weight(20) == pytest.approx(1 / 21)
    assert abs(blend.score(0.80, 0.10, 20) - 0.80) < 0.015  # words that deny it altogether


def test_a_blend_comes_back_from_its_json():
    assert Blend.from_dict(BLEND.as_dict()) == BLEND


@pytest.mark.parametrize(
    "wrong",
    [{"fade": -1.0}, {"fade": float("nan")}, {"image": {"middle": 0.5, "spread": 0.0}}, {"text": {}}, {"text": 1}],
)
def test_what_is_no_blend_is_refused(wrong):
    with pytest.raises((InvalidInput, KeyError, TypeError)):
        Blend.from_dict(BLEND.as_dict() | wrong)


def test_a_scale_lies_between_own_classes_and_their_rivals():
    scores = np.array([[0.9, 0.3, 0.1], [0.5, 0.7, -np.inf], [0.2, 0.4, 0.8], [-np.inf, 0.9, 0.9]], dtype=np.float32)
    # own 0.9, 0.7, 0.8, rivals 0.3, 0.5, 0.4; the last row has no own score
    found = scale_of(scores, np.array([0, 1, 2, 0]))
    assert (found.middle, found.spread) == (pytest.approx(0.6), pytest.approx(0.4))
    assert scale_of(np.array([[0.1, 0.9]], dtype=np.float32), np.array([0])) is None, "worse than chance tells nothing"
    assert scale_of(np.array([[0.9, -np.inf]], dtype=np.float32), np.array([0])) is None
    assert scale_of(np.zeros((0, 2), dtype=np.float32), np.zeros(0, dtype=np.int64)) is None


def evidence(image, text, truth, images):
    return Evidence(
        np.asarray(image, dtype=np.float32),
        np.asarray(text, dtype=np.float32),
        np.asarray(truth, dtype=np.int64),
        np.asarray(images, dtype=np.int64),
    )


def test_rows_are_blended_as_single_scores_are():
    rng = np.random.default_rng(0)
    image, text = rng.normal(0.6, 0.1, (50, 4)), rng.normal(0.25, 0.05, (50, 4))
    image[:, 1], text[:, 2] = -np.inf, -np.inf
    images = rng.integers(0, 9, (50, 4))
    found = evidence(image, text, np.zeros(50), images).blended(BLEND)
    for row in range(50):
        for column in range(4):
            own = None if column == 1 else np.float32(image[row, column])
            expected = (
                own if column == 2 else BLEND.score(own, float(np.float32(text[row, column])), images[row, column])
            )
            assert found[row, column] == pytest.approx(expected)


def drawn(rows, image_noise, text_noise, classes=8, images=2, seed=0):
    """Scores on scales of their own: pictures about 0.7, words about 0.25."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, rows)
    right = np.eye(classes)[truth]
    image = 0.6 + 0.2 * right + rng.normal(0, image_noise, (rows, classes))
    text = 0.22 + 0.06 * right + rng.normal(0, text_noise, (rows, classes))
    return evidence(image, text, truth, np.full((rows, classes), images))


def accuracy(blended, truth):
    return float((blended.argmax(axis=1) == truth).mean())


def test_cross_fitting_trusts_what_is_right_more_often():
    words_better, _ = chosen_blend(drawn(400, 0.2, 0.01))
    pictures_better, _ = chosen_blend(drawn(400, 0.02, 0.06))
    assert words_better.weight(2) > 0.6
    assert pictures_better.weight(2) <= 1 / 3


def test_both_together_answer_better_than_either_on_pictures_that_chose_nothing():
    chosen, tried = chosen_blend(drawn(1000, 0.12, 0.036))
    unseen = drawn(1000, 0.12, 0.036, seed=1)
    together = accuracy(unseen.blended(chosen), unseen.truth)
    assert together > accuracy(unseen.image, unseen.truth) + 0.03
    assert together > accuracy(unseen.text, unseen.truth) + 0.03
    assert set(tried) == {f"{fade:g}" for fade in FADES}


def test_words_that_tell_nothing_fade_at_once():
    image = drawn(100, 0.1, 0.0)
    blend, tried = chosen_blend(evidence(image.image, np.full((100, 8), 0.2), image.truth, image.images))
    assert (blend.fade, tried) == (0.0, {})


def test_with_too_little_evidence_the_default_stays():
    few = drawn(MIN_ANSWERS - 1, 0.1, 0.01)
    blend, tried = chosen_blend(few)
    assert (blend.fade, tried) == (DEFAULT_FADE, {})


def test_fades_that_are_equally_right_stay_near_the_default():
    blend, _ = chosen_blend(drawn(200, 0.001, 0.0001))
    assert blend.fade == DEFAULT_FADE


def test_a_vote_takes_the_blend_and_classes_that_only_it_knows():
    neighbours = [Neighbour("1", "owl", 0.9), Neighbour("2", "rook", 0.8)]
    found = vote(neighbours, 1, 0.1, 5, lambda scores: {**scores, "owl": scores["owl"] - 0.2, "jay": 0.95})
    assert [(one.label, round(one.score, 6)) for one in found.top] == [("jay", 0.95), ("rook", 0.8), ("owl", 0.7)]
    assert found.margin == pytest.approx(0.15)
    assert [one.example_id for one in found.neighbours] == ["1", "2"]
    assert vote([], 1, 0.1, 5, lambda _: {"jay": 0.5}).neighbours == ()
    with pytest.raises(NothingToServe):
        vote([], 1, 0.1, 5, lambda scores: scores)
