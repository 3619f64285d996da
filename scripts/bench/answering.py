"""One case carried out: the product's own pipeline, and the panel behind its head, with its pull, without, and raw."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from scripts.bench.cases import Case
from scripts.bench.members import Answer, Space, chosen_rows, learnt_answers, panel
from scripts.bench.trusting import TrustFound, trust_in
from service.adapters.optuna_search import OptunaSearch
from service.core.crossfit import CrossFitter
from service.core.evaluation import evaluate
from service.core.fitting import Fitted
from service.core.folds import fold_count
from service.core.model import BoolArray, Float32Array, LabelledEmbeddings
from service.core.pipeline import HOLOTYPE, build, joined
from service.core.projection import identity_head
from service.core.recipe import Recipe
from service.core.voting import class_scores
from service.usecases.optimise_request import OptimiseRequest
from service.usecases.recipe_search import search_recipe

HEAD, NO_PULL, RAW = "head", "head_no_pull", "raw"
SPACES = (HEAD, NO_PULL, RAW)


@dataclass(frozen=True, eq=False)
class Judged:
    """Figures of one member in one space on a case's judged pictures; `correct` is bool (n,)."""

    correct: BoolArray
    macro_f1: float
    weighted_f1: float
    top5: float
    references: int
    seconds: float

    @property
    def accuracy(self) -> float:
        """0..1."""
        return float(self.correct.mean())


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a case gave.

    Attributes:
        members: by space and member.
        recipe: that cross-fitting chose.
        support: pictures handed over as candidates.
        trust: verification and confidence; None where they were not asked for.
    """

    members: Mapping[str, Mapping[str, Judged]]
    recipe: Recipe
    support: int
    trust: TrustFound | None


def chosen(case: Case, trials: int) -> tuple[Fitted, Recipe, CrossFitter | None, float]:
    """What the product chooses: (reference set, recipe as searched, folds, seconds). It sees no judged picture."""
    began = time.perf_counter()
    request = OptimiseRequest(seed=case.seed, trials=trials, budget=case.budget)
    known = joined(case.support, case.tuning)
    fitter = CrossFitter(known, case.seed) if fold_count(known) > 1 else None
    recipe = Recipe(maximum=case.budget)
    if fitter is not None:
        recipe = search_recipe(OptunaSearch(), fitter, request, trials=trials, active=None)
    fitted = build(recipe, case.support, case.tuning, case.seed)
    return fitted, recipe, fitter, time.perf_counter() - began


def answered(case: Case, trials: int, *, trusted: bool) -> Outcome:
    """Search and panel."""
    fitted, recipe, fitter, seconds = chosen(case, trials)
    spaces = {space: _judged(case, answers) for space, answers in _answers(case, fitted, seconds).items()}
    trust = trust_in(fitter, fitted, recipe, case.judged) if trusted and fitter is not None else None
    return Outcome(spaces, recipe, len(case.support), trust)


def _answers(case: Case, fitted: Fitted, seconds: float) -> dict[str, dict[str, Answer]]:
    support, queries = case.support, case.judged.embeddings
    counts = np.bincount(fitted.data.codes[fitted.references], minlength=len(support.classes))
    size, found = len(fitted.references), {}
    for head, spaces in (
        (fitted.head, {HEAD: fitted.recipe.pull, NO_PULL: 0.0}),
        (identity_head(support.embeddings.shape[1]), {RAW: 0.0}),
    ):
        rows = chosen_rows(support, head, counts, case.seed)
        learnt = learnt_answers(support, case.tuning, queries, head, case.seed)
        for name, pull in spaces.items():
            per_label = 1 if name == RAW else fitted.recipe.per_label
            found[name] = panel(support, queries, Space(head, per_label, pull), rows, learnt)
    unpulled = replace(fitted, projections=fitted.head.project(fitted.data.embeddings[fitted.references]))
    found[HEAD][HOLOTYPE] = Answer(fitted.scores(queries), size, seconds)
    found[NO_PULL][HOLOTYPE] = Answer(unpulled.scores(queries), size, seconds)
    found[RAW][HOLOTYPE] = Answer(_nearest(fitted, queries, support), size, seconds)
    return found


def _nearest(fitted: Fitted, queries: Float32Array, support: LabelledEmbeddings) -> Float32Array:
    references = fitted.data.take(fitted.references)
    return class_scores(queries @ references.embeddings.T, references.codes, len(support.classes), 1)


def _judged(case: Case, answers: Mapping[str, Answer]) -> dict[str, Judged]:
    found = {}
    for name, answer in answers.items():
        figures = evaluate(case.judged.codes, answer.scores, case.judged.classes)
        found[name] = Judged(
            figures.correct, figures.macro_f1, figures.weighted_f1, figures.top5, answer.references, answer.seconds
        )
    return found
