"""Pairs of pictures that the head and the references which compare them have never seen."""

from __future__ import annotations

import numpy as np

from service.core.agreement import compared_rows
from service.core.crossfit import CrossFitter
from service.core.fitting import Fitted, all_behind, fit
from service.core.model import LabelledEmbeddings
from service.core.recipe import Recipe
from service.core.verification import RULES, Pairs, equal_error, joined, picture_pairs, rates, thresholds_on


def compared_pairs(fitted: Fitted, data: LabelledEmbeddings, seed: int) -> Pairs:
    """Pairs of the rows of `data`, compared by the head and the references of `fitted` (`core.agreement`)."""
    rows = compared_rows(
        fitted.head.project(data.embeddings), fitted.scores(data.embeddings), fitted.recipe.temperature
    )
    return picture_pairs(rows, data.codes, data.groups, seed)


def crossfitted_pairs(fitter: CrossFitter, recipe: Recipe, *, all_serve: bool = False) -> list[Pairs]:
    """Pairs within each fold, compared by what would serve without it; folds without either kind are left out.

    Pictures that would tune thresholds pair with those judged, so here the recipe's own share is kept of each class.
    With `all_serve` all support pictures are references.
    """
    found = []
    for fold in range(fitter.folds):
        support, tuning, judged = fitter.roles(fold)
        unseen = fitter.data.take(np.concatenate([judged, tuning]))
        if not (len(support) and len(unseen)):
            continue
        prepared = fitter.prepared(fold, recipe.cleaning)
        if all_serve:
            fitted = all_behind(prepared.head(recipe), recipe, fitter.data.take(support))
        else:
            fitted = fit(recipe, prepared, None)
        found.append(compared_pairs(fitted, unseen, fitter.seed + fold))
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
