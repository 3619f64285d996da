"""Trained heads: gradients against finite differences, what training is for, and what it must not touch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad

from service.core import metric_learning, proxies
from service.core.descent import unit
from service.core.metric_learning import TRAINED_KINDS, Lessons, train_heads
from service.core.projection import Head, Scatter, fit_head, identity_head
from tests.core.clusters import clusters, labelled, unit_rows


def all_of(targets):
    """The loss is a mean over all rows."""
    return [slice(0, len(targets))]


SLOPES = {
    "proxy": lambda similarities, targets: proxies.proxy_slope(similarities.copy(), targets, all_of(targets)),
    "centre": lambda similarities, targets: proxies.centre_slope(similarities.copy(), targets, all_of(targets)),
    "contrastive": metric_learning._pair_slope,
    "triplet": metric_learning._triplets("semi_hard", np.random.default_rng(0)),
}


def proxy_loss(similarities, targets) -> float:
    """Cross-entropy of a softmax of temperature 0.2."""
    return -np.mean(
        [row[own] / 0.2 - np.log(np.exp(row / 0.2).sum()) for row, own in zip(similarities, targets, strict=True)]
    )


def centre_loss(similarities, targets) -> float:
    """Half the squared distance to the own centre over 1 and those to the others."""
    apart = 2 - 2 * similarities
    return np.mean([0.5 * row[own] / (1 + row.sum() - row[own]) for row, own in zip(apart, targets, strict=True)])


def pair_loss(similarities, codes) -> float:
    """Squared distance in the mean of one class's pairs, and of what other pairs lack of a distance of 1."""
    apart = np.sqrt(2 - 2 * similarities)
    pairs = [(a, b) for a in range(len(codes)) for b in range(len(codes)) if a != b]
    same = [apart[a, b] ** 2 for a, b in pairs if codes[a] == codes[b]]
    return np.mean(same) + np.mean([max(1 - apart[a, b], 0) ** 2 for a, b in pairs if codes[a] != codes[b]])


def triplet_loss(similarities, codes) -> float:
    """What each pair of a class lacks of being 0.2 more similar than the next one of another class behind it."""
    lacks = []
    for anchor, of_anchor in enumerate(codes):
        others = [row for row, code in enumerate(codes) if code != of_anchor]
        for positive in [row for row, code in enumerate(codes) if code == of_anchor and row != anchor]:
            behind = [row for row in others if similarities[anchor, row] < similarities[anchor, positive]]
            negative = max(similarities[anchor, behind]) if behind else min(similarities[anchor, others])
            lacks.append(max(0.2 + negative - similarities[anchor, positive], 0))
    return np.mean(lacks)


LOSSES = {"proxy": proxy_loss, "centre": centre_loss, "contrastive": pair_loss, "triplet": triplet_loss}


def train_head(kind, embeddings, codes, start: Head, steps: int, *others) -> Head:
    return train_heads(kind, [Lessons(embeddings, codes, start)], (steps,), *others)[0][steps]


def start_of(data) -> Head:
    return fit_head("lda", Scatter.of(data.embeddings, data.codes), 0.05)


def same_and_other(head: Head, data) -> tuple[float, float]:
    """Mean similarity of pairs of one class, and of two."""
    projections = head.project(data.embeddings)
    similarities = projections @ projections.T
    same = data.codes[:, None] == data.codes[None, :]
    np.fill_diagonal(same, val=False)
    return float(similarities[same].mean()), float(similarities[data.codes[:, None] != data.codes[None, :]].mean())


@pytest.mark.parametrize("name", LOSSES)
def test_the_slope_of_each_loss_is_its_derivative(name):
    random = np.random.default_rng(3)
    codes = np.array([0, 0, 1, 1, 2, 2])
    columns = 6 if name in ("contrastive", "triplet") else 3
    similarities = random.uniform(-0.8, 0.8, (6, columns))

    def value(flat):
        return LOSSES[name](flat.reshape(6, columns), codes)

    def slope(flat):
        return SLOPES[name](flat.reshape(6, columns), codes).ravel()

    assert check_grad(value, slope, similarities.ravel()) < 1e-4


def test_a_gradient_passes_through_the_normalisation():
    random = np.random.default_rng(5)
    towards = random.standard_normal((2, 4))

    def value(flat):
        return float((unit(flat.reshape(2, 4))[0] * towards).sum())

    def slope(flat):
        return unit(flat.reshape(2, 4))[1](towards).ravel()

    assert check_grad(value, slope, random.standard_normal(8)) < 1e-5


def test_proxies_by_hand():
    """Two proxies at similarities 1 and 0, temperature 0.2: the wrong one has a chance of e^-5 / (1 + e^-5)."""
    slope = SLOPES["proxy"](np.array([[1.0, 0.0]], np.float32), np.array([0]))
    wrong = np.exp(-5.0) / (1 + np.exp(-5.0))
    assert slope == pytest.approx(np.array([[-wrong, wrong]]) / 0.2, rel=1e-4)


def test_centres_by_hand():
    """Squared distances 1 to the own centre, 2 and 4 to the others: 1 / 7 less for the own, 1 / 49 more for others."""
    slope = SLOPES["centre"](np.array([[0.5, 0.0, -1.0]], np.float32), np.array([0]))
    assert slope == pytest.approx(np.array([[-1 / 7, 1 / 49, 1 / 49]]), rel=1e-5)


def test_the_semi_hard_negative_is_the_most_similar_one_behind_the_positive():
    similarities = np.array([[1.0, 0.5, 0.7, 0.4, 0.1]], np.float32)
    codes = np.array([0, 0, 1, 1, 1])
    chosen = metric_learning._negatives(
        similarities, codes, np.array([0]), np.array([1]), "semi_hard", np.random.default_rng(0)
    )
    assert chosen.tolist() == [3]


def test_where_no_negative_is_behind_the_positive_the_least_similar_one_is_taken():
    similarities = np.array([[1.0, 0.1, 0.7, 0.4]], np.float32)
    codes = np.array([0, 0, 1, 1])
    chosen = metric_learning._negatives(
        similarities, codes, np.array([0]), np.array([1]), "semi_hard", np.random.default_rng(0)
    )
    assert chosen.tolist() == [3]


@pytest.mark.parametrize("kind", TRAINED_KINDS)
def test_training_moves_classes_apart(kind):
    data = clusters([20] * 6, width=24, noise=0.35)
    before = same_and_other(identity_head(24), data)
    after = same_and_other(train_head(kind, data.embeddings, data.codes, identity_head(24), 200, 0), data)
    assert after[0] - after[1] > before[0] - before[1] + 0.1


@pytest.mark.parametrize("kind", TRAINED_KINDS)
def test_the_same_seed_gives_the_same_head_and_the_start_is_left_alone(kind):
    data = clusters([8, 9, 10], width=12)
    start = start_of(data)
    kept = start.matrix.copy()
    one, other = (train_head(kind, data.embeddings, data.codes, start, 30, 7) for _ in range(2))
    assert np.array_equal(one.matrix, other.matrix)
    assert np.array_equal(start.matrix, kept)
    assert one.kind == kind
    assert not np.array_equal(one.matrix, start.matrix)


@pytest.mark.parametrize("kind", TRAINED_KINDS)
@pytest.mark.parametrize("rows", [256, 20], ids=["one batch", "several"])
def test_a_longer_training_passes_the_shorter_ones_by(monkeypatch, kind, rows):
    monkeypatch.setattr(proxies, "BATCH_ROWS", rows)
    data = clusters([20, 20, 20], width=12, noise=0.5)
    start = start_of(data)
    (passed,) = train_heads(kind, [Lessons(data.embeddings, data.codes, start)], (0, 3, 7), 5)
    assert passed[0] is start
    for steps in (3, 7):
        alone = train_head(kind, data.embeddings, data.codes, start, steps, 5)
        assert np.array_equal(passed[steps].matrix, alone.matrix)
    assert not np.array_equal(passed[3].matrix, passed[7].matrix)


@pytest.mark.parametrize("codes", [[0, 0, 0], [0, 1, 2]])
def test_one_class_or_single_pictures_leave_the_start(codes):
    data = labelled(unit_rows(3, 5, 0), codes)
    start = identity_head(5)
    for kind in TRAINED_KINDS:
        assert train_head(kind, data.embeddings, data.codes, start, 10, 0) is start


@pytest.mark.parametrize("kind", TRAINED_KINDS)
def test_heads_that_are_trained_together_are_those_trained_alone(monkeypatch, kind):
    """Two of one width and as many classes, one of fewer, one of several batches, one with nothing to learn."""
    monkeypatch.setattr(proxies, "BATCH_ROWS", 30)
    sizes = [[9, 10, 8], [7, 12, 5], [9, 9], [40, 40, 30], [1, 1, 1]]
    sets = [clusters(size, width=12, noise=0.5, seed=seed) for seed, size in enumerate(sizes)]
    lessons = [Lessons(data.embeddings, data.codes, start_of(data)) for data in sets]
    together = train_heads(kind, lessons, (3, 9), 5)
    for one, heads in zip(lessons, together, strict=True):
        (alone,) = train_heads(kind, [one], (3, 9), 5)
        for steps in (3, 9):
            assert np.array_equal(heads[steps].matrix, alone[steps].matrix)
            assert np.array_equal(heads[steps].mean, one.start.mean)
    assert together[-1][9] is lessons[-1].start


@pytest.mark.parametrize("width", [7, 300, 2000, 9000])
def test_a_product_that_is_cut_is_the_product(width):
    random = np.random.default_rng(width)
    rows, slope = random.standard_normal((60, width), np.float32), random.standard_normal((60, 11), np.float32)
    out = np.empty((width, 11), np.float32)
    proxies._by_columns(rows, slope, out)
    assert out == pytest.approx(rows.T @ slope, abs=1e-4)


def test_no_steps_is_the_start():
    data = clusters([5, 5, 5])
    start = start_of(data)
    assert train_head("proxy", data.embeddings, data.codes, start, 0, 0) is start


def test_a_head_is_at_most_256_wide():
    data = clusters([3] * 4, width=300)
    head = train_head("proxy", data.embeddings, data.codes, identity_head(300), 2, 0)
    assert head.matrix.shape == (300, 256)


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 6), min_size=1, max_size=8),
    kind=st.sampled_from(TRAINED_KINDS),
    seed=st.integers(0, 99),
    mining=st.sampled_from(["semi_hard", "random"]),
)
def test_whatever_the_classes_the_head_is_finite(sizes, kind, seed, mining):
    if not sum(sizes):
        return
    data = clusters(sizes, width=6, seed=seed)
    start = start_of(data)
    head = train_head(kind, data.embeddings, data.codes, start, 5, seed, mining)
    assert np.isfinite(head.matrix).all()
    assert np.isfinite(head.project(data.embeddings)).all()
