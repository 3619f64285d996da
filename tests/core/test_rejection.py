from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.model import Prediction, ScoredLabel
from service.core.rejection import (
    CLASS_POINTS,
    MAX_POINTS,
    NOBODY,
    SHARED_ANSWERS,
    CurvePoint,
    Policy,
    check_error,
    class_curves,
    risk_curve,
)
from service.core.trust import TrustModel
from service.errors import InvalidInput

SHARP = TrustModel((10.0, 10.0, 0.0), -6.0)


def curve_of(trust, right, weights=None):
    trust = np.asarray(trust, dtype=np.float64)
    ones = np.ones(len(trust)) if weights is None else np.asarray(weights, dtype=np.float64)
    return [(p.error, p.threshold, p.coverage) for p in risk_curve(trust, np.asarray(right, dtype=bool), ones)]


def policy(points, confidence=None, spread=()) -> Policy:
    curve = risk_curve(*(np.asarray(one) for one in points))
    return Policy(SHARP, confidence, (0.5, 0.4, 0.1), curve, spread=spread)


def test_the_curve_by_hand() -> None:
    """Risks (0+1)/2, (0+1)/3, (0+1)/4, (1+1)/5, (1+1)/6, (2+1)/7; a tighter cut than the third buys nothing."""
    found = curve_of([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [1, 1, 1, 0, 1, 0])
    assert found == [
        (pytest.approx(1 / 4), 0.7, 0.5),
        (pytest.approx(2 / 6), 0.5, pytest.approx(5 / 6)),
        (pytest.approx(3 / 7), 0.4, 1.0),
    ]


def test_equal_trust_is_accepted_together() -> None:
    assert curve_of([0.9, 0.5, 0.5], [1, 1, 0]) == [(pytest.approx(1 / 2), 0.5, 1.0)]


def test_weights_count_and_the_extra_error_weighs_as_the_heaviest() -> None:
    assert curve_of([0.9, 0.8], [1, 0], [2.0, 0.5]) == [
        (pytest.approx(2 / 4), 0.9, pytest.approx(0.8)),
        (pytest.approx(2.5 / 4.5), 0.8, 1.0),
    ]


def test_nothing_measured_promises_nothing() -> None:
    assert curve_of([], []) == []
    with pytest.raises(InvalidInput, match="vouch for is none"):
        Policy(SHARP, None, (0.5, 0.4, 0.1), ()).threshold(0.5)


@given(st.integers(0, 2**32 - 1), st.integers(1, 400), st.booleans())
def test_error_and_coverage_grow_along_the_curve(seed: int, count: int, coarse: bool) -> None:
    random = np.random.default_rng(seed)
    trust = random.random(count)
    trust = trust.round(1) if coarse else trust
    right = random.random(count) < trust
    weights = random.uniform(0.1, 1.0, count)
    found = curve_of(trust, right, weights)
    assert 1 <= len(found) <= MAX_POINTS
    errors, thresholds, coverages = map(np.array, zip(*found, strict=True))
    assert (np.diff(errors) > 0).all()
    assert (np.diff(thresholds) < 0).all()
    assert (np.diff(coverages) > 0).all()
    assert coverages[-1] == pytest.approx(1.0)
    for error, threshold, coverage in found:
        accepted = trust >= threshold
        assert weights[accepted].sum() / weights.sum() == pytest.approx(coverage)
        assert (weights * (accepted & ~right)).sum() / weights[accepted].sum() <= error


def realised(low: float, slope: float) -> float:
    """Share wrong above `low`, exactly: trust is uniform, an answer right with probability trust ** (1 / slope)."""
    power = 1.0 + 1.0 / slope
    return 1.0 - (1.0 - low**power) / power / (1.0 - low)


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from((10, 60, 300)),
    st.sampled_from((0.02, 0.05, 0.1, 0.2)),
    st.sampled_from((0.5, 2.0, 6.0)),
)
def test_the_realised_error_is_not_above_the_stated_one(seed: int, count: int, stated: float, slope: float) -> None:
    """In the mean over many catalogues, on the pictures to come; where nothing is accepted nothing is wrong."""
    random = np.random.default_rng(seed)
    errors = []
    for _ in range(300):
        trust = random.random(count)
        curve = risk_curve(trust, random.random(count) < trust ** (1 / slope), np.ones(count))
        within = [point for point in curve if point.error <= stated]
        low = 1.0 if not within else 0.0 if within[-1] is curve[-1] else within[-1].threshold
        errors.append(realised(low, slope) if low < 1.0 else 0.0)
    assert np.mean(errors) <= stated + 4 * np.std(errors) / np.sqrt(len(errors))


def test_without_the_extra_error_the_promise_would_be_broken() -> None:
    """The property above can fail: the plain measured risk fails it."""
    random = np.random.default_rng(0)
    errors = []
    for _ in range(1000):
        trust = np.sort(random.random(30))[::-1]
        within = np.flatnonzero(np.cumsum(random.random(30) >= trust) / np.arange(1, 31) <= 0.05)
        errors.append(realised(float(trust[within[-1]]), 1.0) if len(within) else 0.0)
    assert np.mean(errors) > 0.08


def test_the_threshold_of_a_stated_error_is_the_loosest_that_holds() -> None:
    found = policy(([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [True, True, True, False, True, False], np.ones(6)))
    assert found.threshold(0.25) == 0.7
    assert found.threshold(0.30) == 0.7
    assert found.threshold(1 / 3) == 0.5
    assert found.threshold(0.5) == 0.0, "where everything measured may be accepted, so may what is trusted still less"
    with pytest.raises(InvalidInput, match=r"error of 10 % .* the smallest error .* is 25 %"):
        found.threshold(0.1)


@pytest.mark.parametrize("error", [0.0, 1.0, -0.1, 5.0, float("nan")])
def test_an_error_is_a_share(error: float) -> None:
    with pytest.raises(InvalidInput, match="a share above 0 and below 1"):
        check_error(error)


def asked(best: float, margin: float) -> tuple[Prediction, np.ndarray]:
    top = (ScoredLabel("apple", best), ScoredLabel("pear", best - margin))
    return Prediction("apple", 0.9, margin, top, ()), np.array([best, margin, 0.1])


@pytest.mark.parametrize(
    ("best", "margin", "reason"),
    [
        (0.5, 0.4, None),  # trust 1 / (1 + exp(-3)) = 0.953
        (0.1, 0.35, "too far"),  # 0.4 below a typical right answer, 0.05 by the margin
        (0.48, 0.02, "torn between apple and pear"),  # 0.02 and 0.38
    ],
)
def test_a_rejection_says_which_test_failed(best: float, margin: float, reason: str | None) -> None:
    found = policy((np.array([0.9, 0.8, 0.7]), np.array([True, True, False]), np.ones(3)))
    stated = 0.4
    assert found.threshold(stated) == 0.8
    rejected = found.judged(*asked(best, margin), stated)
    assert (None if rejected is None else rejected.reason) == reason
    if rejected is not None:
        expected = 1 / (1 + np.exp(-(10 * best + 10 * margin - 6)))
        assert rejected.as_dict() == {"reason": reason, "trust": pytest.approx(expected), "needed": 0.8}


@pytest.mark.parametrize(
    ("weights", "typical", "spread", "reading", "reason"),
    [
        # One spread below by nearness, half a one by the margin, whatever unit they have and whichever trust weighs.
        ((0.0, 9.0, 0.0), (0.5, 0.4, 0.1), (0.1, 0.4, 0.1), (0.39, 0.2, 0.1), "too far"),
        ((9.0, 0.0, 0.0), (0.5, 0.4, 0.1), (0.4, 0.1, 0.1), (0.3, 0.3, 0.1), "torn between apple and pear"),
        # Where raw nearness is read, too, the mean of both nearnesses counts: 1.5 and 2.5 against a margin of 2.
        ((1.0, 1.0, 0.0, 1.0), (0.5, 0.4, 0.1, 0.9), (0.1, 0.1, 0.1, 0.1), (0.4, 0.2, 0.1, 0.7), "torn between"),
        ((1.0, 1.0, 0.0, 1.0), (0.5, 0.4, 0.1, 0.9), (0.1, 0.1, 0.1, 0.1), (0.4, 0.2, 0.1, 0.5), "too far"),
        # Nothing is unusual: nine right answers of ten are nearer, or clearer, than a spread below the typical one.
        ((9.0, 9.0, 0.0), (0.5, 0.4, 0.1), (0.1, 0.1, 0.1), (0.45, 0.35, 0.1), "below what every answer needs"),
        ((9.0, 9.0, 0.0), (0.5, 0.4, 0.1), (0.1, 0.1, 0.1), (0.6, 0.9, 0.1), "below what every answer needs"),
        ((9.0, 9.0, 0.0), (0.5, 0.4, 0.1), (), (0.6, 0.9, 0.1), "below what every answer needs"),
        # Right answers that are all alike leave a spread of nothing.
        ((1.0, 1.0, 0.0), (0.5, 0.4, 0.1), (0.0, 0.1, 0.1), (0.5, 0.2, 0.1), "torn between apple and pear"),
    ],
)
def test_the_reason_is_what_is_less_usual_among_right_answers(weights, typical, spread, reading, reason) -> None:
    best, margin = reading[:2]
    found = Policy(
        TrustModel(weights, -50.0), None, typical, (CurvePoint(0.1, 0.5, 0.5), CurvePoint(0.5, 0.0, 1.0)), spread=spread
    )
    rejected = found.judged(asked(best, margin)[0], np.array(reading), 0.2)
    assert rejected is not None
    assert rejected.reason.startswith(reason)


def test_an_answer_that_only_its_class_refuses_is_torn_between_nothing() -> None:
    shared = (CurvePoint(0.1, 0.5, 0.5), CurvePoint(0.5, 0.0, 1.0))
    found = Policy(
        TrustModel((1.0, 1.0, 0.0), 2.0), None, (0.5, 0.4, 0.1), shared, spread=(0.1, 0.1, 0.1),
        class_curves={"apple": (CurvePoint(0.1, 0.97, 0.1), CurvePoint(0.5, 0.0, 1.0))}, class_shares={"apple": 1.0},
    )  # fmt: skip
    rejected = found.judged(*asked(0.6, 0.35), 0.1)
    assert rejected is not None
    assert rejected.reason == "below what apple needs"
    assert rejected.trust > found.threshold(0.1), "another class would have been answered"


def test_with_one_class_there_is_nothing_to_be_torn_between() -> None:
    alone = Prediction("apple", 1.0, 1.1, (ScoredLabel("apple", 0.1),), ())
    found = policy((np.array([0.9, 0.8, 0.7]), np.array([True, True, False]), np.ones(3)))
    assert found.judged(alone, np.array([0.1, 0.0, 0.1]), 0.4).reason == "too far"


@pytest.mark.parametrize("confidence", [None, TrustModel((1.0, 2.0, 3.0), 4.0)])
def test_a_policy_survives_being_stored(confidence) -> None:
    made = policy(([0.9, 0.8, 0.7, 0.6], [True, True, True, False], np.ones(4)), confidence, (0.1, 0.2, 0.1))
    stored = json.loads(json.dumps(made.as_dict()))
    assert Policy.from_dict(stored) == made
    older = {key: value for key, value in stored.items() if key != "spread"}
    assert Policy.from_dict(older) == replace(made, spread=())
    with pytest.raises(ValueError, match="2 spreads for 3 readings"):
        Policy.from_dict({**stored, "spread": [0.1, 0.2]})


def by_class(count: int = 300) -> Policy:
    """Class "sure" is never wrong, class "wild" half of the time, whatever their trust; "rare" has one answer."""
    random = np.random.default_rng(0)
    answers = np.arange(count) % 2
    answers[0] = 2
    trust = random.random(count)
    right = (answers != 1) | (random.random(count) < 0.5)
    ones = np.ones(count)
    classes = ("sure", "wild", "rare")
    shares = {label: float((answers == code).mean()) for code, label in enumerate(classes)}
    shared = risk_curve(trust, right, ones)
    return Policy(SHARP, None, (0.5, 0.4, 0.1), shared, class_curves(trust, right, ones, answers, classes), shares)


def test_a_class_curve_by_hand() -> None:
    trust, right = np.array([0.9, 0.8, 0.7]), np.array([True, True, False])
    curves = class_curves(trust, right, np.ones(3), np.array([0, 1, 1]), ("a", "b", "c"))
    assert set(curves) == {"a", "b"}
    shared = np.array([1 / 2, 1 / 3, 2 / 4])
    first = (0 + SHARED_ANSWERS * shared) / (1 + SHARED_ANSWERS)
    second = (np.array([0, 0, 1]) + SHARED_ANSWERS * shared) / (np.array([0, 1, 2]) + SHARED_ANSWERS)
    assert [(one.error, one.threshold, one.coverage) for one in curves["a"]] == [
        (pytest.approx(first[1]), 0.8, 1.0),
        (pytest.approx(first[2]), 0.7, 1.0),
    ]
    assert [(one.error, one.threshold, one.coverage) for one in curves["b"]] == [
        (pytest.approx(second[1]), 0.8, 0.5),
        (pytest.approx(second[2]), 0.7, 1.0),
    ]
    assert class_curves(np.zeros(0), np.zeros(0, bool), np.zeros(0), np.zeros(0, np.int64), ("a",)) == {}


def test_a_class_that_is_often_wrong_needs_more_trust() -> None:
    made = by_class()
    sure, shared, wild = made.threshold(0.21, "sure"), made.threshold(0.21), made.threshold(0.21, "wild")
    assert sure < made.threshold(0.21, "rare") < shared < wild
    assert made.threshold(0.21, "unheard of") == shared
    assert all(len(curve) <= CLASS_POINTS for curve in made.class_curves.values())
    assert made.coverage(0.21) == pytest.approx(0.5, abs=0.05), "all of the one, next to nothing of the other"


def test_where_no_answer_of_a_class_can_be_trusted_nobody_is() -> None:
    made = replace(by_class(), class_curves={"wild": (CurvePoint(0.5, 0.0, 1.0),)}, class_shares={"wild": 1.0})
    error = made.curve[0].error
    assert made.threshold(error, "wild") == NOBODY
    assert made.coverage(error) == 0.0
    certain = Prediction("wild", 1.0, 2.0, (ScoredLabel("wild", 9.0), ScoredLabel("sure", 0.0)), ())
    told = made.judged(certain, np.array([9.0, 9.0, 0.0]), error)
    assert told is not None
    assert (told.trust, told.needed) == (pytest.approx(1.0), NOBODY)


def test_class_curves_survive_json_and_older_policies_have_none() -> None:
    made = by_class()
    assert Policy.from_dict(json.loads(json.dumps(made.as_dict()))) == made
    older = {key: value for key, value in made.as_dict().items() if not key.startswith("class_")}
    assert Policy.from_dict(older).class_curves == {}
