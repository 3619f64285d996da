"""Pairs of pictures that the head which compares them has never seen."""

from __future__ import annotations

import numpy as np

from service.core.crossfit import CrossFitter
from service.core.recipe import Recipe
from service.core.verification import RULES, Pairs, equal_error, joined, picture_pairs, rates, thresholds_on


def crossfitted_pairs(fitter: CrossFitter, recipe: Recipe) -> list[Pairs]:
    """Pairs within each fold, behind the recipe's head fitted without it; folds without either kind are left out.

    Pictures that tune thresholds take no part in a head, so they pair with those judged.
    """
    found = []
    for fold in range(fitter.folds):
        support, tuning, judged = fitter.roles(fold)
        unseen = fitter.data.take(np.concatenate([judged, tuning]))
        if not (len(support) and len(unseen)):
            continue
        head = fitter.prepared(fold, recipe.cleaning).head(recipe)
        found.append(picture_pairs(head.project(unseen.embeddings), unseen.codes, unseen.groups, fitter.seed + fold))
    return [pairs for pairs in found if len(pairs)]


def crossfitted_judgement(parts: list[Pairs]) -> dict[str, float] | None:
    """Rates at thresholds that were set on the other parts: {otsu_tpr, otsu_tnr, eer_tpr, eer_tnr, eer_rate}.

    None where no part can be judged by the others.
    """
    moved: dict[str, list[Pairs]] = {rule: [] for rule in RULES}
    for index, part in enumerate(parts):
        rest = [other for number, other in enumerate(parts) if number != index]
        if not rest or not joined(rest).usable:
            continue
        for rule, threshold in thresholds_on(joined(rest)).items():
            moved[rule].append(Pairs(part.similarities - threshold, part.same))
    pooled = {rule: joined(pairs) for rule, pairs in moved.items() if pairs}
    if not pooled or not pooled["otsu"].usable:
        return None
    # Every part was moved so that its threshold lies at 0.
    found = {f"{rule}_{name}": rate for rule, pairs in pooled.items() for name, rate in rates(pairs, 0.0).items()}
    return {**found, "eer_rate": equal_error(joined(parts))[1]}
