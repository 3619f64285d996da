"""From a recipe and labelled embeddings to a reference set that answers queries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from service.core.centrality import eigenvector_centrality
from service.core.cleaning import NOTHING, Cleaned, cleaned, out_of_fold_probabilities
from service.core.medoids import medoids
from service.core.metric_learning import STEPS, TRAINED_KINDS, Lessons, TrainedKind, train_heads
from service.core.model import BoolArray, Float32Array, Float64Array, IntArray, LabelledEmbeddings
from service.core.neighbour_votes import answers
from service.core.objective import PrefixTable
from service.core.projection import Head, Scatter, fit_head
from service.core.pull import class_means, pulled
from service.core.race import right_answers
from service.core.recipe import Cleaning, Recipe
from service.core.surely_right import surely_right
from service.core.thresholds import Ranking, bounded_counts, thresholds_of

START_SHRINKAGE = 0.05
"""Of the LDA that a trained head starts from. 0.02 to 0.1 lead to the same accuracy, so it is not searched."""


@dataclass(frozen=True, eq=False)
class Support:
    """A support set of at least one row, and what its cleanings share; everything is found once, when first needed."""

    data: LabelledEmbeddings
    seed: int
    _prepared: dict[Cleaning | bytes, Prepared] = field(default_factory=dict)

    @cached_property
    def raw_centralities(self) -> Float64Array:
        """Float64 (n,), of the raw embeddings of all rows, doubted ones too."""
        return eigenvector_centrality(self.data.embeddings).values

    @cached_property
    def probabilities(self) -> Float32Array:
        """Of every class for every row, (n, C), by judges that never saw it."""
        return out_of_fold_probabilities(self.data, self.seed)

    def judged(self, teaching: BoolArray) -> Float32Array:
        """The same by judges that learnt from the rows of a mask (n,) alone."""
        return self.probabilities if teaching.all() else out_of_fold_probabilities(self.data, self.seed, teaching)

    def prepared(self, cleaning: Cleaning) -> Prepared:
        """The trusted rows under a cleaning, and what teaches; cleanings that find the same share it."""
        if cleaning not in self._prepared:
            found = cleaned(self.data, cleaning, self.judged)
            alike = found.trusted.tobytes() + found.taught.tobytes()
            if alike not in self._prepared:
                self._prepared[alike] = self._cleaned(found)
            self._prepared[cleaning] = self._prepared[alike]
        return self._prepared[cleaning]

    def _cleaned(self, found: Cleaned) -> Prepared:
        data = self.data if found.trusted.all() else self.data.take(found.trusted)
        lessons = replace(self.data, codes=found.taught)
        if not found.trusted.all():
            lessons = lessons.take(found.taught != NOTHING)
        scatter = Scatter.of(lessons.embeddings, lessons.codes)
        return Prepared(data, lessons, scatter, self.raw_centralities[found.trusted], self.seed)


@dataclass(frozen=True, eq=False)
class Prepared:
    """What many recipes share over one support set: the trusted rows, and what head and class means learn from.

    Attributes:
        data: the trusted support, n rows, out of which references are chosen.
        lessons: those rows, and others under the label that is all but surely their right one.
        scatter: of the lessons.
        raw_centralities: float64 (n,), of the raw embeddings of all the support given, at the trusted rows.
        seed: of training.
        trained: heads so far, by kind and steps.
    """

    data: LabelledEmbeddings
    lessons: LabelledEmbeddings
    scatter: Scatter
    raw_centralities: Float64Array
    seed: int
    trained: dict[tuple[TrainedKind, int], Head] = field(default_factory=dict)

    @cached_property
    def start(self) -> Head:
        """What training starts from, fitted once: many a recipe of a search has it for its head, too."""
        return fit_head("lda", self.scatter, START_SHRINKAGE)

    def head(self, recipe: Recipe) -> Head:
        """The recipe's head, fitted or trained on the support; each training is done once."""
        match recipe.head:
            case "proxy" | "triplet" | "contrastive" | "centre" as trained:
                train_together([self], recipe)
                return self.trained[trained, recipe.steps]
            case "lda" if recipe.shrinkage == START_SHRINKAGE:
                return self.start
            case closed:
                return fit_head(closed, self.scatter, recipe.shrinkage)


def train_together(prepared: Sequence[Prepared], recipe: Recipe) -> None:
    """Train the recipe's head, where it is a trained one, on each of the supports that have not got it."""
    kind, steps = recipe.head, recipe.steps
    if kind not in TRAINED_KINDS:
        return
    waiting = list({id(one): one for one in prepared if (kind, steps) not in one.trained}.values())
    if not waiting:
        return
    passed = sorted({steps, *(fewer for fewer in STEPS if fewer < steps)})
    lessons = [Lessons(one.lessons.embeddings, one.lessons.codes, one.start) for one in waiting]
    for one, heads in zip(waiting, train_heads(kind, lessons, passed, waiting[0].seed), strict=True):
        one.trained.update({(kind, done): head for done, head in heads.items()})


def prepare(support: LabelledEmbeddings, cleaning: Cleaning, seed: int) -> Prepared:
    """Drop suspected label errors, then measure scatter and centrality. `support` needs at least one row."""
    return Support(support, seed).prepared(cleaning)


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A reference set.

    Attributes:
        recipe: as given, with `class_shares` filled in by the thresholds' search.
        head: maps embeddings (n, d) to projections (n, k).
        data: the trusted support that the rows point into.
        references: int64 (r,), rows of `data`, sorted.
        projections: float32 (r, k), unit rows, pulled.
        means: float32 (C, k), unit class means of the lessons; zero rows for classes without any.
        centralities: float64 (n,), in the recipe's space where thresholds chose, else of the raw embeddings.
        thresholds: float64 (C,), largest centrality kept in each class.
    """

    recipe: Recipe
    head: Head
    data: LabelledEmbeddings
    references: IntArray
    projections: Float32Array
    means: Float32Array
    centralities: Float64Array
    thresholds: Float64Array

    def scores(self, embeddings: Float32Array) -> Float32Array:
        """Class scores (q, C) of query embeddings (q, d), by the rule that is served."""
        return self._scores(self.head.project(embeddings))

    def right(self, embeddings: Float32Array, truth: IntArray) -> BoolArray:
        """Whether its own class (truth, (q,)) scores best for each query (q, d); no score is found for nothing."""
        projected, codes = self.head.project(embeddings), self.data.codes[self.references]
        right = np.zeros(len(truth), dtype=np.bool_)
        if self.recipe.neighbours is None:
            right = surely_right(self.projections, codes, len(self.data.classes), projected, truth)
        rest = np.flatnonzero(~right)
        right[rest] = right_answers(self._scores(projected[rest]), truth[rest])
        return right

    def _scores(self, projected: Float32Array) -> Float32Array:
        return answers(
            projected,
            self.projections,
            self.data.codes[self.references],
            len(self.data.classes),
            self.recipe.per_label,
            self.recipe.neighbours,
        )


def fit(recipe: Recipe, prepared: Prepared, tuning: LabelledEmbeddings | None, *, balanced: bool = False) -> Fitted:
    """Follow the recipe.

    Args:
        recipe: what to do; where it has `class_shares`, these are used and no tuning is needed.
        prepared: the support.
        tuning: labelled pictures that are no references, for the sweep over thresholds; None: shares are `quantile`.
        balanced: tune for macro F1 (every class counts the same) instead of accuracy.
    """
    head = prepared.head(recipe)
    projections = head.project(prepared.data.embeddings)
    codes, classes = prepared.data.codes, prepared.data.classes
    means = class_means(_lessons_through(head, prepared, projections), prepared.lessons.codes, len(classes))
    centralities = prepared.raw_centralities
    if recipe.space == "projected" and recipe.strategy == "thresholds":
        centralities = eigenvector_centrality(projections).values

    def ready(rows: IntArray) -> Float32Array:
        return pulled(projections[rows], codes[rows], means, recipe.pull)

    chosen = recipe
    if recipe.strategy == "all":
        references = _capped(np.arange(len(codes)), recipe, projections, codes, len(classes))
    elif recipe.strategy == "medoids":
        references = medoids(projections, codes, _medoid_counts(recipe, codes, len(classes)))
    else:
        ranking = Ranking.of(centralities, codes, len(classes))
        queries = None if tuning is None or not len(tuning) else (head.project(tuning.embeddings), tuning.codes)
        counts = _threshold_counts(recipe, classes, ranking, ready, queries, balanced=balanced)
        references = ranking.kept(counts)
        chosen = replace(recipe, class_shares=_shares(counts, ranking.sizes, classes))
    return Fitted(
        recipe=chosen,
        head=head,
        data=prepared.data,
        references=references,
        projections=ready(references),
        means=means,
        centralities=centralities,
        thresholds=thresholds_of(centralities, codes, references, len(classes)),
    )


def _lessons_through(head: Head, prepared: Prepared, projections: Float32Array) -> Float32Array:
    """Projections of the lessons; nothing is projected twice where these are the trusted rows."""
    if len(prepared.lessons) == len(prepared.data):
        return projections
    return head.project(prepared.lessons.embeddings)


def everything(fitted: Fitted, support: LabelledEmbeddings) -> Fitted:
    """All of `support`, suspected label errors included, as references behind the head and pull of `fitted`."""
    return all_behind(fitted.head, fitted.recipe, support)


def all_behind(head: Head, recipe: Recipe, support: LabelledEmbeddings) -> Fitted:
    """All of `support` as references behind a head, pulled and counted as the recipe says."""
    projections = head.project(support.embeddings)
    classes = len(support.classes)
    means = class_means(projections, support.codes, classes)
    rows = np.arange(len(support))
    centralities = eigenvector_centrality(support.embeddings).values
    return Fitted(
        recipe=replace(recipe, strategy="all", space="raw", class_shares=None),
        head=head,
        data=support,
        references=rows,
        projections=pulled(projections, support.codes, means, recipe.pull),
        means=means,
        centralities=centralities,
        thresholds=thresholds_of(centralities, support.codes, rows, classes),
    )


def _medoid_counts(recipe: Recipe, codes: IntArray, classes: int) -> IntArray:
    sizes = np.bincount(codes, minlength=classes)
    shares = recipe.medoids / np.maximum(sizes, 1)
    return bounded_counts(shares, sizes, recipe.minimum, recipe.maximum)


def _capped(rows: IntArray, recipe: Recipe, projections: Float32Array, codes: IntArray, classes: int) -> IntArray:
    """Strategy "all" under a budget is the budget's number of medoids."""
    if recipe.maximum is None:
        return rows
    return medoids(projections, codes, np.full(classes, recipe.maximum))


def _threshold_counts(
    recipe: Recipe,
    classes: tuple[str, ...],
    ranking: Ranking,
    ready: Callable[[IntArray], Float32Array],
    queries: tuple[Float32Array, IntArray] | None,
    *,
    balanced: bool,
) -> IntArray:
    """References to keep of each class, least central first; `ready` gives rows as they would answer."""
    sizes = ranking.sizes
    shared = np.full(len(classes), recipe.quantile)
    if recipe.class_shares is not None:
        shares = np.array([recipe.class_shares.get(label, recipe.quantile) for label in classes])
        return bounded_counts(shares, sizes, recipe.minimum, recipe.maximum)
    start = bounded_counts(shared, sizes, recipe.minimum, recipe.maximum)
    if queries is None:
        return start
    projected, truth = queries
    lowest = bounded_counts(np.zeros(len(classes)), sizes, recipe.minimum, recipe.maximum)
    highest = bounded_counts(np.ones(len(classes)), sizes, recipe.minimum, recipe.maximum)
    within = ranking.cut(highest)  # no threshold lies beyond
    table = PrefixTable.undecided(ready(within.rows), projected, within, truth, recipe.per_label, balanced=balanced)
    swept = table.sweep(start, lowest, highest, recipe.size_penalty) / np.maximum(sizes, 1)
    shares = swept + recipe.threshold_shrinkage * (shared - swept)
    return bounded_counts(shares, sizes, recipe.minimum, recipe.maximum)


def _shares(counts: IntArray, sizes: IntArray, classes: tuple[str, ...]) -> dict[str, float]:
    return {label: float(counts[i] / sizes[i]) for i, label in enumerate(classes) if sizes[i]}
