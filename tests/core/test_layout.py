"""Two dimensions in which what is alike lies together."""

import numpy as np
import pytest

from service.core.layout import laid_out, stratified
from service.core.vectors import normalised


def blobs(classes, each, d=32, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, d))
    codes = np.repeat(np.arange(classes), each)
    return normalised((centres[codes] + 0.3 * rng.normal(size=(len(codes), d))).astype(np.float32)), codes


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 9, 10, 11, 40])
def test_any_number_of_rows_has_places(rows):
    places = laid_out(blobs(1, rows)[0] if rows else np.zeros((0, 32), np.float32), seed=0)
    assert places.shape == (rows, 2)
    assert places.dtype == np.float32
    assert np.isfinite(places).all()
    if rows > 1:
        assert np.abs(places).max() == pytest.approx(1.0)


@pytest.mark.parametrize("rows", [2, 30])
def test_rows_that_are_the_same_lie_in_the_middle(rows):
    assert not laid_out(np.tile(np.array([[0.6, 0.8]], np.float32), (rows, 1)), 0).any()


@pytest.mark.parametrize("width", [1, 2])
def test_narrow_rows_have_places(width):
    rows = np.random.default_rng(0).normal(size=(25, width)).astype(np.float32)
    assert np.isfinite(laid_out(rows, 0)).all()


@pytest.mark.parametrize(("classes", "each"), [(3, 3), (6, 20)])
def test_what_is_alike_lies_together(classes, each):
    rows, codes = blobs(classes, each)
    places = laid_out(rows, seed=0)
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    nearest = codes[apart.argmin(axis=1)]
    assert (nearest == codes).mean() > 0.9


def test_the_same_rows_lie_the_same():
    rows, _ = blobs(3, 12)
    assert np.array_equal(laid_out(rows, 1), laid_out(rows.copy(), 1))


def test_a_sample_holds_every_label_and_its_share():
    labels = {f"a{n}": "a" for n in range(800)} | {f"b{n}": "b" for n in range(199)} | {"c0": "c"}
    sample = stratified(labels, 100, seed=0)
    assert sample == sorted(set(sample))
    assert len(sample) == 100
    counts = {label: sum(labels[one] == label for one in sample) for label in "abc"}
    assert counts["c"] == 1
    assert 78 <= counts["a"] <= 81
    assert stratified(labels, 1000, 0) == sorted(labels)
    assert len(stratified(labels, 2, 0)) == 2
    assert stratified({}, 5, 0) == []


def test_one_more_example_moves_few_of_a_sample():
    labels = {f"id{n}": "ab"[n % 2] for n in range(1000)}
    before = set(stratified(labels, 200, 0))
    after = set(stratified(labels | {"another": "a"}, 200, 0))
    assert len(before - after) <= 2
    assert set(stratified(labels, 200, 1)) != before
