from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core import verification as module
from service.core.verification import (
    Pairs,
    check_rule,
    equal_error,
    judged_pairs,
    label_pairs,
    otsu_threshold,
    pair_histogram,
    picture_pairs,
    rates,
    thresholds_on,
)
from service.errors import InvalidInput
from tests.core.clusters import clusters, unit_rows


def pairs(similarities, same) -> Pairs:
    return Pairs(np.asarray(similarities, dtype=np.float64), np.asarray(same, dtype=bool))


def brute_force_otsu(values, weights) -> float:
    """Variance between the two sides of every cut, the plain way; the largest one, equals averaged."""
    levels = np.unique(values)
    cuts = (levels[1:] + levels[:-1]) / 2
    between = []
    for cut in cuts:
        above = values > cut
        w1, w0 = weights[above].sum() / weights.sum(), weights[~above].sum() / weights.sum()
        m1, m0 = np.average(values[above], weights=weights[above]), np.average(values[~above], weights=weights[~above])
        between.append(w0 * w1 * (m1 - m0) ** 2)
    between = np.array(between)
    return float(cuts[between >= between.max() * (1 - 1e-12)].mean())


def test_otsu_by_hand() -> None:
    assert otsu_threshold(np.array([0.1, 0.2, 0.8, 0.9]), np.ones(4)) == pytest.approx(0.5)
    assert otsu_threshold(np.array([0.3, 0.3]), np.ones(2)) == pytest.approx(0.3)
    assert otsu_threshold(np.array([0.0, 0.5, 1.0]), np.ones(3)) == pytest.approx(0.5), "both cuts are as good"


@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.booleans())
def test_otsu_is_the_best_of_all_cuts(seed: int, count: int, coarse: bool) -> None:
    random = np.random.default_rng(seed)
    values = random.uniform(-1, 1, count)
    values = values.round(1) if coarse else values
    weights = random.uniform(0.1, 2.0, count)
    if len(np.unique(values)) > 1:
        assert otsu_threshold(values, weights) == pytest.approx(brute_force_otsu(values, weights), abs=1e-9)


def test_same_and_different_weigh_the_same() -> None:
    """A hundred pairs of two classes beside two of one class would be split among themselves."""
    values = np.concatenate([np.linspace(-0.4, 0.4, 100), [0.85, 0.95]])
    found = pairs(values, np.arange(102) >= 100)
    assert found.weights.sum() == pytest.approx(1.0)
    assert found.weights[100:].sum() == pytest.approx(0.5)
    assert 0.4 < thresholds_on(found)["otsu"] < 0.85
    assert otsu_threshold(values, np.ones(102)) < 0.2


def test_equal_error_by_hand() -> None:
    """At 0.5 one of four of one class is missed (0.4) and one of four of two classes let in (0.6)."""
    found = pairs([0.4, 0.7, 0.8, 0.9, 0.1, 0.2, 0.3, 0.6], [1, 1, 1, 1, 0, 0, 0, 0])
    assert equal_error(found) == (pytest.approx(0.5), pytest.approx(0.25))
    assert equal_error(pairs([0.9, 0.1], [1, 0])) == (pytest.approx(0.5), 0.0)
    assert equal_error(pairs([0.1, 0.9], [1, 0]))[1] == pytest.approx(1.0)


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 30))
def test_no_cut_brings_the_two_errors_closer(seed: int, same: int, different: int) -> None:
    random = np.random.default_rng(seed)
    found = pairs(random.normal(0, 1, same + different).round(1), np.arange(same + different) < same)
    threshold, rate = equal_error(found)
    at = rates(found, threshold)
    assert ((1 - at["tpr"]) + (1 - at["tnr"])) / 2 == pytest.approx(rate)
    gap = abs(at["tpr"] - at["tnr"])
    for cut in np.linspace(-4, 4, 161) + 0.0125:
        other = rates(found, float(cut))
        assert abs(other["tpr"] - other["tnr"]) >= gap - 1e-9


def test_rates_by_hand() -> None:
    found = rates(pairs([0.5, 0.4, 0.5, 0.1, 0.2], [1, 1, 0, 0, 0]), 0.5)
    assert found == {"tpr": 0.5, "tnr": pytest.approx(2 / 3)}


def test_pairs_of_pictures_are_all_pairs_but_near_duplicates() -> None:
    rows = unit_rows(5, 3, seed=0)
    codes, groups = np.array([0, 0, 0, 1, 1]), np.array([7, 7, 8, 9, 10])
    found = picture_pairs(rows, codes, groups, seed=0)
    products = rows @ rows.T
    same = sorted(float(products[i, j]) for i, j in ((0, 2), (1, 2), (3, 4)))
    different = sorted(float(products[i, j]) for i in (0, 1, 2) for j in (3, 4))
    assert sorted(found.similarities[found.same]) == pytest.approx(same, abs=1e-6)
    assert sorted(found.similarities[~found.same]) == pytest.approx(different, abs=1e-6)


@pytest.mark.parametrize("most", [10, 200])
def test_many_pairs_are_sampled_by_the_seed(monkeypatch, most: int) -> None:
    monkeypatch.setattr(module, "MAX_PAIRS", most)
    data = clusters([30, 30], noise=0.3)
    first, again, other = (picture_pairs(data.embeddings, data.codes, data.groups, seed) for seed in (0, 0, 1))
    assert (first.same.sum(), (~first.same).sum()) == (most, most)
    assert np.array_equal(first.similarities, again.similarities)
    assert not np.array_equal(first.similarities, other.similarities)
    assert first.similarities[first.same].mean() > first.similarities[~first.same].mean()


def test_large_classes_lend_some_of_their_pictures(monkeypatch) -> None:
    """20 + sqrt(16 * 4 / 1) = 28 rows of 60: 378 pairs to draw from instead of 1770, still as many as are wanted."""
    monkeypatch.setattr(module, "MAX_PAIRS", 4)
    codes = np.zeros(60, dtype=np.int64)
    firsts, seconds = module._same_pairs(codes, np.arange(60), np.random.default_rng(0))
    assert len(firsts) == 28 * 27 // 2
    assert (firsts < seconds).all()
    assert len(np.unique(np.stack([firsts, seconds]), axis=1).T) == len(firsts)


def test_one_class_makes_no_different_pairs() -> None:
    data = clusters([4])
    found = picture_pairs(data.embeddings, data.codes, data.groups, 0)
    assert len(found) == 6
    assert not found.usable


def test_pictures_against_classes() -> None:
    scores = np.array([[0.9, 0.1, -np.inf], [0.2, -np.inf, 0.3]], dtype=np.float32)
    found = label_pairs(scores, np.array([0, 1]), seed=0)
    assert found.similarities[found.same].tolist() == pytest.approx([0.9])
    assert sorted(found.similarities[~found.same]) == pytest.approx([0.1, 0.2, 0.3])


def test_thresholds_of_one_set_are_judged_on_another() -> None:
    tuned, unseen = pairs([0.9, 0.8, 0.1, 0.2], [1, 1, 0, 0]), pairs([0.9, 0.3, 0.6, 0.1], [1, 1, 0, 0])
    found = judged_pairs(tuned, unseen, "holdout")
    assert found["otsu"] == {"threshold": pytest.approx(0.5), "tpr": 0.5, "tnr": 0.5}
    assert (found["same"], found["different"], found["measured_on"]) == (2, 2, "holdout")
    assert found["eer_rate"] == pytest.approx(0.5)
    json.dumps(found)


def test_the_histogram_holds_every_pair() -> None:
    found = pair_histogram(pairs([0.9, 0.8, 0.1, 0.2], [1, 1, 0, 0]), {"otsu": 0.5, "eer": 0.5})
    width = np.diff(found["edges"])
    for kind in ("same", "different"):
        assert np.dot(found[kind], width) == pytest.approx(1.0, abs=0.01)
    assert found["roc"][-1] == [1.0, 1.0]
    json.dumps(found)


def test_a_rule_is_one_of_those_known() -> None:
    with pytest.raises(InvalidInput, match="known are otsu, eer"):
        check_rule("median")
