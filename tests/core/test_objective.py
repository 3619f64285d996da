"""The prefix table against plain voting, and the sweep against brute force."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core import objective
from service.core.objective import PrefixTable, _Leaders
from service.core.thresholds import Ranking
from service.core.voting import class_scores


def table_of(similarities, ranking: Ranking, truth, per_label: int, *, balanced: bool = False) -> PrefixTable:
    """From similarities (q, n), which stay as they are."""
    return PrefixTable.of(similarities.T[ranking.rows], ranking, truth, per_label, balanced=balanced)


class Case:
    """Random similarities, coarse ones so that ties are really tried."""

    def __init__(self, seed: int, classes: int, rows: int, queries: int, *, coarse: bool = True) -> None:
        random = np.random.default_rng(seed)
        self.classes = classes
        self.codes = random.integers(0, classes, rows)
        values = random.uniform(-1, 1, (queries, rows))
        self.similarities = (np.rint(values * 4) / 4 if coarse else values).astype(np.float32)
        self.truth = random.integers(0, classes, queries)
        self.ranking = Ranking.of(random.random(rows), self.codes, classes)
        self.lowest = np.minimum(1, self.ranking.sizes)
        self.random = random

    def table(self, per_label: int = 1, *, balanced: bool = False) -> PrefixTable:
        return table_of(self.similarities, self.ranking, self.truth, per_label, balanced=balanced)

    def counts(self) -> np.ndarray:
        return self.random.integers(self.lowest, self.ranking.sizes + 1)

    def voted(self, counts: np.ndarray, per_label: int) -> np.ndarray:
        """Class scores by the rule that is served, over the references that these counts keep."""
        kept = self.ranking.kept(counts)
        return class_scores(self.similarities[:, kept], self.codes[kept], self.classes, per_label)


CASES = st.builds(
    Case, st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 18), st.integers(1, 15), coarse=st.booleans()
)


def penalised(table: PrefixTable, counts: np.ndarray, penalty: float) -> float:
    return table.accuracy(counts) - penalty * counts.sum() / len(table.truth)


@given(case=CASES, per_label=st.integers(1, 3))
@settings(max_examples=200)
def test_the_table_is_plain_voting(case: Case, per_label: int) -> None:
    table = case.table(per_label)
    for counts in (case.lowest, case.ranking.sizes, case.counts(), case.counts()):
        assert np.array_equal(table.class_scores(counts), case.voted(counts, per_label))


@given(case=CASES, per_label=st.integers(1, 3))
def test_accuracy_is_the_share_of_right_answers(case: Case, per_label: int) -> None:
    counts = case.counts()
    right = case.voted(counts, per_label).argmax(axis=1) == case.truth
    assert case.table(per_label).accuracy(counts) == pytest.approx(right.mean())
    recalls = [right[case.truth == code].mean() for code in np.unique(case.truth)]
    assert case.table(per_label, balanced=True).accuracy(counts) == pytest.approx(np.mean(recalls))


def test_by_hand() -> None:
    """Class 0 holds rows 2, 0 and class 1 row 1, in that order; two queries, of class 0 and class 1."""
    similarities = np.array([[0.9, 0.5, 0.2], [0.8, 0.6, 0.1]], dtype=np.float32)
    ranking = Ranking.of(np.array([0.7, 0.5, 0.3]), np.array([0, 1, 0]), 2)
    table = table_of(similarities, ranking, np.array([0, 1]), 1)
    assert table.class_scores(np.array([1, 1])) == pytest.approx(np.array([[0.2, 0.5], [0.1, 0.6]]))
    assert table.class_scores(np.array([2, 1])) == pytest.approx(np.array([[0.9, 0.5], [0.8, 0.6]]))
    assert np.isneginf(table.class_scores(np.array([0, 1]))[:, 0]).all()
    assert [table.accuracy(np.array(counts)) for counts in ([1, 1], [2, 1])] == [0.5, 0.5]
    two = table_of(similarities, ranking, np.array([0, 1]), 2)
    assert two.class_scores(np.array([2, 1])) == pytest.approx(np.array([[0.55, 0.5], [0.45, 0.6]]))
    assert two.accuracy(np.array([2, 1])) == 1.0


def test_nothing_answers_without_references() -> None:
    case = Case(0, 2, 6, 8)
    assert case.table().accuracy(np.zeros(2, dtype=np.int64)) == 0.0


def test_balanced_weights_give_every_class_the_same_say() -> None:
    case = Case(2, 3, 12, 40)
    weights = case.table(balanced=True).weights
    assert weights.sum() == pytest.approx(1.0)
    assert np.bincount(case.truth, weights=weights) == pytest.approx(np.full(3, 1 / 3))
    assert case.table().weights == pytest.approx(np.full(40, 1 / 40))


# -------------------------------------------------------------------------------------------------------- sweep

SWEEPS = st.tuples(CASES, st.integers(1, 3), st.booleans(), st.sampled_from([0.0, 0.05, 0.3, 1.0]))


@given(SWEEPS, st.integers(1, 40))
@settings(max_examples=100)
def test_a_table_that_is_not_kept_gives_the_same_sweep(sweep, block: int) -> None:
    """Whatever part of the queries is looked at at a time."""
    case, per_label, balanced, penalty = sweep
    start, kept = case.counts(), case.table(per_label, balanced=balanced)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objective, "KEPT", 0)
        patch.setattr(objective, "BLOCK", block)
        # The unit rows of a similarity matrix are its columns, and its queries the axes.
        rows, axes = np.ascontiguousarray(case.similarities.T[case.ranking.rows]), np.eye(len(case.truth))
        table = PrefixTable.between(
            rows, axes.astype(np.float32), case.ranking, case.truth, per_label, balanced=balanced
        )
        assert table.scores is None
        assert np.array_equal(table.class_scores(start), kept.class_scores(start))
        assert table.accuracy(start) == kept.accuracy(start)
        swept = table.sweep(start, case.lowest, case.ranking.sizes, penalty)
    assert swept.tolist() == kept.sweep(start, case.lowest, case.ranking.sizes, penalty).tolist()


@given(SWEEPS)
@settings(max_examples=200)
def test_the_sweep_ends_where_no_single_count_can_do_better(sweep) -> None:
    """Coordinate-wise optimal, by brute force over each class, and never below its start."""
    case, per_label, balanced, penalty = sweep
    table = case.table(per_label, balanced=balanced)
    start = case.counts()
    before = start.copy()
    swept = table.sweep(start, case.lowest, case.ranking.sizes, penalty)
    assert np.array_equal(start, before), "the start is not written to"
    assert (swept >= case.lowest).all()
    assert (swept <= case.ranking.sizes).all()
    value = penalised(table, swept, penalty)
    assert value >= penalised(table, start, penalty) - 1e-9
    for code in range(case.classes):
        for count in range(int(case.lowest[code]), int(case.ranking.sizes[code]) + 1):
            other = swept.copy()
            other[code] = count
            rival = penalised(table, other, penalty)
            assert rival <= value + 1e-9
            assert count >= swept[code] or rival < value - 1e-13, "among equals the smaller count is taken"


def slow_sweep(case: Case, table: PrefixTable, start, lowest, highest, penalty: float) -> np.ndarray:
    """The same coordinate ascent with every option evaluated from scratch."""
    counts = start.copy()
    for _ in range(10):
        before = counts.copy()
        for code in range(case.classes):
            options = list(range(int(lowest[code]), int(highest[code]) + 1))
            values = []
            for option in options:
                counts[code] = option
                values.append(penalised(table, counts, penalty))
            counts[code] = next(o for o, v in zip(options, values, strict=True) if v >= max(values) - 1e-12)
        if np.array_equal(before, counts):
            break
    return counts


@given(SWEEPS, st.data())
@settings(max_examples=100)
def test_the_fast_sweep_takes_the_slow_ones_steps(sweep, data: st.DataObject) -> None:
    case, per_label, balanced, penalty = sweep
    table = case.table(per_label, balanced=balanced)
    lowest = np.minimum(data.draw(st.integers(1, 3)), case.ranking.sizes)
    highest = np.maximum(lowest, np.minimum(data.draw(st.integers(1, 8)), case.ranking.sizes))
    start = case.random.integers(lowest, highest + 1)
    expected = slow_sweep(case, table, start, lowest, highest, penalty)
    assert table.sweep(start, lowest, highest, penalty).tolist() == expected.tolist()


@pytest.mark.parametrize("seed", range(12))
def test_the_fast_sweep_takes_the_slow_ones_steps_over_many_classes(seed: int) -> None:
    case = Case(seed, 12, 60, 150, coarse=seed % 3 > 0)
    table = case.table(1 + seed % 2)
    start = case.counts()
    expected = slow_sweep(case, table, start, case.lowest, case.ranking.sizes, 0.02)
    assert table.sweep(start, case.lowest, case.ranking.sizes, 0.02).tolist() == expected.tolist()


@given(seed=st.integers(0, 2**32 - 1), classes=st.integers(1, 6), queries=st.integers(1, 12))
def test_the_two_best_classes_stay_known_while_scores_change(seed: int, classes: int, queries: int) -> None:
    random = np.random.default_rng(seed)

    def coarse(*shape: int) -> np.ndarray:
        return (random.integers(-2, 3, shape) / 2).astype(np.float32)

    leaders = _Leaders(coarse(queries, classes))
    for _ in range(10):
        changed = int(random.integers(classes))
        leaders.change(changed, coarse(queries))
        fresh = _Leaders(leaders.scores.copy())
        for code in range(classes):
            others = np.where(np.arange(classes) == code, -np.inf, leaders.scores)
            rival, rival_code = leaders.rivals(code)
            assert np.array_equal(rival, others.max(axis=1))
            assert classes == 1 or np.array_equal(rival_code, others.argmax(axis=1))
            assert np.array_equal(rival, fresh.rivals(code)[0])


def test_equal_bounds_leave_the_start() -> None:
    case = Case(5, 4, 20, 30)
    start = case.counts()
    assert case.table().sweep(start, start, start, 0.05).tolist() == start.tolist()


def test_a_reference_that_wins_nothing_goes_and_one_that_wins_stays() -> None:
    """Class 0's second row answers the second query; its third row answers nothing new."""
    similarities = np.array([[0.9, 0.1, 0.9, 0.5], [0.1, 0.9, 0.9, 0.5], [0.1, 0.1, 0.1, 0.5]], dtype=np.float32)
    codes = np.array([0, 0, 0, 1])
    ranking = Ranking.of(np.array([0.1, 0.2, 0.3, 0.4]), codes, 2)
    table = table_of(similarities, ranking, np.array([0, 0, 1]), 1)
    lowest, highest = np.array([1, 1]), np.array([3, 1])
    assert table.sweep(np.array([3, 1]), lowest, highest, 0.0).tolist() == [2, 1]
    assert table.sweep(np.array([1, 1]), lowest, highest, 0.9).tolist() == [2, 1]
    assert table.sweep(np.array([3, 1]), lowest, highest, 1.1).tolist() == [1, 1], "a query costs more than it is worth"


def test_the_sweep_often_finds_the_best_of_all_and_is_never_far_from_it() -> None:
    found, gaps = 0, []
    for seed in range(60):
        case = Case(seed, 3, 12, 12, coarse=False)
        table = case.table()
        choices = [range(int(low), int(high) + 1) for low, high in zip(case.lowest, case.ranking.sizes, strict=True)]
        best = max(penalised(table, np.array(counts), 0.05) for counts in product(*choices))
        swept = table.sweep(case.lowest, case.lowest, case.ranking.sizes, 0.05)
        gaps.append(best - penalised(table, swept, 0.05))
        found += gaps[-1] < 1e-9
    assert min(gaps) > -1e-9
    assert found >= 40, f"only {found} of 60 tiny problems were solved"
    assert float(np.mean(gaps)) < 0.02


def test_a_class_without_rows_keeps_none_and_its_queries_stay_wrong() -> None:
    case = Case(7, 3, 10, 20)
    codes = np.where(case.codes == 1, 2, case.codes)
    ranking = Ranking.of(np.arange(10.0), codes, 3)
    table = table_of(case.similarities, ranking, case.truth, 1)
    lowest = np.minimum(1, ranking.sizes)
    swept = table.sweep(lowest, lowest, ranking.sizes, 0.0)
    assert swept[1] == 0
    assert not (table.class_scores(swept).argmax(axis=1) == 1).any()


def test_a_planted_nuisance_is_cut_off() -> None:
    """The most central row of class 0 lies among class 1 and steals its queries."""
    random = np.random.default_rng(0)
    angles = np.concatenate([random.normal(0, 8, 12), [60], random.normal(60, 8, 12)])
    codes = np.array([0] * 13 + [1] * 12)
    queries = np.concatenate([random.normal(0, 8, 40), random.normal(60, 8, 40)])
    similarities = np.cos(np.deg2rad(queries[:, None] - angles[None, :])).astype(np.float32)
    centralities = np.where(np.arange(25) == 12, 1.0, random.random(25) / 2)
    ranking = Ranking.of(centralities, codes, 2)
    table = table_of(similarities, ranking, np.repeat([0, 1], 40), 1)
    swept = table.sweep(ranking.sizes, np.ones(2, dtype=np.int64), ranking.sizes, 0.05)
    assert swept[0] < 13
    assert table.accuracy(swept) == 1.0
    assert table.accuracy(ranking.sizes) < 1.0
