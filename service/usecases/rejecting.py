"""Rejecting answers that cannot be trusted enough for the error that the user accepts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from service.core.evaluation import bootstrap_interval
from service.core.model import Prediction
from service.core.rejection import Policy, Rejected, check_error
from service.errors import InvalidInput
from service.usecases.hints import to_optimise
from service.usecases.resolver import Resolved, Serving

LABELS_TO_TELL = 2
"""Labels that an answer must name for its rejection to say what it is torn between."""

WITHOUT_REJECTION = "all other figures are of what the references answer, without rejection"


def policy_of(serving: Serving, name: str, max_error: float) -> Policy:
    """What decides about answers of catalogue `name`.

    Raises InvalidInput for an error that nobody can mean, that cannot be promised, or where nothing was measured.
    """
    check_error(max_error)
    if serving.policy is None:
        raise InvalidInput(_unmeasured(serving, name), catalogue=name, max_error=max_error)
    serving.policy.threshold(max_error)
    return serving.policy


def _unmeasured(serving: Serving, name: str) -> str:
    if serving.selection is None:
        return (
            f"catalogue {name!r} was never optimised, so no error was measured that a stated one could be held "
            f"against: run {to_optimise(name)} first, or state none"
        )
    return (
        f"the selection that serves catalogue {name!r} has no measured answers that a stated error could be held "
        "against: ten answers to pictures kept back are needed, five right and five wrong; ingest more pictures of "
        "each class, three classes at least, and optimise again, or state none"
    )


def rejecting(resolved: Resolved, name: str, max_error: float | None) -> list[tuple[Prediction, Rejected | None]]:
    """Every prediction, its label None where it is rejected, and why. None accepts everything."""
    if max_error is None:
        return [(one, None) for one in resolved.predictions]
    policy = policy_of(resolved.serving, name, max_error)
    found = []
    for prediction, table in zip(resolved.predictions, resolved.readings, strict=True):
        why = policy.judged(prediction, table, max_error)
        if prediction.label in resolved.words_only:  # no answer of that kind was measured
            why = Rejected(f"{prediction.label} stands on words alone", 0.0, policy.threshold(max_error))
        found.append((prediction if why is None else replace(prediction, label=None), why))
    return found


def promised(policy: Policy, max_error: float) -> dict[str, Any]:
    """What was measured at optimise time: {max_error, coverage, trust_needed}; coverage of known and unknown alike."""
    return {
        "max_error": max_error,
        "coverage": policy.coverage(max_error),
        "trust_needed": policy.threshold(max_error),
    }


def realised(
    truth: Sequence[str], predictions: Sequence[Prediction], accepted: Sequence[bool], max_error: float
) -> dict[str, Any]:
    """How the promise was kept on pictures of known classes.

    Returns {realised: {max_error, accepted, coverage, error, interval, note}}; `error` and its 95 % interval are of the
    accepted answers, None where there are none. `note` says that nothing else of an evaluation knows of rejection.
    """
    right = np.array(
        [one.label == label for label, one, given in zip(truth, predictions, accepted, strict=True) if given],
        dtype=bool,
    )
    low, high = bootstrap_interval(right, 0) if len(right) else (0.0, 1.0)
    return {
        "realised": {
            "max_error": max_error,
            "accepted": len(right),
            "coverage": len(right) / max(len(truth), 1),
            "error": float((~right).mean()) if len(right) else None,
            "interval": [1.0 - high, 1.0 - low] if len(right) else None,
            "note": WITHOUT_REJECTION,
        }
    }
