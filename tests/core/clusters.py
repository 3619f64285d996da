"""Labelled embeddings made up for tests: classes are clusters on the unit sphere."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from service.core.model import Float32Array, IntArray, LabelledEmbeddings
from service.core.vectors import normalised


def labelled(embeddings, codes, *, classes: int | None = None, groups=None, prefix: str = "e") -> LabelledEmbeddings:
    """Rows as given; every row a group of its own unless `groups` says otherwise; classes are called c00, c01, ..."""
    codes = np.asarray(codes, dtype=np.int64)
    number = int(codes.max(initial=-1)) + 1 if classes is None else classes
    return LabelledEmbeddings(
        embeddings=np.asarray(embeddings, dtype=np.float32),
        codes=codes,
        classes=tuple(f"c{code:02}" for code in range(number)),
        ids=tuple(f"{prefix}{row}" for row in range(len(codes))),
        groups=np.arange(len(codes)) if groups is None else np.asarray(groups, dtype=np.int64),
    )


def clusters(
    sizes: list[int], *, width: int = 8, noise: float = 0.3, seed: int = 0, draw: int = 0, prefix: str = "e"
) -> LabelledEmbeddings:
    """`sizes[c]` rows around the centre of class c. The centres hang on `seed`, the rows on `draw` too."""
    centres = np.random.default_rng(seed).standard_normal((len(sizes), width))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    codes = np.repeat(np.arange(len(sizes)), sizes)
    rows = centres[codes] + noise * np.random.default_rng([seed, draw]).standard_normal((len(codes), width))
    return labelled(normalised(rows), codes, classes=len(sizes), prefix=prefix)


def unit_rows(rows: int, width: int, seed: int) -> Float32Array:
    return normalised(np.random.default_rng(seed).standard_normal((rows, width)))


def nearest(queries: Float32Array, references: Float32Array, codes: IntArray) -> IntArray:
    """Code of each query's most similar reference, by brute force; the lower code among equals."""
    answers = []
    for query in queries:
        similarities = [float(np.float32(query @ reference)) for reference in references]
        best = max(similarities)
        answers.append(min(codes[i] for i, value in enumerate(similarities) if value == best))
    return np.array(answers)


@st.composite
def small_sets(draw: st.DrawFn, max_rows: int = 14, max_width: int = 6) -> LabelledEmbeddings:
    """Anything that may be handed over: one row, one class, copies, constant rows, more dimensions than rows."""
    rows, width = draw(st.integers(1, max_rows)), draw(st.integers(1, max_width))
    classes = draw(st.integers(1, 4))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(("random", "coarse", "constant", "nearly constant")))
    values = random.standard_normal((rows, width))
    if kind == "coarse":  # many copies and exact opposites
        values = np.rint(values)
        values[~values.any(axis=1), 0] = 1.0
    elif kind == "constant":
        values = np.ones((rows, width))
    elif kind == "nearly constant":
        values = 1.0 + 1e-6 * values
    codes = random.integers(0, classes, rows)
    groups = random.integers(0, rows, rows) * classes + codes  # groups never hold two classes
    return labelled(normalised(values), codes, classes=classes, groups=groups)
