"""A recipe carried out from end to end, and its comparison with the panel on pictures that it never saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from service.core.baselines import panel_scores, reference_rows
from service.core.evaluation import Evaluation, evaluate
from service.core.fitting import Fitted, fit, prepare
from service.core.folds import deal_folds, fold_count
from service.core.model import Float32Array, IntArray, LabelledEmbeddings
from service.core.projection import identity_head
from service.core.recipe import Recipe

HOLOTYPE = "holotype"
RAW = "raw"
"""Panel name of all references behind no head: the nearest raw embedding answers."""


def joined(first: LabelledEmbeddings, second: LabelledEmbeddings) -> LabelledEmbeddings:
    """Rows of both; they share `classes` and the numbering of `groups`."""
    return LabelledEmbeddings(
        embeddings=np.concatenate([first.embeddings, second.embeddings]),
        codes=np.concatenate([first.codes, second.codes]),
        classes=first.classes,
        ids=first.ids + second.ids,
        groups=np.concatenate([first.groups, second.groups]),
    )


def build(
    recipe: Recipe, support: LabelledEmbeddings, tuning: LabelledEmbeddings, seed: int, *, balanced: bool = False
) -> Fitted:
    """References out of `support`, thresholds from `tuning`.

    Without tuning pictures a fifth of the support lends itself: thresholds are found with the rest, as shares of each
    class, and then applied to all of the support.
    """
    if recipe.strategy == "thresholds" and recipe.class_shares is None and not len(tuning):
        recipe = replace(recipe, class_shares=_lent_shares(recipe, support, seed, balanced=balanced))
    return fit(recipe, prepare(support, recipe.cleaning, seed), tuning, balanced=balanced)


def _lent_shares(
    recipe: Recipe, support: LabelledEmbeddings, seed: int, *, balanced: bool
) -> Mapping[str, float] | None:
    folds = fold_count(support)
    if folds < 3:
        return None
    lent = deal_folds(support, folds, seed) == 0
    kept = support.take(~lent)
    return fit(recipe, prepare(kept, recipe.cleaning, seed), support.take(lent), balanced=balanced).recipe.class_shares


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Answers of a selection and of the panel to the same queries.

    Attributes:
        truth: int64 (q,).
        scores: member to float32 (q, C); behind the same head and pull; "holotype" is the selection, "raw" has neither.
        scores_no_pull: the same with no pull.
        references: member to its number of references (a mean over folds where there were several).
        support: support rows (a mean over folds).
        ids: the q example ids of the queries.
    """

    truth: IntArray
    scores: Mapping[str, Float32Array]
    scores_no_pull: Mapping[str, Float32Array]
    references: Mapping[str, float]
    support: float
    ids: tuple[str, ...] = ()

    def evaluations(self, classes: tuple[str, ...], *, pull: bool = True) -> dict[str, Evaluation]:
        """Figures of every member."""
        scores = self.scores if pull else self.scores_no_pull
        return {name: evaluate(self.truth, member, classes) for name, member in scores.items()}


def compare(fitted: Fitted, support: LabelledEmbeddings, queries: LabelledEmbeddings, seed: int) -> Comparison:
    """Let the selection and the panel answer `queries`; both were made from `support`."""
    counts = np.bincount(fitted.data.codes[fitted.references], minlength=len(support.classes))
    rows = reference_rows(support, fitted.head, counts, seed)
    recipe = fitted.recipe
    unpulled = replace(fitted, projections=fitted.head.project(fitted.data.embeddings[fitted.references]))
    raw_head = identity_head(support.embeddings.shape[1])
    raw = panel_scores(support, raw_head, {"all": rows["all"]}, queries.embeddings, per_label=1, pull=0.0)["all"]
    pulled_members, plain_members = (
        panel_scores(
            support,
            fitted.head,
            rows,
            queries.embeddings,
            per_label=recipe.per_label,
            neighbours=recipe.neighbours,
            pull=pull,
        )
        for pull in (recipe.pull, 0.0)
    )
    size = len(fitted.references)
    members = {RAW: raw} | pulled_members | {HOLOTYPE: (fitted.scores(queries.embeddings), size)}
    plain = {RAW: raw} | plain_members | {HOLOTYPE: (unpulled.scores(queries.embeddings), size)}
    return Comparison(
        truth=queries.codes,
        scores={name: scores for name, (scores, _) in members.items()},
        scores_no_pull={name: scores for name, (scores, _) in plain.items()},
        references={name: float(count) for name, (_, count) in members.items()},
        support=float(len(support)),
        ids=queries.ids,
    )


def pooled(comparisons: list[Comparison]) -> Comparison:
    """Several comparisons (folds) as one: answers side by side, sizes in the mean."""
    first = comparisons[0]

    return Comparison(
        truth=np.concatenate([c.truth for c in comparisons]),
        scores={name: np.concatenate([c.scores[name] for c in comparisons]) for name in first.scores},
        scores_no_pull={
            name: np.concatenate([c.scores_no_pull[name] for c in comparisons]) for name in first.scores_no_pull
        },
        references={name: float(np.mean([c.references[name] for c in comparisons])) for name in first.references},
        support=float(np.mean([c.support for c in comparisons])),
        ids=tuple(example_id for c in comparisons for example_id in c.ids),
    )
