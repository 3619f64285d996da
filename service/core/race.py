"""When a recipe need not be judged to the end: when it is behind the best one so far beyond doubt.

A race (Maron and Moore 1994): both have answered the same pictures, so only those count that one of them answered
rightly and the other wrongly. Were the two as good as each other, each of those would be a toss-up; a lead of four
standard deviations comes by luck once in thirty thousand looks. Few pictures never decide.
"""

from __future__ import annotations

import math

import numpy as np

from service.core.model import BoolArray, Float32Array, IntArray

SURE = 4.0
"""Standard deviations."""
FEWEST = 50
"""Pictures that only one of the two answered rightly, below which nothing is said."""


def right_answers(scores: Float32Array, truth: IntArray) -> BoolArray:
    """Bool (n,): the best of a row's scores (n, C) is the true class's, and there is one."""
    best = scores.argmax(axis=1)
    return np.asarray((best == truth) & np.isfinite(scores[np.arange(len(truth)), best]))


def hopeless(right: BoolArray, leader: BoolArray, handicap: float) -> bool:
    """Is the recipe behind for good?

    Args:
        right: bool (n,), which of its answers are.
        leader: bool (n,), which of the leader's answers to the same pictures are.
        handicap: accuracy that the leader is granted, for having fewer references, or (below 0) that it has to yield.
    """
    lost, won = int(np.count_nonzero(leader & ~right)), int(np.count_nonzero(right & ~leader))
    return lost + won >= FEWEST and lost - won + handicap * len(right) > SURE * math.sqrt(lost + won)
