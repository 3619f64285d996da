"""Why parts of what is known of a selection cannot be had: one sentence each, kept with its figures."""

from __future__ import annotations

import numpy as np

from service.core.folds import fold_count
from service.core.model import BoolArray, LabelledEmbeddings
from service.core.trust import MIN_OF_EACH
from service.errors import counted

FIGURES, CURVE, RISK, RELIABILITY, UNKNOWN, PAIRS = ("figures", "curve", "risk", "reliability", "unknown", "pairs")
TRUST = (RISK, RELIABILITY, UNKNOWN, PAIRS)

ONE_CLASS = "with one class nothing can be told apart, so there is nothing to measure: ingest pictures of another class"
ONE_PICTURE = "with one picture a class none can be kept back to be asked: ingest more pictures of each class"
NONE_ASKED = "no picture could be asked without its class losing its last reference: ingest more pictures of each class"
NO_PAIRS = (
    "it takes pairs of one class and pairs of two classes of pictures that were kept back together, in two parts at "
    "least: ingest more pictures of each class"
)


def why_not_searched(known: LabelledEmbeddings) -> str | None:
    """Why nothing can be chosen by cross-fitting over these pictures; None where it can."""
    if one_class(known):
        return ONE_CLASS
    return ONE_PICTURE if fold_count(known) < 2 else None


def one_class(known: LabelledEmbeddings) -> bool:
    """Are there pictures of one class at most?"""
    return len(np.unique(known.codes)) < 2


def why_no_risk(right: BoolArray) -> str:
    """Why error cannot be told from trust, of answers to pictures that were kept back, bool (n,)."""
    wrong = counted(int((~right).sum()), "wrong answer")
    return (
        f"there were {int(right.sum())} right and {wrong} to pictures kept back; {MIN_OF_EACH} of either are needed, "
        "whichever part of them is left out: ingest more pictures of each class, and more classes"
    )
