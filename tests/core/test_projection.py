"""Closed-form heads: by hand, against scikit-learn and SciPy, and on sets that leave nothing to fit."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.linalg import eigh
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from service.core import projection
from service.core.projection import HEAD_KINDS, PCA_WIDTH, Head, HeadKind, Scatter, fit_head, identity_head
from service.core.vectors import normalised
from service.errors import InvalidInput
from tests.core.clusters import LabelledEmbeddings, clusters, labelled, small_sets, unit_rows


def fitted(kind: HeadKind, data: LabelledEmbeddings, shrinkage: float) -> Head:
    return fit_head(kind, Scatter.of(data.embeddings, data.codes), shrinkage)


def covariances(data: LabelledEmbeddings) -> tuple[np.ndarray, np.ndarray]:
    """Pooled within-class and between-class covariance, spelt out row by row."""
    rows = data.embeddings.astype(np.float64)
    within, between = np.zeros((2, rows.shape[1], rows.shape[1]))
    for code in np.unique(data.codes):
        members = rows[data.codes == code]
        away = members.mean(axis=0) - rows.mean(axis=0)
        between += len(members) * np.outer(away, away) / len(rows)
        for row in members:
            within += np.outer(row - members.mean(axis=0), row - members.mean(axis=0)) / len(rows)
    return within, between


def shrunk(covariance: np.ndarray, shrinkage: float) -> np.ndarray:
    return (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / len(covariance) * np.eye(len(covariance))


def same_up_to_sign(columns: np.ndarray, others: np.ndarray) -> None:
    signs = np.sign((columns * others).sum(axis=0))
    assert columns == pytest.approx(others * signs, rel=1e-4, abs=1e-4 * np.abs(others).max())


# ------------------------------------------------------------------------------------------------------ by hand


def test_scatter_by_hand() -> None:
    rows = np.array([[0, 0], [2, 0], [5, 4], [5, 6]], dtype=np.float32)
    scatter = Scatter.of(rows, np.array([1, 1, 3, 3]))
    assert scatter.mean.tolist() == [3.0, 2.5]
    assert scatter.class_means.tolist() == [[-2.0, -2.5], [2.0, 2.5]]
    assert scatter.counts.tolist() == [2, 2]
    assert scatter.within_axes[0] == pytest.approx([0.5, 0.5])
    assert scatter.total == pytest.approx(np.cov(rows.T, bias=True))
    assert scatter.total_axes[0].sum() == pytest.approx(18 / 4 + 27 / 4)
    assert scatter.variance == pytest.approx(18 / 4 + 27 / 4)
    assert scatter.has_within


def test_identity_changes_nothing() -> None:
    embeddings = unit_rows(5, 3, seed=0)
    assert identity_head(3).project(embeddings) == pytest.approx(embeddings)
    assert identity_head(3).project(np.zeros((0, 3), np.float32)).shape == (0, 3)


@pytest.mark.parametrize(
    ("mean", "matrix"),
    [
        (np.array([0.0, 0.1]), np.eye(2)),
        (np.zeros(2), np.eye(2)[::-1]),
        (np.zeros(2), np.eye(2, 1)),
        (np.zeros(2), -np.eye(2)),
    ],
)
def test_a_head_that_is_none_by_name_alone_is_refused(mean: np.ndarray, matrix: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match="leaves embeddings as they are"):
        Head("none", mean.astype(np.float32), matrix.astype(np.float32))


def test_within_by_hand_stretches_the_quiet_direction() -> None:
    """Spread within the classes is 4 along x and 1 along y; whitened, a step along y counts twice as much."""
    rows = np.array([[-4, 1], [4, 1], [-4, 3], [4, 3], [-4, -1], [4, -1], [-4, -3], [4, -3]], dtype=np.float32)
    head = fitted("within", labelled(rows, [0, 0, 0, 0, 1, 1, 1, 1]), 0.0)
    assert head.kind == "within"
    assert head.mean.tolist() == [0.0, 0.0]
    assert head.matrix == pytest.approx(np.diag([1 / 4, 1.0]), abs=1e-6)
    assert head.project(np.array([[4, 1]], np.float32)) == pytest.approx(np.sqrt([[0.5, 0.5]]))


def test_full_shrinkage_leaves_a_centred_cosine() -> None:
    """All directions then count the same: only centring is left of whitening."""
    data = clusters([6, 6, 6], width=4)
    head = fitted("within", data, 1.0)
    centred = normalised(data.embeddings.astype(np.float64) - data.embeddings.astype(np.float64).mean(axis=0))
    assert head.project(data.embeddings) == pytest.approx(centred, abs=1e-5)


def test_a_row_at_the_mean_becomes_the_first_axis() -> None:
    head = Head("within", np.array([0.6, 0.8], np.float32), np.eye(2, dtype=np.float32))
    assert head.project(np.array([[0.6, 0.8], [1.6, 0.8]], np.float32)).tolist() == [[1, 0], [1, 0]]


def test_projecting_leaves_its_argument_alone_and_gives_unit_rows() -> None:
    data = clusters([6, 6, 6], width=5)
    before = data.embeddings.copy()
    projections = fitted("lda", data, 0.1).project(data.embeddings)
    assert np.array_equal(before, data.embeddings)
    assert projections.dtype == np.float32
    assert np.linalg.norm(projections, axis=1) == pytest.approx(np.ones(18), abs=1e-6)


# ------------------------------------------------------------------------------- against SciPy and scikit-learn


@pytest.mark.parametrize("shrinkage", [0.0, 0.05, 0.5, 1.0])
def test_lda_solves_the_generalised_eigenproblem(shrinkage: float) -> None:
    """Directions w of largest (w' B w) / (w' W w), W shrunk, scaled to w' W w = 1."""
    data = clusters([12, 9, 15, 8], width=6, noise=0.4)
    within, between = covariances(data)
    values, axes = eigh(between, shrunk(within, shrinkage))
    assert values[-4] < 1e-9 < values[-3], "four classes have three directions"
    head = fitted("lda", data, shrinkage)
    assert head.kind == "lda"
    assert head.mean == pytest.approx(data.embeddings.mean(axis=0), abs=1e-6)
    same_up_to_sign(head.matrix, axes[:, :-4:-1])


def test_without_shrinkage_lda_has_scikit_learns_directions() -> None:
    data = clusters([12, 9, 15, 8], width=6, noise=0.4)
    theirs = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.0, store_covariance=True)
    theirs.fit(data.embeddings.astype(np.float64), data.codes)
    same_up_to_sign(fitted("lda", data, 0.0).matrix, theirs.scalings_[:, :3])


@pytest.mark.parametrize("shrinkage", [0.0, 0.2, 0.7])
def test_the_shrunk_covariance_is_scikit_learns(shrinkage: float) -> None:
    data = clusters([12, 9, 15, 8], width=6, noise=0.4)
    theirs = LinearDiscriminantAnalysis(solver="eigen", shrinkage=shrinkage).fit(
        data.embeddings.astype(np.float64), data.codes
    )
    matrix = fitted("within", data, shrinkage).matrix.astype(np.float64)
    assert matrix.T @ theirs.covariance_ @ matrix == pytest.approx(np.eye(6), abs=1e-4)


def test_with_shrinkage_the_directions_are_not_scikit_learns() -> None:
    """It takes shrunk total minus shrunk within for the between-class covariance: a multiple of 1 more than ours."""
    data = clusters([12, 9, 15, 8], width=6, noise=0.4)
    within, between = covariances(data)
    theirs = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.5).fit(
        data.embeddings.astype(np.float64), data.codes
    )
    _, axes = eigh(shrunk(within + between, 0.5) - shrunk(within, 0.5), shrunk(within, 0.5))
    same_up_to_sign(axes[:, ::-1], theirs.scalings_)
    ours = fitted("lda", data, 0.5).matrix
    cosine = np.linalg.norm(np.linalg.qr(ours)[0].T @ np.linalg.qr(theirs.scalings_[:, :3])[0], ord=-2)
    assert cosine < 0.999


def test_pca_is_scikit_learns_whitened_pca() -> None:
    data = clusters([15, 15], width=5)
    theirs = PCA(whiten=True).fit(data.embeddings.astype(np.float64))
    head = fitted("pca", data, 0.0)
    projected = (data.embeddings - head.mean) @ head.matrix
    rows = len(data)  # scikit-learn divides by n - 1
    same_up_to_sign(projected * np.sqrt((rows - 1) / rows), theirs.transform(data.embeddings.astype(np.float64)))


def test_pca_is_at_most_so_wide() -> None:
    data = labelled(unit_rows(PCA_WIDTH + 50, PCA_WIDTH + 20, seed=1), np.arange(PCA_WIDTH + 50) % 3)
    assert fitted("pca", data, 0.3).matrix.shape == (PCA_WIDTH + 20, PCA_WIDTH)


@pytest.mark.parametrize("kind", ["within", "lda", "pca"])
def test_the_head_does_not_hang_on_how_the_embeddings_are_turned(kind: HeadKind) -> None:
    data = clusters([8, 8, 8, 8], width=6, noise=0.4)
    turn = np.linalg.qr(np.random.default_rng(3).standard_normal((6, 6)))[0]
    turned = labelled(data.embeddings.astype(np.float64) @ turn, data.codes)
    first = fitted(kind, data, 0.2).project(data.embeddings)
    second = fitted(kind, turned, 0.2).project(turned.embeddings)
    assert second @ second.T == pytest.approx(first @ first.T, abs=2e-4)


@pytest.mark.parametrize("kind", ["within", "lda"])
def test_a_head_tells_apart_what_loud_noise_hides(kind: HeadKind) -> None:
    """Classes differ along three quiet axes; loud noise along six others decides the raw cosine."""
    random = np.random.default_rng(0)
    codes = np.repeat(np.arange(3), 60)
    quiet = np.eye(3)[codes] + 0.1 * random.standard_normal((180, 3))
    rows = np.hstack([quiet, 2 * random.standard_normal((180, 6))])
    data = labelled(normalised(rows), codes)
    known, asked = np.arange(180) % 2 == 0, np.arange(180) % 2 == 1

    def accuracy(head: Head) -> float:
        projections = head.project(data.embeddings)
        answers = data.codes[known][(projections[asked] @ projections[known].T).argmax(axis=1)]
        return float(np.mean(answers == data.codes[asked]))

    support = data.take(known)
    assert accuracy(identity_head(9)) < 0.7
    assert accuracy(fitted(kind, support, 0.01)) > 0.9


# ------------------------------------------------------------------------------------------- little to fit from


def test_two_classes_are_whitened_at_full_width_not_put_on_a_line() -> None:
    head = fitted("lda", clusters([9, 9], width=5), 0.1)
    assert head.kind == "within"
    assert head.matrix.shape == (5, 5)


def test_class_means_on_one_line_are_whitened_at_full_width_too() -> None:
    """Three classes are no guarantee of two directions: on a line all cosines are 1 or -1."""
    random = np.random.default_rng(0)
    noise = random.standard_normal((10, 4))
    noise -= noise.mean(axis=0)
    rows = np.concatenate([noise + np.array([shift, 0, 0, 0]) for shift in (-3.0, 0.0, 3.0)])
    head = fitted("lda", labelled(rows, np.repeat(np.arange(3), 10)), 0.1)
    assert head.kind == "within"
    assert head.matrix.shape == (4, 4)


def test_one_class_is_whitened() -> None:
    for kind in ("lda", "within"):
        head = fitted(kind, clusters([9], width=4), 0.1)
        assert head.kind == "within"


@pytest.mark.parametrize("kind", ["lda", "within"])
def test_one_picture_a_class_says_nothing_of_the_spread(kind: HeadKind) -> None:
    data = clusters([1, 1, 1, 1], width=4)
    head = fitted(kind, data, 0.1)
    assert head.kind == "none"
    assert head.project(data.embeddings) == pytest.approx(data.embeddings)


@pytest.mark.parametrize("kind", HEAD_KINDS)
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_constant_embeddings_leave_the_identity(kind: HeadKind, rows: int) -> None:
    data = labelled(np.tile([0.6, 0.8, 0.0], (rows, 1)), np.arange(rows) % 2, classes=2)
    head = fitted(kind, data, 0.1)
    assert head.kind == "none"
    assert head.project(data.embeddings) == pytest.approx(data.embeddings)


@pytest.mark.parametrize("kind", HEAD_KINDS)
def test_more_dimensions_than_rows(kind: HeadKind) -> None:
    data = clusters([3, 3, 3], width=60)
    projections = fitted(kind, data, 0.0).project(data.embeddings)
    assert np.isfinite(projections).all()


@pytest.mark.parametrize("kind", HEAD_KINDS)
@pytest.mark.parametrize("shrinkage", [0.0, 0.05, 0.7])
def test_few_rows_give_the_head_that_all_dimensions_give(
    kind: HeadKind, shrinkage: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that were not fitted leave the space that the others span, and are seen the same all the same."""
    data, asked = clusters([4, 6, 5], width=60), unit_rows(9, 60, seed=4)
    spanned = fitted(kind, data, shrinkage)
    monkeypatch.setattr(projection, "SPANNED_SHARE", 1000)
    assert Scatter.of(data.embeddings, data.codes).basis is None
    full = fitted(kind, data, shrinkage)
    assert spanned.matrix.shape == full.matrix.shape
    cosines = [head.project(asked) @ head.project(data.embeddings).T for head in (spanned, full)]
    assert cosines[0] == pytest.approx(cosines[1], abs=1e-5)


def two_parts(sizes: list[int], width: int) -> LabelledEmbeddings:
    """Clusters whose rows are two embeddings side by side, each of half the squared length."""
    data = clusters(sizes, width=width)
    first, second = np.split(data.embeddings, 2, axis=1)
    sides = np.concatenate([normalised(first), normalised(second)], axis=1) / np.float32(np.sqrt(2.0))
    return replace(data, embeddings=sides)


@pytest.mark.parametrize("kind", HEAD_KINDS)
def test_few_rows_of_parts_give_the_head_that_all_dimensions_give(
    kind: HeadKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, asked = two_parts([4, 6, 5], width=80), unit_rows(9, 80, seed=4)
    scatter = Scatter.of(data.embeddings, data.codes)
    assert scatter.parts == 2
    assert scatter.basis is not None
    assert 0.0 < scatter.across < 1.0
    spanned = fitted(kind, data, 0.05)
    monkeypatch.setattr(projection, "SPANNED_SHARE", 1000)
    whole = Scatter.of(data.embeddings, data.codes)
    assert whole.basis is None
    assert whole.across == pytest.approx(scatter.across)
    cosines = [head.project(asked) @ head.project(data.embeddings).T for head in (spanned, fit_head(kind, whole, 0.05))]
    assert cosines[0] == pytest.approx(cosines[1], abs=1e-5)


def test_whitening_of_parts_is_by_what_is_believed_across_them() -> None:
    data = two_parts([9, 9, 9], width=20)
    scatter = Scatter.of(data.embeddings, data.codes)
    within, _ = covariances(data)
    within[:10, 10:] *= 1 - scatter.across
    within[10:, :10] *= 1 - scatter.across
    for kind in ("within", "lda"):
        matrix = fit_head(kind, scatter, 0.1).matrix.astype(np.float64)
        whitened = matrix.T @ shrunk(within, 0.1) @ matrix
        assert whitened == pytest.approx(np.eye(len(whitened)), abs=1e-4)


@given(
    data=small_sets(),
    kind=st.sampled_from(HEAD_KINDS),
    shrinkage=st.one_of(st.just(0.0), st.just(1.0), st.floats(0, 1)),
)
@settings(max_examples=200)
@example(labelled([[1.0]], [0]), "lda", 0.0)
@example(labelled([[1.0], [-1.0], [1.0]], [0, 1, 2]), "lda", 0.0)
@example(labelled([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], [0, 0, 1, 1]), "within", 0.0)
def test_every_head_gives_finite_unit_rows_whatever_it_was_fitted_on(
    data: LabelledEmbeddings, kind: HeadKind, shrinkage: float
) -> None:
    head = fitted(kind, data, shrinkage)
    width = data.embeddings.shape[1]
    assert head.mean.shape == (width,)
    assert head.matrix.shape[0] == width
    assert 1 <= head.matrix.shape[1] <= width
    assert head.kind in HEAD_KINDS
    for asked in (data.embeddings, unit_rows(5, width, seed=1), np.zeros((2, width), np.float32)):
        projections = head.project(asked)
        assert projections.dtype == np.float32
        assert np.linalg.norm(projections, axis=1) == pytest.approx(np.ones(len(asked)), abs=1e-5)


# ------------------------------------------------------------------------------------------------------- stored


@given(data=small_sets(), kind=st.sampled_from(HEAD_KINDS))
@settings(max_examples=30)
def test_bytes_read_back_bit_for_bit(data: LabelledEmbeddings, kind: HeadKind) -> None:
    head = fitted(kind, data, 0.3)
    again = Head.from_bytes(head.to_bytes())
    assert again.kind == head.kind
    assert again.mean.dtype == again.matrix.dtype == np.float32
    assert np.array_equal(again.mean, head.mean)
    assert np.array_equal(again.matrix, head.matrix)
    assert again.to_bytes() == head.to_bytes()


def npz(**arrays: object) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{name: np.asarray(value) for name, value in arrays.items()})
    return buffer.getvalue()


def npy(value: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(value))
    return buffer.getvalue()


JUNK = {
    "nothing": b"",
    "text": b"this is no head",
    "a broken archive": b"PK\x03\x04" + b"\0" * 40,
    "half of a head": identity_head(4).to_bytes()[:200],
    "a head without its end": identity_head(4).to_bytes()[:-1],
    "a single array": npy([1.0, 2.0]),
    "an archive without a matrix": npz(kind="none", mean=np.zeros(3)),
    "pickled objects": npz(kind="none", mean=np.zeros(2), matrix=np.array([[{}, {}]], dtype=object)),
    "widths that do not go together": npz(kind="none", mean=np.zeros(3), matrix=np.eye(4)),
    "a matrix of one axis": npz(kind="none", mean=np.zeros(3), matrix=np.zeros(3)),
}


@pytest.mark.parametrize("data", JUNK.values(), ids=JUNK.keys())
def test_other_bytes_are_refused_in_a_sentence(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        Head.from_bytes(data)


@pytest.mark.parametrize("bit", [0, 5])
def test_one_damaged_bit_is_refused_or_harmless(bit: int) -> None:
    """Bit 0 of a flag byte marks an archive's entry as encrypted, which is yet another kind of error."""
    whole = identity_head(2).to_bytes()
    refused = 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        try:
            head = Head.from_bytes(bytes(damaged))
        except InvalidInput:
            refused += 1
        else:
            assert (head.kind, head.mean.tolist(), head.matrix.tolist()) == ("none", [0, 0], [[1, 0], [0, 1]])
    assert refused > len(whole) / 2, "an archive's checksums cover its arrays"
