"""What is told by class centres alone, against all similarities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core import surely_right as module
from service.core.fitting import fit, prepare
from service.core.pull import class_means, pulled
from service.core.race import right_answers
from service.core.recipe import Recipe
from service.core.surely_right import surely_right
from service.core.voting import class_scores
from tests.core.clusters import clusters, unit_rows


@pytest.fixture(autouse=True)
def _few_classes_do(monkeypatch) -> None:
    monkeypatch.setattr(module, "FEWEST_CLASSES", 2)


def case(seed: int, pull: float) -> tuple[np.ndarray, np.ndarray, int, np.ndarray, np.ndarray]:
    """References of up to seven classes, one of them without any, pulled; and queries of all of them."""
    random = np.random.default_rng(seed)
    classes = int(random.integers(2, 8))
    codes = random.permutation(np.repeat(np.arange(classes - 1), random.integers(2, 6, classes - 1)))
    rows = unit_rows(len(codes), 8, seed=seed)
    references = pulled(rows, codes, class_means(rows, codes, classes), pull)
    truth = random.integers(0, classes, 40)
    near = class_means(rows, codes, classes)[truth] + 0.5 * random.standard_normal((40, 8))
    return references, codes, classes, (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32), truth


@given(seed=st.integers(0, 2**32 - 1), pull=st.sampled_from([0.3, 0.7, 0.9, 1.0]), per_label=st.integers(1, 3))
@settings(max_examples=150)
def test_what_is_sure_is_right(seed: int, pull: float, per_label: int) -> None:
    references, codes, classes, queries, truth = case(seed, pull)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FEWEST_CLASSES", 2)
        patch.setattr(module, "WORTH", 0.0)
        sure = surely_right(references, codes, classes, queries, truth)
    scores = class_scores(queries @ references.T, codes, classes, per_label)
    assert right_answers(scores, truth)[sure].all()
    assert not sure[truth == classes - 1].any(), "a class without references is never right"


def test_of_strongly_pulled_references_most_is_sure() -> None:
    data = clusters([6] * 10, noise=0.05)
    means = class_means(data.embeddings, data.codes, 10)
    references = pulled(data.embeddings, data.codes, means, 0.9)
    assert surely_right(references, data.codes, 10, data.embeddings, data.codes).mean() > 0.9
    assert not surely_right(references, data.codes, 10, data.embeddings, (data.codes + 1) % 10).any()


def test_where_it_would_not_pay_nothing_is_looked_at(monkeypatch) -> None:
    data = clusters([6] * 10, noise=0.05)
    asked = data.embeddings, data.codes, 10, data.embeddings, data.codes
    for name, value in (("FEWEST_CLASSES", 11), ("EACH", (7.0, 16)), ("EACH", (2.0, 5))):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            assert not surely_right(*asked).any()


@pytest.mark.parametrize("recipe", [
    Recipe(head="lda", pull=0.9, strategy="all", maximum=4), Recipe(pull=0.9, per_label=2, strategy="all", maximum=4),
    Recipe(pull=0.5, neighbours=3, strategy="all", maximum=4),
])  # fmt: skip
def test_a_fitted_set_is_right_where_its_scores_say_so(recipe: Recipe) -> None:
    data, asked = clusters([8] * 6, noise=0.7), clusters([30] * 6, noise=0.7, draw=1)
    fitted = fit(recipe, prepare(data, "none", 0), None)
    expected = right_answers(fitted.scores(asked.embeddings), asked.codes)
    assert 0 < expected.sum() < len(asked)
    assert np.array_equal(fitted.right(asked.embeddings, asked.codes), expected)
