"""Votes: a class's score is the mean of its m best similarities (m = `per_label`), in searching and in choosing.

A class with fewer than m references is scored by the mean of those that it has. Ties go to the label that sorts first.
The array form (`class_scores`, `confidences`) chooses references; the list form (`vote`) answers queries; a test holds
them together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from service.core.model import Float32Array, Float64Array, IntArray, Neighbour, Prediction, ScoredLabel
from service.errors import InvalidInput, NothingToServe

CONFIDENCE_CLASSES = 10
"""Classes that share the confidence. Fixed: else an answer's confidence would depend on how many were asked for."""


def class_scores(similarities: Float32Array, codes: IntArray, classes: int, per_label: int) -> Float32Array:
    """Score of every class for every query.

    Args:
        similarities: float32 (q, r), cosine -1..1 of each query with each reference.
        codes: int64 (r,), class of each reference, 0 .. classes - 1.
        classes: number of classes C.
        per_label: m >= 1, how many of a class's best similarities are averaged.

    Returns:
        float32 (q, C); -inf for a class without references.

    Raises:
        InvalidInput: when shapes disagree or `per_label` is below 1.
    """
    if similarities.ndim != 2 or codes.shape != (similarities.shape[1],):
        raise InvalidInput(
            f"similarities of shape {similarities.shape} do not go with {codes.shape} codes; (q, r) and (r,) do"
        )
    _check_per_label(per_label)
    scores = np.full((similarities.shape[0], classes), -np.inf, dtype=np.float32)
    if codes.size:
        order = np.argsort(codes, kind="stable")
        present, starts, sizes = np.unique(codes[order], return_index=True, return_counts=True)
        largest = np.argsort(-sizes, kind="stable")
        rows = np.ascontiguousarray(similarities.T)
        best = _means_of_best(rows, order, starts[largest], sizes[largest], per_label)
        scores[:, present[largest]] = best.T
    return scores


def confidences(scores: Float32Array, temperature: float) -> Float64Array:
    """Confidence of the best class of each row: softmax(score / temperature) over the row's CONFIDENCE_CLASSES best.

    `scores` is float32 (q, C) as `class_scores` returns it; the result is float64 (q,), 0..1; 0 for a row of -inf only.
    """
    _check_temperature(temperature)
    columns = scores.shape[1]
    shared = min(CONFIDENCE_CLASSES, columns)
    best = np.partition(scores, columns - shared, axis=1)[:, columns - shared :].astype(np.float64)
    top = best.max(axis=1, keepdims=True)
    answered = np.isfinite(top[:, 0])
    result = np.zeros(len(scores))
    result[answered] = 1.0 / np.exp((best[answered] - top[answered]) / temperature).sum(axis=1)
    return result


def vote(
    neighbours: Sequence[Neighbour],
    per_label: int,
    temperature: float,
    top: int,
    blend: Callable[[Mapping[str, float]], Mapping[str, float]] | None = None,
    shown: int | None = None,
) -> Prediction:
    """Resolve a query from its neighbours.

    Args:
        neighbours: nearest first, with the `per_label` best of each of the max(top, CONFIDENCE_CLASSES) best classes.
        per_label: m >= 1, how many of a class's best similarities are averaged.
        temperature: above 0; the smaller, the surer.
        top: how many classes to name, at least 1.
        blend: class scores to class scores, where pictures are not all that is known (`core.words`), or where the
            nearest vote (`core.neighbour_votes`); may add some.
        shown: neighbours of each class that are told; None: `per_label`.

    Returns:
        The prediction; its neighbours are the `shown` best of each class named.

    Raises:
        NothingToServe: when there is no class with a score.
        InvalidInput: when `per_label`, `temperature` or `top` is out of range.
    """
    _check_per_label(per_label)
    _check_temperature(temperature)
    if top < 1:
        raise InvalidInput(f"top is {top}; at least one class must be named", top=top)
    scores: Mapping[str, float] = _scores(neighbours, per_label)
    ranked = sorted([(-score, label) for label, score in (scores if blend is None else blend(scores)).items()])
    if not ranked:
        raise NothingToServe("no reference answered: the catalogue holds no usable example")
    named = tuple([ScoredLabel(label, -below) for below, label in ranked[:top]])
    first = ranked[0][0]
    shares = [math.exp((first - below) / temperature) for below, _ in ranked[:CONFIDENCE_CLASSES]]
    return Prediction(
        label=named[0].label,
        confidence=1.0 / math.fsum(shares),
        margin=ranked[1][0] - first if len(ranked) > 1 else 1.0 - first,
        top=named,
        neighbours=_told(neighbours, named, per_label if shown is None else shown),
    )


def _told(neighbours: Sequence[Neighbour], named: Sequence[ScoredLabel], shown: int) -> tuple[Neighbour, ...]:
    """The `shown` nearest of each class named."""
    left = {scored.label: shown for scored in named}
    told = []
    for neighbour in neighbours:
        if left.get(neighbour.label, 0) > 0:
            left[neighbour.label] -= 1
            told.append(neighbour)
    return tuple(told)


def _scores(neighbours: Sequence[Neighbour], per_label: int) -> dict[str, float]:
    """The mean of the first `per_label` similarities of each label."""
    if per_label == 1:
        return {one.label: one.similarity for one in reversed(neighbours)}  # the first of a label overwrites the rest
    best: dict[str, list[float]] = {}
    for one in neighbours:
        similarities = best.setdefault(one.label, [])
        if len(similarities) < per_label:
            similarities.append(one.similarity)
    return {label: math.fsum(similarities) / len(similarities) for label, similarities in best.items()}


def _means_of_best(
    similarities: Float32Array, order: IntArray, starts: IntArray, sizes: IntArray, per_label: int
) -> Float32Array:
    """Mean of the `per_label` largest similarities of each class, (c, q); of all where a class has fewer.

    Class i has the rows order[starts[i] : starts[i] + sizes[i]] of similarities (r, q), the largest class first: the
    first reference of every class is looked at, then the second of all that have one, and so on. Sixteen times as
    fast as class by class where there are a thousand.
    """
    wide = (len(starts), similarities.shape[1])
    best = [np.empty(wide, dtype=np.float32) for _ in range(min(per_label, int(sizes[0])))]
    looked_at = np.empty(wide, dtype=np.float32)
    for place in range(int(sizes[0])):
        having = int(np.searchsorted(-sizes, -place))
        carried = np.take(similarities, order[starts[:having] + place], axis=0, out=looked_at[:having], mode="clip")
        for rank in range(min(place, per_label)):
            above = best[rank][:having]
            lower = np.minimum(above, carried) if rank + 1 < per_label else carried
            np.maximum(above, carried, out=above)
            carried = lower
        if place < per_label:
            best[place][:having] = carried
    if per_label == 1:
        return best[0]
    total = np.zeros(wide)
    for rank, kept in enumerate(best):
        having = int(np.searchsorted(-sizes, -rank))
        total[:having] += kept[:having]
    return np.asarray(total / np.minimum(sizes, per_label)[:, None], dtype=np.float32)


def _check_per_label(per_label: int) -> None:
    if per_label < 1:
        raise InvalidInput(f"per_label is {per_label}; at least one similarity a class must count", per_label=per_label)


def _check_temperature(temperature: float) -> None:
    if not (temperature > 0 and math.isfinite(temperature)):
        raise InvalidInput(f"temperature is {temperature}; a finite number above 0 is needed", temperature=temperature)
