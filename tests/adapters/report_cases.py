"""Made-up report data, through the functions that make the real one."""

from __future__ import annotations

from typing import Any

import numpy as np

from service.core.diagnostics import class_distance, class_similarity, cross_class_histogram, cross_class_similarities
from service.core.evaluation import bootstrap_interval, evaluate
from service.core.pull import class_means
from service.core.vectors import normalised
from service.core.voting import class_scores

PANEL = ("all", "random", "lowest", "highest", "kmedoids", "means", "raw", "holotype")


def full_report(classes: int = 12, *, label: str = "class") -> dict[str, Any]:
    """A report with every part, for `classes` classes of 15 made-up pictures."""
    rng = np.random.default_rng(classes)
    labels = tuple(f"{label} {index:02}" for index in range(classes))
    centres = rng.standard_normal((classes, 24)) + 1.2 * rng.standard_normal(24)
    codes = np.repeat(np.arange(classes), 15)
    embeddings = normalised(centres[codes] + 1.5 * rng.standard_normal((len(codes), 24)))
    queries = normalised(centres[codes] + 1.5 * rng.standard_normal((len(codes), 24)))
    chosen = np.flatnonzero(np.arange(len(codes)) % 5 == 0)
    evaluation = evaluate(codes, class_scores(queries @ embeddings.T, codes, classes, 1), labels)
    low, high = bootstrap_interval(evaluation.correct, 0)
    figures: dict[str, Any] = {
        **evaluation.as_dict(),
        "interval": [low, high],
        "references": len(chosen),
        "support": len(codes),
        "difference": 0.013,
        "difference_interval": [-0.004, 0.03],
        "panel": {name: _member(rng, evaluation.accuracy, len(chosen)) for name in PANEL},
        "panel_no_pull": {name: _member(rng, evaluation.accuracy - 0.05, len(chosen)) for name in PANEL},
        "splits": {"support": 180, "tuning": 60, "holdout": 60},
        "refit": True,
    }
    similarities = (
        cross_class_similarities(embeddings, codes),
        cross_class_similarities(embeddings[chosen], codes[chosen]),
    )
    return {
        "catalogue": {
            "name": "groceries",
            "encoder": "packaged:vit-s14",
            "fingerprint": {"dimension": 24, "pooling": "class_token", "processor": "P", "weights_sha256": "ab" * 32},
            "digest": "0123456789abcdef",
            "splits": {"support": 180, "tuning": 60, "holdout": 60, "unassigned": 0},
            "labels": dict.fromkeys(labels, 25),
            "conflicts": 2,
        },
        "selection": {
            "selection": "0b8f6a52-1df5-4b3f-9d0e-6f2d3a3c7b11",
            "activated": True,
            "why": "36 of 180 pictures answer now. In the test 36 of 180 did better than all of them: +1.3 points.",
            "references": 40,
            "provisional": 4,
            "strategy": "thresholds",
            "head": "lda",
            "recipe": {"head": "lda", "pull": 0.5, "class_shares": {"a": 1}, "maximum": None, "per_label": 2},
            "seed": 0,
            "split_hash": "cd" * 32,
            "created_at": 1_800_000_000.0,
            "figures": figures,
        },
        "evaluation": {
            **figures,
            "measured_on": "holdout",
            "panel_measured_on": "holdout",
            "skipped": {"unknown_label": 0, "already_stored": 0, "broken": 0},
        },
        "panel": figures["panel"],
        "panel_no_pull": figures["panel_no_pull"],
        "confusion": evaluation.confusion_dict(),
        "cross_class_histogram": cross_class_histogram(*similarities),
        "similarity_before": class_similarity(embeddings, codes, labels),
        "similarity_after": class_similarity(embeddings[chosen], codes[chosen], labels),
        "class_distance": class_distance(class_means(embeddings, codes, classes), labels),
        "curve": [
            {"references": r, "accuracy": a, "interval": [a - 0.04, a + 0.03], "strategy": strategy}
            for strategy, points in {
                "medoids": [(12, 0.61), (24, 0.68), (36, 0.71), (60, 0.74)],
                "thresholds": [(18, 0.55), (40.5, 0.66), (90, 0.72)],
                "all": [(180, 0.75)],
            }.items()
            for r, a in points
        ],
        "versions": {"numpy": "2.0", "torch": "2.13"},
        "device": "cpu",
        "precision": "float32",
        "made_at": 1_800_000_100.0,
    }


def bare_report() -> dict[str, Any]:
    """What there is to say before any optimisation, with nothing judged."""
    full = full_report(2)
    return {
        **full,
        "selection": None,
        "evaluation": {
            "images": 0, "accuracy": None, "interval": None, "macro_f1": None, "weighted_f1": None, "top5": None,
            "references": 180, "support": 180, "per_class": {},
            "measured_on": "nothing", "panel_measured_on": "nothing",
            "skipped": {"unknown_label": 1, "already_stored": 2, "broken": 3},
        },
        "panel": {},
        "panel_no_pull": {},
        **dict.fromkeys(("confusion", "cross_class_histogram", "similarity_before", "similarity_after"), None),
        **dict.fromkeys(("class_distance", "curve", "versions", "device", "precision"), None),
    }  # fmt: skip


def _member(rng: np.random.Generator, accuracy: float, references: int) -> dict[str, float]:
    shift = float(rng.normal(0, 0.02))
    return {
        "accuracy": accuracy + shift,
        "macro_f1": accuracy + shift - 0.01,
        "weighted_f1": accuracy + shift - 0.005,
        "top5": min(1.0, accuracy + shift + 0.15),
        "references": references,
    }
