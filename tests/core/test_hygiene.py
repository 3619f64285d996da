"""Findings of the core by hand, and that planted faults are found."""

from __future__ import annotations

import numpy as np
import pytest

from service.core import hygiene
from service.core.hygiene import AlikePair, alike_classes, outliers, plain_share, thin_classes
from service.core.vectors import normalised
from tests.core.clusters import clusters, labelled, unit_rows


def ring(*degrees: float):
    """Unit rows of the plane."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_an_outlier_by_hand() -> None:
    """Nine pictures at 0, 1, ... 8 degrees, one at 60: its three nearest lie at 52, 53 and 54 degrees from it."""
    data = labelled(ring(*range(9), 60), [0] * 10)
    (found,) = outliers(data)
    distance = 1 - np.cos(np.radians([52, 53, 54])).mean()
    assert found.row == 9
    assert found.distance == pytest.approx(distance, abs=1e-6)
    assert found.z == pytest.approx((distance - found.median) / hygiene.LEAST_SPREAD, abs=1e-3), "the others are alike"


def test_an_outlier_cannot_hide_behind_its_copy() -> None:
    rows = ring(*range(9), 60, 60.1)
    assert [one.row for one in outliers(labelled(rows, [0] * 11, groups=[*range(9), 9, 9]))] == [10, 9]


def test_small_classes_and_copies_have_no_outliers() -> None:
    few = labelled(ring(*range(hygiene.OUTLIER_MIN_PICTURES - 2), 60), [0] * (hygiene.OUTLIER_MIN_PICTURES - 1))
    assert outliers(few) == []
    copies = labelled(ring(*([0.0] * 9), 0.5), [0] * 10)
    assert outliers(copies) == [], "half a degree from a crowd of copies is no outlier"


def test_each_class_has_its_own_measure(monkeypatch) -> None:
    """A wide class's usual is a narrow one's outlier; chunks do not change what is found."""
    wide = clusters([30], width=8, noise=0.5).embeddings
    narrow = normalised(np.eye(8)[0] + 0.02 * np.random.default_rng(1).standard_normal((30, 8)))
    stray = wide[:1]
    data = labelled(np.concatenate([wide, narrow, stray]), [0] * 30 + [1] * 31)
    found = outliers(data)
    assert [one.row for one in found if one.row >= 30] == [60]
    monkeypatch.setattr(hygiene, "CHUNK_ROWS", 7)
    again = outliers(data)
    assert [one.row for one in again] == [one.row for one in found]
    assert [one.z for one in again] == pytest.approx([one.z for one in found], rel=1e-4)


def test_thin_classes_count_distinct_pictures() -> None:
    data = labelled(
        unit_rows(14, 3, 0), [0] * 6 + [1] * 5 + [3] * 3, classes=5, groups=[0, 1, 2, 3, 3, 3, *range(4, 12)]
    )
    assert thin_classes(data) == [(0, 4), (3, 3)], "class 1 has five, classes 2 and 4 have no picture"


def test_alike_classes_by_hand() -> None:
    """Classes 0 and 1 of ten pictures each swap three: 3 / 20. Class 2 sends one of ten to class 0: below two."""
    codes = np.repeat([0, 1, 2], 10)
    answers = codes.copy()
    answers[[0, 1, 10, 20]] = [1, 1, 0, 0]
    probabilities = np.full((30, 3), 0.1)
    probabilities[np.arange(30), answers] = 0.8
    data = labelled(unit_rows(30, 3, 0), codes)
    assert alike_classes(data, probabilities) == [AlikePair(0, 1, (0, 1, 10), 0.15)]
    probabilities[10] = [1.0, 0.0, 0.0]  # its judge did not know class 1
    assert alike_classes(data, probabilities) == [AlikePair(0, 1, (0, 1), 0.1)]
    probabilities[1] = [0.8, 0.1, 0.1]
    assert alike_classes(data, probabilities) == []


def test_only_the_most_alike_pairs_are_listed(monkeypatch) -> None:
    codes = np.repeat([0, 1, 2, 3], 4)
    answers = codes.copy()
    answers[[0, 1, 8, 9, 12]] = [1, 1, 3, 3, 2]
    data = labelled(unit_rows(16, 3, 0), codes)
    probabilities = np.eye(4)[answers] * 0.9 + 0.025
    assert [(one.first, one.second) for one in alike_classes(data, probabilities)] == [(2, 3), (0, 1)]
    monkeypatch.setattr(hygiene, "MOST_ALIKE_PAIRS", 1)
    assert [(one.first, one.second) for one in alike_classes(data, probabilities)] == [(2, 3)]


def test_plain_pixels_by_hand() -> None:
    pixels = np.full((10, 10, 3), 200, dtype=np.uint8)
    assert plain_share(pixels) == 1.0
    pixels[0, 0, 1] = 200 + hygiene.BLANK_LEVELS
    assert plain_share(pixels) == 1.0
    pixels[0, 0, 1] += 1
    assert plain_share(pixels) == 0.99
    pixels[1, :, 0] = 0
    assert plain_share(pixels) == 0.89
    gradient = np.tile(np.arange(0, 250, dtype=np.uint8)[None, :, None], (4, 1, 3))
    assert plain_share(gradient) < 0.1
