"""Rows seen along axes of the space that they span: fewer numbers, the same products."""

from __future__ import annotations

import numpy as np
import pytest

from service.core.spanned import spanned
from service.core.vectors import normalised
from tests.core.clusters import unit_rows


def test_products_stay_and_rows_get_shorter() -> None:
    rows = unit_rows(9, 40, seed=1)
    seen, parts = spanned(rows)
    assert seen.shape == (9, 9)
    assert seen.dtype == np.float32
    assert parts == 1
    assert seen @ seen.T == pytest.approx(rows @ rows.T, abs=1e-6)


def test_products_stay_within_each_part() -> None:
    first, second = unit_rows(9, 40, seed=1), unit_rows(9, 40, seed=2)
    seen, parts = spanned(np.concatenate([first, second], axis=1) / np.float32(np.sqrt(2.0)))
    assert (seen.shape, parts) == ((9, 18), 2)
    for part, given in zip(np.split(seen, 2, axis=1), (first, second), strict=True):
        assert part @ part.T == pytest.approx(given @ given.T / 2.0, abs=1e-6)


@pytest.mark.parametrize("rows", [21, 40])
def test_many_rows_stay_as_they_are(rows: int) -> None:
    given = unit_rows(rows, 40, seed=1)
    assert spanned(given)[0] is given


@pytest.mark.parametrize("rows", [1, 2, 150])
def test_copies_and_opposites_are_no_obstacle(rows: int) -> None:
    signs = np.where(np.arange(rows) % 3 == 0, -1.0, 1.0)[:, None]
    given = normalised(signs * np.ones((1, 400)))
    seen, _ = spanned(given)
    assert seen @ seen.T == pytest.approx(given @ given.T, abs=1e-5)
