"""Gradient descent on rows that are made unit: Adam (Kingma and Ba 2015), and the way back through normalisation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from service.core.model import Float32Array

LEARNING_RATE = 1e-3
DECAYS = (0.9, 0.999)
TINY = 1e-8


class Adam:
    """Adam on one array, in place."""

    def __init__(self, values: Float32Array) -> None:
        self._values = values
        self._mean = np.zeros_like(values)
        self._square = np.zeros_like(values)
        self._spare = np.empty_like(values)
        self._steps = 0

    def step(self, slope: Float32Array) -> None:
        """Down the slope, which is used up."""
        self._steps += 1
        first, second = DECAYS
        spare = self._spare
        self._mean *= first
        np.multiply(slope, 1 - first, out=spare)
        self._mean += spare
        self._square *= second
        slope *= slope
        slope *= 1 - second
        self._square += slope
        np.sqrt(self._square, out=spare)
        spare *= 1 / math.sqrt(1 - second**self._steps)
        spare += TINY
        np.divide(self._mean, spare, out=spare)
        spare *= LEARNING_RATE / (1 - first**self._steps)
        self._values -= spare


def unit(rows: Float32Array) -> tuple[Float32Array, Callable[[Float32Array], Float32Array]]:
    """Unit rows, and what carries a gradient by them back to the rows themselves."""
    lengths = np.maximum(np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None], np.float32(TINY))
    units = rows / lengths

    def back(slope: Float32Array) -> Float32Array:
        along: Float32Array = np.einsum("ij,ij->i", slope, units)[:, None] * units
        np.subtract(slope, along, out=along)
        along /= lengths
        return along

    return units, back
