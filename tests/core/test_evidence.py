from __future__ import annotations

import numpy as np
import pytest

from service.core.crossfit import CrossFitter
from service.core.evidence import Evidence, evidence_of, learnt, whole_share, with_strangers
from service.core.recipe import Recipe
from service.core.trust import fit_nearness, fit_trust, readings, summed, with_nearness
from service.core.unknowns import UNKNOWN, UNKNOWN_SHARE, Answers, out_of_fold, strangers
from tests.core.clusters import clusters

PARTS = np.arange(400) // 80


def answers(raw: np.ndarray, truth: np.ndarray | None = None) -> Answers:
    """400 answers of scores that tell nothing; every other picture is unknown, unless `truth` is given."""
    scores = np.random.default_rng(0).uniform(0, 1, (400, 4)).astype(np.float32)
    if truth is None:
        truth = np.where(np.arange(400) % 2, scores.argmax(axis=1), UNKNOWN)
    return Answers(scores, truth, raw.astype(np.float32), PARTS)


def telling() -> np.ndarray:
    return np.where(np.arange(400) % 2, 0.7, 0.3) + np.random.default_rng(1).normal(0, 0.1, 400)


def drawn(count: int = 400, seed: int = 0) -> Evidence:
    """Right by the first reading, known by the nearness; a tenth of the known named wrongly."""
    random = np.random.default_rng(seed)
    known = random.random(count) < 0.6
    right = known & (random.random(count) < 0.9)
    table = random.uniform(0, 1, (count, 4))
    table[:, 0] += right
    table[:, 3] += known
    weights = np.where(known, 1.0, 0.25)
    return Evidence(table, right, known, np.zeros(count, dtype=np.int64), weights, np.arange(count) % 4)


def test_answers_are_read_as_they_are() -> None:
    found = answers(telling())
    evidence = evidence_of(found, 0.1)
    np.testing.assert_array_equal(evidence.table, with_nearness(readings(found.scores, 0.1), found.raw))
    np.testing.assert_array_equal(evidence.named, found.scores.argmax(axis=1))
    np.testing.assert_array_equal(evidence.weights, found.weights)


def test_with_many_classes_nearness_is_read_where_it_tells_more() -> None:
    """Scores alike for known and unknown; the raw similarity tells them apart, or misleads in every other part."""
    turning = np.where(PARTS % 2, -1, 1)
    for raw, weights in ((telling(), 4), (telling() * turning, 3)):
        assert len(learnt(evidence_of(answers(raw), 0.1), 10).model.weights) == weights


def test_without_unknown_pictures_nothing_says_what_nearness_is_worth() -> None:
    scores = answers(telling()).scores
    known = answers(telling(), np.where(np.arange(400) % 2, scores.argmax(axis=1), scores.argmin(axis=1)))
    for classes in (2, 10):
        assert len(learnt(evidence_of(known, 0.1), classes).model.weights) == 3


@pytest.mark.parametrize(("classes", "share"), [(1, 0.0), (2, 0.0), (6, 0.5), (10, 1.0), (81, 1.0)])
def test_the_whole_model_counts_by_as_much_as_there_are_classes(classes: int, share: float) -> None:
    assert whole_share(classes) == share
    evidence = drawn()
    table, known = evidence.table, evidence.known
    whole = fit_trust(table, evidence.right, evidence.weights)
    near = fit_nearness(table[:, 3], known, evidence.weights)
    named = fit_trust(table[known, :3], evidence.right[known])
    expected = summed([(share, whole), (1 - share, near), (1 - share, named)])
    found = learnt(evidence, classes)
    assert found.model.weights == pytest.approx(expected.weights)
    assert found.model.bias == pytest.approx(expected.bias)
    # Each part by what was learnt without it: the same model but for what the part said.
    assert np.abs(found.trust - found.model.probabilities(table)).mean() < 0.05
    assert not np.array_equal(found.trust, found.model.probabilities(table))


def test_nearness_alone_leads_where_no_known_picture_was_named_wrongly() -> None:
    evidence = drawn()
    sure = Evidence(evidence.table, evidence.known, evidence.known, evidence.named, evidence.weights, evidence.part_of)
    model = learnt(sure, 2).model
    assert model.weights[:3] == (0.0, 0.0, 0.0)
    assert model.weights[3] > 0


def test_too_few_of_either_kind_teach_nothing() -> None:
    evidence = drawn(12)
    few = Evidence(*(getattr(evidence, name)[:8] for name in Evidence.__slots__))
    assert learnt(few, 2) is None
    assert learnt(few, 10) is None


def few_wrong(wrong: int) -> Evidence:
    """Of 100 known pictures so many named wrongly, dealt over the parts; 100 unknown ones."""
    known = np.arange(200) < 100
    right = known & ~np.isin(np.arange(200), np.arange(wrong) * 7)
    table = np.random.default_rng(3).uniform(0, 1, (200, 4))
    table[:, 3] += known
    return Evidence(table, right, known, np.zeros(200, dtype=np.int64), np.ones(200), np.arange(200) % 4)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize(("wrong", "named"), [(0, False), (4, False), (6, False), (12, True)])
def test_parts_are_judged_by_models_of_the_kind_that_is_served(classes: int, wrong: int, named: bool) -> None:
    """Six wrong ones suffice for all answers together, not for each three quarters of them: they count nowhere."""
    evidence = few_wrong(wrong)
    found = learnt(evidence, classes)
    near = fit_nearness(evidence.table[:, 3], evidence.known, evidence.weights)
    only_near = found.model.weights[:3] == (0.0, 0.0, 0.0) and found.model.weights[3] == pytest.approx(near.weights[3])
    assert only_near == (classes == 2 and not named)
    for part in range(4):
        inside = evidence.part_of == part
        logits = np.log(found.trust[inside] / (1 - found.trust[inside]))
        assert np.abs(logits - found.model.logits(evidence.table[inside])).mean() < 3.0


def test_where_no_answer_is_right_nothing_is_learnt() -> None:
    evidence = few_wrong(0)
    nobody = np.zeros(200, dtype=bool)
    wrong = Evidence(evidence.table, nobody, evidence.known, evidence.named, evidence.weights, evidence.part_of)
    for classes in (2, 5, 10):
        assert learnt(wrong, classes) is None


def test_where_hardly_any_unknown_picture_was_asked_the_whole_model_is_alone() -> None:
    evidence = drawn(400)
    rows = evidence.known | (np.cumsum(~evidence.known) <= 5)
    few = Evidence(*(getattr(evidence, name)[rows] for name in Evidence.__slots__))
    assert learnt(few, 4).model.weights == pytest.approx(learnt(few, 10).model.weights)


def test_of_two_classes_each_picture_is_unknown_once() -> None:
    data = clusters([12, 9], noise=0.5)
    fitter = CrossFitter(data, 0)
    recipe = Recipe(strategy="medoids", medoids=3, head="within", pull=0.3)
    whole = out_of_fold(fitter, recipe, all_serve=False, leave_out=False)
    evidence = with_strangers(whole, fitter, 0.1)
    assert (int(evidence.known.sum()), int((~evidence.known).sum())) == (21, 21)
    assert not evidence.right[~evidence.known].any()
    unknown = evidence.weights[~evidence.known].sum() / evidence.weights.sum()
    assert unknown == pytest.approx(UNKNOWN_SHARE)
    np.testing.assert_array_equal(evidence.table[21:, :3], np.tile(np.median(evidence.table[:21, :3], axis=0), (21, 1)))
    assert evidence.table[:21, 3].mean() > evidence.table[21:, 3].mean()


def test_strangers_are_as_near_as_the_other_classes_support() -> None:
    data = clusters([12, 9, 7], noise=0.5)
    fitter = CrossFitter(data, 0)
    found = strangers(fitter)
    expected = []
    for fold in range(fitter.folds):
        support, _, judged = fitter.roles(fold)
        for code in np.unique(data.codes[judged]):
            others = support[data.codes[support] != code]
            for row in judged[data.codes[judged] == code]:
                similarities = data.embeddings[others] @ data.embeddings[row]
                expected.append((similarities.max(), data.codes[others[similarities.argmax()]], fold))
    assert len(expected) == len(data)
    np.testing.assert_allclose(found.nearness, [one[0] for one in expected], atol=1e-6)
    np.testing.assert_array_equal(found.named, [one[1] for one in expected])
    np.testing.assert_array_equal(found.part_of, [one[2] for one in expected])


def test_one_class_has_no_strangers() -> None:
    data = clusters([12, 9], noise=0.5)
    assert strangers(CrossFitter(data.take(np.flatnonzero(data.codes == 0)), 0)) is None
