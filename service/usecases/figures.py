"""The figures that go with a selection, and the data of its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from service.core.crossfit import CrossFitter
from service.core.diagnostics import class_distance, class_similarity, cross_class_histogram, cross_class_similarities
from service.core.evaluation import Evaluation, bootstrap_interval, evaluate, mcnemar_p
from service.core.fitting import Fitted
from service.core.model import LabelledEmbeddings
from service.core.pipeline import HOLOTYPE, RAW, Comparison
from service.core.recipe import Recipe
from service.usecases.judged import judged_rows
from service.usecases.judging import Judgement
from service.usecases.panel import member_figures

CURVE_MEDOIDS = (1, 2, 3, 5, 8, 12)
CURVE_QUANTILES = (0.05, 0.1, 0.2, 0.3)
PACKAGES = (
    "holotype",
    "numpy",
    "scipy",
    "scikit-learn",
    "optuna",
    "torch",
    "transformers",
    "qdrant-client",
    "qdrant-edge-py",
)


def figures_of(judgement: Judgement, classes: tuple[str, ...], served: str, seed: int) -> dict[str, Any]:
    """Figures of what is served: `served` is "holotype", or "all" where the gate refused the selection."""
    comparison = judgement.comparison
    if comparison is None:
        return {"images": 0}
    evaluations = comparison.evaluations(classes)
    own, everything = evaluations[served], evaluations["all"]
    return {
        **own.as_dict(),
        "interval": list(bootstrap_interval(own.correct, seed)),
        "references": comparison.references[served],
        "support": comparison.support,
        "all_accuracy": everything.accuracy,
        "all_macro_f1": everything.macro_f1,
        "raw_accuracy": evaluations[RAW].accuracy,
        "difference": judgement.verdict.difference,
        "difference_interval": list(judgement.verdict.interval),
        "mcnemar_p": mcnemar_p(evaluations[HOLOTYPE].correct, everything.correct),
        "panel": _panel(comparison, evaluations),
        "panel_no_pull": _panel(comparison, comparison.evaluations(classes, pull=False)),
    }


def cross_fitted_classes(fitter: CrossFitter, recipe: Recipe, missing: set[str]) -> dict[str, dict[str, Any]]:
    """Per-class figures of classes without a holdout picture, from the answers of the cross-fitting that chose."""
    scores = fitter.run(recipe).scores
    figures = evaluate(fitter.data.codes, scores, fitter.data.classes).per_class
    return {label: {**figures[label], "measured_on": "cross-fitting"} for label in sorted(missing) if label in figures}


def _panel(comparison: Comparison, evaluations: dict[str, Evaluation]) -> dict[str, dict[str, float]]:
    return {name: member_figures(evaluation, comparison.references[name]) for name, evaluation in evaluations.items()}


def report_of(
    judgement: Judgement,
    served: Fitted,
    support: LabelledEmbeddings,
    fitter: CrossFitter | None,
    name: str,
    policy: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What the HTML page and the confusion show beyond the figures: JSON values.

    Args:
        judgement: what was measured.
        served: what queries will meet.
        support: all support examples.
        fitter: for the curve; None for one-shot data.
        name: the panel member that is served.
        policy: how far answers are trusted, `core.rejection.Policy.as_dict()`; None where that was not measured.
    """
    chosen_codes = served.data.codes[served.references]
    chosen = served.data.embeddings[served.references]
    report: dict[str, Any] = {
        "cross_class_histogram": cross_class_histogram(
            cross_class_similarities(support.embeddings, support.codes), cross_class_similarities(chosen, chosen_codes)
        ),
        "similarity_before": class_similarity(support.embeddings, support.codes, support.classes),
        "similarity_after": class_similarity(chosen, chosen_codes, support.classes),
        "class_distance": class_distance(served.means, support.classes),
        "curve": _curve(fitter, served.recipe) if fitter is not None else [],
        "versions": _versions(),
    }
    if judgement.comparison is not None:
        evaluation = judgement.comparison.evaluations(support.classes)[name]
        report["confusion"] = evaluation.confusion_dict()
        report["judged"] = judged_rows(judgement.comparison, evaluation, name, served.recipe.temperature, policy)
    return report


def _curve(fitter: CrossFitter, recipe: Recipe) -> list[dict[str, Any]]:
    """Cross-fitted accuracy against the number of references, behind the served head and pull."""
    open_recipe = replace(recipe, maximum=None, minimum=1, class_shares=None)
    recipes = [
        *(replace(open_recipe, strategy="medoids", medoids=count) for count in CURVE_MEDOIDS),
        *(
            replace(open_recipe, strategy="thresholds", quantile=quantile, threshold_shrinkage=1.0)
            for quantile in CURVE_QUANTILES
        ),
        replace(open_recipe, strategy="all"),
    ]
    points = []
    for each in recipes:
        crossfit = fitter.run(each)
        figures = evaluate(fitter.data.codes, crossfit.scores, fitter.data.classes)
        low, high = bootstrap_interval(figures.correct, fitter.seed)
        points.append(
            {
                "references": crossfit.references,
                "accuracy": figures.accuracy,
                "interval": [low, high],
                "strategy": each.strategy,
            }
        )
    return sorted(points, key=lambda point: (str(point["strategy"]), np.float64(point["references"])))


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
