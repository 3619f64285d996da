from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from service.core.evaluation import REJECTED, bootstrap_interval, evaluate, mcnemar_p, paired_interval
from service.errors import InvalidInput

CLASSES = tuple("abcdefgh")


def scored(predicted: list[int], classes: int = len(CLASSES)) -> np.ndarray:
    scores = np.tile(np.linspace(0, 0.1, classes, dtype=np.float32), (len(predicted), 1))
    for row, code in enumerate(predicted):
        scores[row] = -np.inf if code == REJECTED else scores[row]
        if code != REJECTED:
            scores[row, code] = 1.0
    return scores


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=60))
def test_figures_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    true = np.array([t for t, _ in pairs])
    predicted = [p for _, p in pairs]
    evaluation = evaluate(true, scored(predicted), CLASSES)
    tested = sorted(set(true.tolist()))
    assert evaluation.accuracy == pytest.approx(np.mean(true == predicted))
    assert evaluation.macro_f1 == pytest.approx(
        f1_score(true, predicted, labels=tested, average="macro", zero_division=0)
    )
    assert evaluation.weighted_f1 == pytest.approx(
        f1_score(true, predicted, labels=tested, average="weighted", zero_division=0)
    )
    precision, recall, f1, images = precision_recall_fscore_support(true, predicted, labels=tested, zero_division=0)
    for row, code in enumerate(tested):
        expected = {"precision": precision[row], "recall": recall[row], "f1": f1[row], "images": images[row]}
        assert evaluation.per_class[CLASSES[code]] == pytest.approx(expected)
    assert evaluation.confusion.tolist() == confusion_matrix(true, predicted, labels=range(8)).tolist()


def test_classes_without_a_picture_are_no_part_of_macro_f1() -> None:
    evaluation = evaluate(np.array([0, 0, 1]), scored([0, 0, 1]), CLASSES)
    assert evaluation.macro_f1 == 1.0
    assert set(evaluation.per_class) == {"a", "b"}


def test_rejected_pictures_are_wrong_and_in_no_column() -> None:
    evaluation = evaluate(np.array([0, 0]), scored([0, REJECTED]), CLASSES)
    assert evaluation.predicted.tolist() == [0, REJECTED]
    assert evaluation.accuracy == 0.5
    assert evaluation.top5 == 0.5
    assert evaluation.per_class["a"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "images": 2}
    assert evaluation.confusion.sum() == 1


def test_top5_counts_the_rank_of_the_true_class() -> None:
    scores = np.array([[0.8, 0.7, 0.6, 0.5, 0.4, 0.3]] * 2, dtype=np.float32)
    assert evaluate(np.array([4, 5]), scores, tuple("abcdef")).top5 == 0.5


def test_top5_breaks_ties_as_the_vote_does() -> None:
    assert evaluate(np.array([4, 5]), np.zeros((2, 6), dtype=np.float32), tuple("abcdef")).top5 == 0.5


def test_a_class_that_cannot_be_answered_is_never_in_the_top() -> None:
    scores = np.array([[0.5, -np.inf]], dtype=np.float32)
    evaluation = evaluate(np.array([1]), scores, ("a", "b"))
    assert (evaluation.top5, evaluation.accuracy) == (0.0, 0.0)


def test_evaluation_as_json() -> None:
    evaluation = evaluate(np.array([0, 1]), scored([0, 0]), CLASSES)
    read_back = json.loads(json.dumps(evaluation.as_dict()))
    assert read_back["images"] == 2
    assert read_back["per_class"]["b"]["recall"] == 0.0
    confusion = json.loads(json.dumps(evaluation.confusion_dict()))
    assert confusion["labels"] == list(CLASSES)
    assert confusion["matrix"][1][0] == 1


def test_evaluation_refuses_shapes_that_disagree() -> None:
    with pytest.raises(InvalidInput, match=r"expected \(2, 8\)"):
        evaluate(np.array([0, 1]), np.zeros((2, 3), dtype=np.float32), CLASSES)
    with pytest.raises(InvalidInput, match="at least one"):
        evaluate(np.array([], dtype=np.int64), np.zeros((0, 8), dtype=np.float32), CLASSES)


def test_bootstrap_interval_resamples_pictures() -> None:
    """The binomial draw is the resampling of pictures, only faster."""
    correct = np.arange(200) < 150
    rng = np.random.default_rng(1)
    means = rng.choice(correct, size=(4000, 200)).mean(axis=1)
    low, high = bootstrap_interval(correct, seed=0)
    assert (low, high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.006)
    assert bootstrap_interval(correct, seed=0) == (low, high)
    narrow = bootstrap_interval(correct, seed=0, level=0.5)
    assert low < narrow[0] < 0.75 < narrow[1] < high


def test_an_unbroken_run_is_not_taken_for_certainty() -> None:
    exact = stats.binomtest(20, 20).proportion_ci(0.95, "exact")
    assert bootstrap_interval(np.ones(20, dtype=bool), seed=0) == pytest.approx((exact.low, exact.high))
    none = stats.binomtest(0, 20).proportion_ci(0.95, "exact")
    assert bootstrap_interval(np.zeros(20, dtype=bool), seed=0) == pytest.approx((none.low, none.high))


def test_paired_interval_resamples_pairs() -> None:
    rng = np.random.default_rng(2)
    a = rng.random(300) < 0.8
    b = np.where(rng.random(300) < 0.9, a, rng.random(300) < 0.4)
    rows = rng.integers(0, 300, size=(4000, 300))
    means = (a[rows].astype(float) - b[rows]).mean(axis=1)
    assert paired_interval(a, b, seed=0) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.008)
    low, high = paired_interval(a, b, seed=0)
    assert paired_interval(b, a, seed=0) == pytest.approx((-high, -low), abs=0.008)


def test_pictures_that_all_agree_still_leave_room_and_less_so_the_more_they_are() -> None:
    # Bonett and Price with no disagreement: half-width z sqrt(2 / (n + 2)) / sqrt(n + 2) = z sqrt(2) / (n + 2).
    for images in (8, 500):
        answers = np.arange(images) % 2 == 0
        reach = 1.959964 * np.sqrt(2.0) / (images + 2)
        assert paired_interval(answers, answers, seed=0) == pytest.approx((-reach, reach), abs=1e-6)


def test_mcnemar_by_hand() -> None:
    a = np.array([True] * 9 + [False] * 1 + [True] * 10)
    b = np.array([False] * 9 + [True] * 1 + [True] * 10)
    assert mcnemar_p(a, b) == pytest.approx(2 * (1 + 10) / 2**10)
    assert mcnemar_p(b, a) == mcnemar_p(a, b)
    assert mcnemar_p(a, a) == 1.0


def test_intervals_refuse_what_cannot_be_judged() -> None:
    with pytest.raises(InvalidInput, match="at least one judged picture"):
        bootstrap_interval(np.zeros(0, dtype=bool), seed=0)
    with pytest.raises(InvalidInput, match=r"\(2,\) and \(3,\)"):
        mcnemar_p(np.zeros(2, dtype=bool), np.zeros(3, dtype=bool))
