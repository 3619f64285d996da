"""Single judgements behind a selection's figures: which picture was taken for what, and how surely."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from service.core.evaluation import Evaluation
from service.core.model import Float32Array, Float64Array
from service.core.pipeline import Comparison
from service.core.rejection import Policy
from service.core.trust import readings
from service.core.voting import confidences


def judged_rows(
    comparison: Comparison, evaluation: Evaluation, member: str, temperature: float, policy: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Columns, JSON: `ids`, `truth` and `predicted` (codes into the confusion's labels, -1: rejected), `confidence`.

    Args:
        comparison: who answered what.
        evaluation: of `member`.
        member: the panel member that is served.
        temperature: of the recipe that is served.
        policy: `core.rejection.Policy.as_dict()`, whose confidence is told where it measured better; None for none.
    """
    confidence = _confidences(
        comparison.scores[member], temperature, None if policy is None else Policy.from_dict(policy)
    )
    return {
        "ids": list(comparison.ids),
        "truth": comparison.truth.tolist(),
        "predicted": evaluation.predicted.tolist(),
        "confidence": [round(value, 4) for value in confidence.tolist()],
    }


def _confidences(scores: Float32Array, temperature: float, policy: Policy | None) -> Float64Array:
    """As `classify` would tell them, float64 (n,); 0 for a rejected picture."""
    sure = confidences(scores, temperature)
    if policy is not None and policy.confidence is not None:
        answered = np.isfinite(scores).any(axis=1)
        sure[answered] = policy.confidence.probabilities(readings(scores[answered], temperature))
    return sure
