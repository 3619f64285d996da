"""What is known of a selection in sentences, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PARTS = {
    "figures": "accuracy, panel, figures by class",
    "curve": "accuracy against the number of references",
    "risk": "error against coverage",
    "reliability": "calibration",
    "unknown": "known from unknown",
    "pairs": "same class or not",
}


def told_of(figures: Mapping[str, Any]) -> list[str]:
    """How pictures are verified, and why parts could not be measured: a line each, none where nothing is known."""
    verified = (figures.get("verification") or {}).get("pictures")
    return [*([] if verified is None else [_verified(verified)]), *_unmeasured(figures.get("unmeasured") or {})]


def _verified(found: Mapping[str, Any]) -> str:
    otsu = found["otsu"]
    return (
        f"Same class or not: equal error rate {100 * found['eer_rate']:.1f} %; at Otsu's threshold TPR "
        f"{100 * otsu['tpr']:.1f} % of {found.get('same', '?')} pairs, TNR {100 * otsu['tnr']:.1f} % of "
        f"{found.get('different', '?')} ({found['measured_on']})"
    )


def _unmeasured(reasons: Mapping[str, str]) -> list[str]:
    parts: dict[str, list[str]] = {}
    for part, reason in reasons.items():
        parts.setdefault(reason, []).append(PARTS.get(part, part))
    return [f"Not measured: {', '.join(names)}: {reason}." for reason, names in parts.items()]
