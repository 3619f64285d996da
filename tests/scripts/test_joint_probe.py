"""Probes of all classes at once answer as scikit-learn's, whose losses they share."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from scripts.bench.joint_probe import JointProbe
from tests.core.clusters import clusters

DATA = clusters([12, 9, 15, 7], width=10)
CODES = np.array([1, 3, 4, 9])[DATA.codes]
CONSTANT = np.concatenate([DATA.embeddings, np.ones((len(CODES), 1), np.float32)], axis=1)


def test_logistic_regression_is_scikit_learns() -> None:
    ours = JointProbe("logistic", 5.0, most_steps=2000).fit(DATA.embeddings, CODES)
    theirs = LogisticRegression(C=5.0, fit_intercept=False, tol=1e-8, max_iter=2000).fit(CONSTANT, CODES)
    assert ours.classes_.tolist() == [1, 3, 4, 9]
    assert ours.decision_function(DATA.embeddings) == pytest.approx(theirs.decision_function(CONSTANT), abs=0.02)


def test_svm_is_scikit_learns() -> None:
    ours = JointProbe("squared_hinge", 2.0, most_steps=2000).fit(DATA.embeddings, CODES)
    theirs = LinearSVC(C=2.0, fit_intercept=False, dual=False, tol=1e-8, max_iter=5000).fit(CONSTANT, CODES)
    assert ours.decision_function(DATA.embeddings) == pytest.approx(theirs.decision_function(CONSTANT), abs=0.02)
