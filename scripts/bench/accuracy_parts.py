"""Tables of the accuracy benchmark beside the panel: heads, trust, stated errors, the story."""

from __future__ import annotations

from collections.abc import Mapping

from scripts.bench.accuracy_cells import ahead, between, percent
from scripts.bench.answering import HEAD, RAW
from scripts.bench.story import SOURCE
from service.core.pipeline import HOLOTYPE

HEADS = {
    "none": "none, the embedding itself",
    "pca": "PCA whitening",
    "within": "whitening by the covariance within classes",
    "lda": "shrinkage LDA",
    "proxy": "proxies, trained",
    "triplet": "triplets, semi-hard, trained",
    "triplet_random": "triplets at random, trained",
    "contrastive": "contrastive pairs, trained",
    "centre": "contrastive centres, trained",
}
HEAD_COLUMNS = ("head", "accuracy, 95 %", "ahead of shrinkage LDA", "seconds to fit or train")


def head_settings(figures: Mapping[str, float]) -> list[str]:
    """`{data}.heads.noise{N}` of those measured."""
    return list(dict.fromkeys(n.removesuffix(".lda.ahead") for n in figures if n.endswith(".lda.ahead")))


def head_rows(setting: str, figures: Mapping[str, float]) -> list[tuple[str, ...]]:
    """One row a head, the same references behind all of them."""
    return [
        (
            text,
            f"{percent(figures[f'{prefix}.accuracy'])} ({between(figures, f'{prefix}.accuracy')})",
            "" if head == "lda" else ahead(figures, prefix),
            f"{figures[f'{prefix}.seconds']:.2f}",
        )
        for head, text in HEADS.items()
        for prefix in [f"{setting}.{head}"]
    ]


def trust_rows(figures: Mapping[str, float]) -> list[tuple[str, ...]]:
    """One row a data set: unknown, verification, calibration; empty cells where nothing could be measured."""
    found = []
    for data in dict.fromkeys(name.split(".")[0] for name in figures if name.endswith(".calibration.ece")):
        unknown = [
            f"{percent(figures[name])} ({between(figures, name)})" if name in figures else ""
            for name in (f"{data}.unknown.{m}.{f}" for f in ("auroc", "fpr95") for m in ("holotype", "raw"))
        ]
        verified = [
            percent(figures.get(f"{data}.{name}"))
            for name in ("verify.tpr", "verify.tnr", "verify.eer", "verify_strangers.eer")
        ]
        found.append((data, *unknown, *verified, percent(figures[f"{data}.calibration.ece"])))
    return found


def promise_rows(figures: Mapping[str, float]) -> list[tuple[str, ...]]:
    """One row a data set and stated error that could be promised in every case: what came of it."""
    names = [name.removesuffix(".realised_error") for name in figures if name.endswith(".realised_error")]
    return [
        (
            name.split(".")[0],
            percent(figures[f"{name}.stated_error"]),
            f"{percent(figures[f'{name}.realised_error'])} ({between(figures, f'{name}.realised_error')})",
            percent(figures[f"{name}.coverage"]),
            f"{figures[f'{name}.accepted']:.0f}",
        )
        for name in names
        if name.split(".")[-1].startswith("stated")
    ]


TRUST_COLUMNS = (
    "data", "AUROC, trust", "AUROC, raw similarity", "FPR95, trust", "FPR95, raw similarity", "TPR at Otsu",
    "TNR at Otsu", "EER", "EER, classes left out", "ECE",
)  # fmt: skip
PROMISE_COLUMNS = ("data", "stated error", "realised, 95 %", "answered", "answers accepted")


STORY_COLUMNS = ("", "accuracy", "weighted F1", "references", "the source, on its pictures")


def story_rows(setting: str, figures: Mapping[str, float]) -> list[tuple[str, ...]]:
    """All references raw and the chosen ones with everything on, beside what the source reports."""
    everything, selected = f"{setting}.{RAW}.all", f"{setting}.{HEAD}.{HOLOTYPE}"
    return [
        (
            text,
            f"{percent(figures[f'{prefix}.accuracy'])} ({between(figures, f'{prefix}.accuracy')})",
            percent(figures[f"{prefix}.weighted_f1"]),
            f"{figures[f'{prefix}.references']:.0f}",
            "{} %, F1 {} %".format(*SOURCE[key]),
        )
        for text, prefix, key in (
            ("all references, raw embedding", everything, "all references"),
            ("chosen references, everything on", selected, "chosen"),
        )
    ]
