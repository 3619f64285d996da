"""The panel: other ways to answer from the same embeddings, each with the time that it takes to choose or to learn.

Condensed and edited nearest neighbours are imbalanced-learn's. Its condensed form is made for one rare class against
one common one: with many classes it keeps hardly more than one picture of each. Hart's own rule stands beside it.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from imblearn.under_sampling import CondensedNearestNeighbour, EditedNearestNeighbours
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC

from scripts.bench.joint_probe import JointProbe
from service.core.baselines import random_rows
from service.core.centrality import eigenvector_centrality
from service.core.folds import deal_folds, fold_count
from service.core.medoids import medoids
from service.core.model import Float32Array, IntArray, LabelledEmbeddings
from service.core.projection import Head
from service.core.pull import class_means, pulled
from service.core.thresholds import Ranking
from service.core.voting import class_scores

SAME_SIZE = ("random", "lowest", "highest", "kmedoids", "facility")
"""Members that keep as many references a class as Holotype does."""
OWN_SIZE = ("all", "cnn", "hart", "enn", "means", "knn7")
LEARNT = ("logistic", "svm")
MEMBERS = ("all", *SAME_SIZE, "cnn", "hart", "enn", "means", "knn7", *LEARNT)

NEIGHBOURS = 7
PENALTIES = (10.0, 100.0, 1000.0)
"""Inverse strengths of the regularisation among which a probe chooses by pictures that it has not learnt from."""
MANY_CLASSES = 150
MANY_PENALTY = 100.0
"""Taken from that many classes on, and all of them are learnt at once (`joint_probe`)."""
TIE = 1e-6
# One picture a class is a question here, and no mistake.
warnings.filterwarnings("ignore", message="The number of unique classes is greater than 50%")
HART_ROUNDS = 10


@dataclass(frozen=True, eq=False)
class Answer:
    """Class scores (q, C) of a member, how many references it keeps, and the seconds to choose them or to learn."""

    scores: Float32Array
    references: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Space:
    """Where a panel stands: everything projected by one head, references pulled towards their class means."""

    head: Head
    per_label: int
    pull: float


def panel(
    support: LabelledEmbeddings,
    queries: Float32Array,
    space: Space,
    rows: Mapping[str, tuple[IntArray, float]],
    learnt: Mapping[str, Answer],
) -> dict[str, Answer]:
    """Every member's answers to `queries` (q, d); `rows` and `learnt` do not depend on the pull and are made before."""
    codes, classes = support.codes, len(support.classes)
    projections = space.head.project(support.embeddings)
    means = class_means(projections, codes, classes)
    ready = pulled(projections, codes, means, space.pull)
    asked = space.head.project(queries)
    similarities = asked @ ready.T
    answers = {
        name: Answer(
            class_scores(similarities[:, chosen], codes[chosen], classes, space.per_label), len(chosen), seconds
        )
        for name, (chosen, seconds) in rows.items()
        if len(chosen)
    }
    present = np.flatnonzero(means.any(axis=1))
    answers["means"] = Answer(class_scores(asked @ means[present].T, present, classes, 1), len(present), 0.0)
    answers["knn7"] = Answer(_neighbours(ready, codes, asked, classes), len(ready), 0.0)
    return {name: answers[name] for name in MEMBERS if name in answers} | dict(learnt)


def chosen_rows(
    support: LabelledEmbeddings, head: Head, counts: IntArray, seed: int
) -> dict[str, tuple[IntArray, float]]:
    """Rows of each member that is made of pictures, and the seconds that choosing took; counts (C,) wanted a class."""
    codes, classes = support.codes, len(support.classes)
    counts = np.minimum(np.maximum(counts, 1), np.bincount(codes, minlength=classes))
    projections = head.project(support.embeddings)
    ways: dict[str, Callable[[], IntArray]] = {
        "all": lambda: np.arange(len(codes)),
        "random": lambda: random_rows(codes, counts, seed),
        "lowest": lambda: _by_centrality(support, counts, sign=1),
        "highest": lambda: _by_centrality(support, counts, sign=-1),
        "kmedoids": lambda: medoids(projections, codes, counts),
        "facility": lambda: facility_rows(projections, codes, counts),
        "cnn": lambda: condensed_rows(projections, codes, seed),
        "hart": lambda: hart_rows(projections, codes, seed),
        "enn": lambda: edited_rows(projections, codes),
    }
    return {name: _timed(way) for name, way in ways.items()}


def _timed(way: Callable[[], IntArray]) -> tuple[IntArray, float]:
    began = time.perf_counter()
    return way(), time.perf_counter() - began


def _by_centrality(support: LabelledEmbeddings, counts: IntArray, sign: int) -> IntArray:
    values = eigenvector_centrality(support.embeddings).values
    return Ranking.of(sign * values, support.codes, len(support.classes)).kept(counts)


def facility_rows(projections: Float32Array, codes: IntArray, counts: IntArray) -> IntArray:
    """Greedy facility location within each class: each choice raises the sum of best similarities most.

    Greedy is within 1 - 1/e of the best (Nemhauser, Wolsey and Fisher 1978).
    """
    chosen: list[int] = []
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        similarities = projections[rows] @ projections[rows].T
        best = np.full(len(rows), -1.0, dtype=np.float32)
        picked: list[int] = []
        for _ in range(int(counts[code])):
            gains = np.maximum(similarities, best[:, None]).sum(axis=0)
            gains[picked] = -np.inf
            picked.append(int(gains.argmax()))
            best = np.maximum(best, similarities[:, picked[-1]])
        chosen.extend(rows[picked])
    return np.sort(np.array(chosen, dtype=np.int64))


def condensed_rows(projections: Float32Array, codes: IntArray, seed: int) -> IntArray:
    """imbalanced-learn's condensed nearest neighbours, every class thinned out; one class alone cannot be."""
    if len(np.unique(codes)) < 2:
        return np.zeros(0, dtype=np.int64)
    sampler = CondensedNearestNeighbour(sampling_strategy="all", random_state=seed, n_neighbors=1)
    sampler.fit_resample(projections, codes)
    return np.unique(sampler.sample_indices_).astype(np.int64)


def edited_rows(projections: Float32Array, codes: IntArray) -> IntArray:
    """imbalanced-learn's edited nearest neighbours (Wilson 1972): goes what most of its three neighbours contradict."""
    if len(codes) <= 3 or len(np.unique(codes)) < 2:
        return np.arange(len(codes))
    sampler = EditedNearestNeighbours(sampling_strategy="all", n_neighbors=3, kind_sel="mode")
    sampler.fit_resample(projections, codes)
    return np.unique(sampler.sample_indices_).astype(np.int64)


def hart_rows(projections: Float32Array, codes: IntArray, seed: int) -> IntArray:
    """Hart (1968): pictures join the store while their nearest stored one is of another class, until none is."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(codes))
    stored = [int(order[0])]
    best = projections @ projections[stored[0]]
    owner = np.full(len(codes), stored[0])
    for _ in range(HART_ROUNDS):
        before = len(stored)
        for row in order:
            if codes[owner[row]] != codes[row]:
                stored.append(int(row))
                similarities = projections @ projections[row]
                nearer = similarities > best
                best, owner = np.where(nearer, similarities, best), np.where(nearer, row, owner)
                owner[row] = row
                best[row] = np.inf
        if len(stored) == before:
            break
    return np.sort(np.array(stored, dtype=np.int64))


def _neighbours(references: Float32Array, codes: IntArray, asked: Float32Array, classes: int) -> Float32Array:
    """Seven nearest, each counted by 1 / distance; classes without one of them are ranked by their nearest."""
    voters = KNeighborsClassifier(min(NEIGHBOURS, len(references)), weights="distance", algorithm="brute")
    votes = voters.fit(references, codes).predict_proba(asked)
    nearest = class_scores(asked @ references.T, codes, classes, 1)
    scores = TIE * nearest
    scores[:, voters.classes_] += votes.astype(np.float32)
    return scores


def learnt_answers(
    support: LabelledEmbeddings, tuning: LabelledEmbeddings, queries: Float32Array, head: Head, seed: int
) -> dict[str, Answer]:
    """Logistic regression and linear SVM on projected embeddings: they keep no reference, but a weight a class.

    Empty where wrong labels left one class only: there is nothing to learn.
    """
    if len(np.unique(support.codes)) < 2:
        return {}
    lent = _lent(support, tuning, seed)
    answers = {}
    many = len(support.classes) >= MANY_CLASSES
    ways = (("logistic", _joint_logistic), ("svm", _joint_svm)) if many else (("logistic", _logistic), ("svm", _svm))
    for name, make in ways:
        began = time.perf_counter()
        penalty = _penalty(make, head, *lent, many=many)
        model = _learnt(make(penalty), head, support)
        seconds = time.perf_counter() - began
        answers[name] = Answer(_decisions(model, head.project(queries), len(support.classes)), 0, seconds)
    return answers


def _logistic(penalty: float) -> LogisticRegression:
    return LogisticRegression(C=penalty, max_iter=300)


def _svm(penalty: float) -> LinearSVC:
    # A tolerance of 0.01 takes two thirds of the time on raw embeddings, and gave the same accuracy to the last digit.
    return LinearSVC(C=penalty / 10.0, tol=0.01)


def _joint_logistic(penalty: float) -> JointProbe:
    return JointProbe("logistic", penalty)


def _joint_svm(penalty: float) -> JointProbe:
    return JointProbe("squared_hinge", penalty / 10.0)


Probe = LogisticRegression | LinearSVC | JointProbe


def _learnt(model: Probe, head: Head, data: LabelledEmbeddings) -> Probe:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(head.project(data.embeddings), data.codes)


def _lent(support: LabelledEmbeddings, tuning: LabelledEmbeddings, seed: int) -> tuple[LabelledEmbeddings, ...]:
    """(learn from, choose by): the tuning pictures or, without any, a fold of the support."""
    folds = fold_count(support)
    if len(tuning) or folds < 2:
        return support, tuning
    fold = deal_folds(support, folds, seed) == 0
    return support.take(~fold), support.take(fold)


def _penalty(
    make: Callable[[float], Probe], head: Head, learn: LabelledEmbeddings, choose: LabelledEmbeddings, *, many: bool
) -> float:
    if many or not len(choose) or len(np.unique(learn.codes)) < 2:
        return MANY_PENALTY
    asked = head.project(choose.embeddings)

    def right(penalty: float) -> float:
        scores = _decisions(_learnt(make(penalty), head, learn), asked, len(learn.classes))
        return float(np.mean(scores.argmax(axis=1) == choose.codes))

    return max(PENALTIES, key=right)


def _decisions(model: Probe, asked: Float32Array, classes: int) -> Float32Array:
    found = model.decision_function(asked)
    if found.ndim == 1:
        found = np.stack([-found, found], axis=1)
    scores = np.full((len(asked), classes), -np.inf, dtype=np.float32)
    scores[:, model.classes_] = found
    return scores
