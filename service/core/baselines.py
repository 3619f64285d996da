"""The panel that a selection must beat: simple reference sets behind the same head and the same pull.

Every member sees the same support, as it was handed over (suspected label errors included), and, "all" and "means"
aside, keeps as many references a class as the selection does.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from service.core.centrality import eigenvector_centrality
from service.core.medoids import medoids
from service.core.model import Float32Array, IntArray, LabelledEmbeddings
from service.core.neighbour_votes import answers, query_blocks, rule_scores
from service.core.projection import Head
from service.core.pull import class_means, pulled
from service.core.thresholds import Ranking

MEMBERS = ("all", "random", "lowest", "highest", "kmedoids", "means")
"""all references; random, lowest and highest centrality, k-medoids: of the selection's size; one mean a class."""


def random_rows(codes: IntArray, counts: IntArray, seed: int) -> IntArray:
    """Rows drawn at random, sorted: codes (n,), counts (C,) wanted a class; all of a class that has no more."""
    random = np.random.default_rng(seed)
    rows = [
        random.choice(np.flatnonzero(codes == code), min(int(counts[code]), int(np.sum(codes == code))), replace=False)
        for code in np.unique(codes)
        if counts[code]
    ]
    return np.sort(np.concatenate(rows))


def reference_rows(support: LabelledEmbeddings, head: Head, counts: IntArray, seed: int) -> dict[str, IntArray]:
    """Rows of each member that is made of pictures: support of n rows, counts (C,) references wanted a class."""
    codes, classes = support.codes, len(support.classes)
    counts = np.minimum(np.maximum(counts, 1), np.bincount(codes, minlength=classes))
    centralities = eigenvector_centrality(support.embeddings).values
    return {
        "all": np.arange(len(codes)),
        "random": random_rows(codes, counts, seed),
        "lowest": Ranking.of(centralities, codes, classes).kept(counts),
        "highest": Ranking.of(-centralities, codes, classes).kept(counts),
        "kmedoids": medoids(head.project(support.embeddings), codes, counts),
    }


def panel_scores(
    support: LabelledEmbeddings,
    head: Head,
    rows: Mapping[str, IntArray],
    queries: Float32Array,
    *,
    per_label: int,
    neighbours: int | None = None,
    pull: float,
) -> dict[str, tuple[Float32Array, int]]:
    """Class scores (q, C) and number of references of every member for queries (q, d), by the recipe's rule."""
    codes, classes = support.codes, len(support.classes)
    projections = head.project(support.embeddings)
    means = class_means(projections, codes, classes)
    ready = pulled(projections, codes, means, pull)
    asked = head.project(queries)
    present = np.flatnonzero(means.any(axis=1))
    scores = {name: np.empty((len(queries), classes), dtype=np.float32) for name in rows}
    union = np.unique(np.concatenate([np.arange(0), *rows.values()]))
    places = {
        name: np.searchsorted(union, chosen) for name, chosen in rows.items() if not np.array_equal(chosen, union)
    }
    references = ready[union]
    for some in query_blocks(len(queries), len(union)):
        # Members share most of their references: no similarity is found twice.
        similarities = references @ asked[some].T
        for name, chosen in rows.items():
            own = similarities[places[name]] if name in places else similarities
            scores[name][some] = rule_scores(own.T, codes[chosen], classes, per_label, neighbours)
    told = {name: (found, len(rows[name])) for name, found in scores.items()}
    return told | {"means": (answers(asked, means[present], present, classes, 1, None), len(present))}
