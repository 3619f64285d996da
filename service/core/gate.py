"""The gate: may a selection replace "all references behind the same head"?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from service.core.evaluation import paired_interval
from service.core.model import BoolArray

MAX_INTERVAL_WIDTH = 0.04


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a paired comparison says.

    Attributes:
        difference: accuracy of the selection minus accuracy of all references, -1..1.
        interval: its 95 % bootstrap interval.
        images: pictures compared.
        conclusive: the interval lies above minus the margin and is at most four points wide; or it lies below (however
            wide, the selection is worse then); or it is narrower than the margin: more pictures would say the same.
        passes: the interval lies above minus the margin (the difference does, where it has to decide).
    """

    difference: float
    interval: tuple[float, float]
    images: int
    conclusive: bool
    passes: bool


def judge(
    selection: BoolArray, everything: BoolArray, margin: float, seed: int, *, difference_decides: bool = False
) -> Verdict:
    """Compare right-or-wrong answers of both on the same pictures, bool (n,); n = 0 is never conclusive.

    Args:
        selection: answers of the selection.
        everything: answers of all references behind the same head.
        margin: accuracy that the selection may lose, 0..1.
        seed: of the bootstrap.
        difference_decides: for the last resort, which has to decide whatever its interval is.
    """
    if not len(selection):
        return Verdict(0.0, (-1.0, 1.0), 0, conclusive=False, passes=False)
    low, high = paired_interval(selection, everything, seed)
    difference = float(np.mean(selection) - np.mean(everything))
    return Verdict(
        difference=difference,
        interval=(low, high),
        images=len(selection),
        conclusive=high <= -margin or high - low <= (MAX_INTERVAL_WIDTH if low > -margin else margin),
        passes=(difference if difference_decides else low) > -margin,
    )
