"""Trained heads: gradients against finite differences, what training is for, and what it must not touch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad

from service.core import metric_learning
from service.core.metric_learning import TRAINED_KINDS, train_heads
from service.core.projection import Head, Scatter, fit_head, identity_head
from tests.core.clusters import clusters, labelled, unit_rows

LOSSES = {
    "proxy": metric_learning._proxy_loss,
    "centre": metric_learning._centre_loss,
    "contrastive": metric_learning._pair_loss,
    "triplet": metric_learning._triplets("semi_hard", np.random.default_rng(0)),
}


def train_head(kind, embeddings, codes, start: Head, steps: int, *others) -> Head:
    return train_heads(kind, embeddings, codes, start, (steps,), *others)[steps]


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
        return LOSSES[name](flat.reshape(6, columns), codes)[0]

    def slope(flat):
        return LOSSES[name](flat.reshape(6, columns), codes)[1].ravel()

    assert check_grad(value, slope, similarities.ravel()) < 1e-4


def test_a_gradient_passes_through_the_normalisation():
    random = np.random.default_rng(5)
    towards = random.standard_normal((2, 4))

    def value(flat):
        return float((metric_learning._unit(flat.reshape(2, 4))[0] * towards).sum())

    def slope(flat):
        return metric_learning._unit(flat.reshape(2, 4))[1](towards).ravel()

    assert check_grad(value, slope, random.standard_normal(8)) < 1e-5


def test_proxies_by_hand():
    """Two proxies at similarities 1 and 0, temperature 0.2: the loss is log(1 + e^-5)."""
    value, slope = metric_learning._proxy_loss(np.array([[1.0, 0.0]], np.float32), np.array([0]))
    assert value == pytest.approx(np.log1p(np.exp(-5.0)), rel=1e-5)
    wrong = np.exp(-5.0) / (1 + np.exp(-5.0))
    assert slope == pytest.approx(np.array([[-wrong, wrong]]) / 0.2, rel=1e-4)


def test_centres_by_hand():
    """Squared distances 1 to the own centre, 2 and 4 to the others: half of 1 / (6 + 1)."""
    value, _ = metric_learning._centre_loss(np.array([[0.5, 0.0, -1.0]], np.float32), np.array([0]))
    assert value == pytest.approx(0.5 / 7.0)


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
    monkeypatch.setattr(metric_learning, "BATCH_ROWS", rows)
    data = clusters([20, 20, 20], width=12, noise=0.5)
    start = start_of(data)
    passed = train_heads(kind, data.embeddings, data.codes, start, (0, 3, 7), 5)
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
