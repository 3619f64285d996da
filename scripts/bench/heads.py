"""Which head is worth what: the same references behind every head that a search may choose, and behind none.

All pictures of the support that the noise model does not doubt are references, pulled towards the means of their
classes, so that nothing but the head differs.
Triplets are mined semi-hard, as the product does, and at random, which is there to show the difference.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from scripts.bench.accuracy_figures import PictureBootstrap
from scripts.bench.cases import Case, Setting
from service.core.fitting import Prepared, all_behind, prepare
from service.core.metric_learning import STEPS, Lessons, train_heads
from service.core.model import BoolArray
from service.core.projection import Head
from service.core.recipe import HEADS, AnyHead
from service.usecases.optimise_request import OptimiseRequest
from service.usecases.recipe_search import steady_recipe

LEADER: AnyHead = "lda"
"""Beside which the others are told."""
RANDOM_TRIPLETS = "triplet_random"
NAMES: tuple[str, ...] = (*HEADS, RANDOM_TRIPLETS)


@dataclass(frozen=True, eq=False)
class Behind:
    """What one head gave in one case: right answers, bool (n,), and the seconds to fit or train it."""

    right: BoolArray
    seconds: float


def behind_heads(case: Case) -> dict[str, Behind]:
    """Every head on one case, its labels cleaned as the steady recipe does."""
    recipe = steady_recipe(OptimiseRequest())
    prepared = prepare(case.support, recipe.cleaning, case.seed)
    found = {}
    for name in NAMES:
        began = time.perf_counter()
        head = _head(name, prepared, case.seed)
        seconds = time.perf_counter() - began
        scores = all_behind(head, recipe, prepared.data).scores(case.judged.embeddings)
        found[name] = Behind(scores.argmax(axis=1) == case.judged.codes, seconds)
    return found


def _head(name: str, prepared: Prepared, seed: int) -> Head:
    recipe = replace(steady_recipe(OptimiseRequest()), steps=max(STEPS))
    if name != RANDOM_TRIPLETS:
        return prepared.head(replace(recipe, head=name))
    lessons = Lessons(prepared.lessons.embeddings, prepared.lessons.codes, prepared.start)
    return train_heads("triplet", [lessons], [recipe.steps], seed, "random")[0][recipe.steps]


def head_figures(setting: Setting, found: Sequence[dict[str, Behind]]) -> dict[str, float]:
    """Accuracy with its interval, how far ahead of the leader by a paired one, and seconds of each head."""
    bootstrap = PictureBootstrap([case.pictures for case in setting.cases])
    figures = {}
    for head in NAMES:
        prefix = f"{setting.name}.{head}"
        own = [one[head].right.astype(np.float64) for one in found]
        ahead = [right - one[LEADER].right for right, one in zip(own, found, strict=True)]
        figures[f"{prefix}.accuracy"] = float(np.mean([right.mean() for right in own]))
        figures[f"{prefix}.accuracy_low"], figures[f"{prefix}.accuracy_high"] = bootstrap.interval(own)
        figures[f"{prefix}.ahead"] = float(np.mean([difference.mean() for difference in ahead]))
        figures[f"{prefix}.ahead_low"], figures[f"{prefix}.ahead_high"] = bootstrap.interval(ahead)
        figures[f"{prefix}.seconds"] = float(np.mean([one[head].seconds for one in found]))
    return figures
