"""Plots of the accuracy benchmark: the panel with its intervals, accuracy by shots, pairs same and different."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scripts.bench.accuracy_tables import NAMES, ORDER, settings_in
from scripts.bench.answering import HEAD, NO_PULL, RAW
from scripts.bench.trusting import BINS
from service.core.pipeline import HOLOTYPE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {HEAD: "#1f5fa8", NO_PULL: "#e08214", RAW: "#888888"}
SPACES = {HEAD: "head and pull", NO_PULL: "head, no pull", RAW: "raw"}
LINES = {
    (HEAD, HOLOTYPE): ("Holotype", "#1f5fa8", "-"),
    (HEAD, "all"): ("all, same head and pull", "#1f5fa8", ":"),
    (RAW, "logistic"): ("logistic regression, raw", "#2a8c4a", "--"),
    (RAW, "means"): ("class means, raw", "#e08214", "--"),
    (RAW, "all"): ("nearest of all, raw", "#888888", "-"),
}


def write_plots(root: Path, folder: Path, figures: Mapping[str, float]) -> list[tuple[str, str]]:
    """SVG files under `root / folder`; the path and what it shows of each that could be drawn."""
    from matplotlib import rc_context

    (root / folder).mkdir(parents=True, exist_ok=True)
    drawn = []
    # A fixed salt: the same figures give the same file.
    with rc_context({"svg.hashsalt": "holotype", "svg.fonttype": "none", "font.size": 8}):
        for name, text, draw in (
            ("panel", "Accuracy of the panel with 95 % intervals, by data set", _panel),
            ("shots", "Accuracy by pictures a class, clean and with 20 % wrong labels", _shots),
            ("pairs", "Similarity of pairs of unseen pictures, same class and different", _pairs),
        ):
            figure = draw(figures)
            if figure is not None:
                path = folder / f"accuracy-{name}.svg"
                figure.savefig(root / path, metadata={"Date": None})
                drawn.append((path.as_posix(), text))
    return drawn


def _axes(names: list[str], rows: int = 1, height: float = 3.2, **more: str | bool) -> tuple[Figure, np.ndarray]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2 * len(names), height * rows), layout="constrained")
    return figure, figure.subplots(rows, len(names), squeeze=False, **more)


def _panel(figures: Mapping[str, float]) -> Figure | None:
    shown: dict[str, str] = {}
    for setting in settings_in(figures):
        data, what, noise = setting.split(".")
        if noise == "noise0" and (what == "m10" or (what[0] == "m" and data not in shown)):
            shown[data] = setting
    if not shown:
        return None
    figure, axes = _axes(list(shown), sharey=True)
    for axis, setting in zip(axes[0], shown.values(), strict=True):
        for number, space in enumerate(SPACES):
            for place, member in enumerate(reversed(ORDER)):
                name = f"{setting}.{space}.{member}.accuracy"
                if name in figures:
                    low, high = figures[f"{name}_low"], figures[f"{name}_high"]
                    height = place + 0.22 * (1 - number)
                    axis.plot([100 * low, 100 * high], [height, height], color=COLOURS[space], linewidth=1)
                    axis.plot([100 * figures[name]], [height], "o", markersize=3, color=COLOURS[space])
        axis.set_title(" ".join(setting.split(".")[:2]))
        axis.set_xlabel("accuracy in per cent")
        axis.grid(axis="x", alpha=0.3)
    axes[0][0].set_yticks(range(len(ORDER)), [NAMES[member] for member in reversed(ORDER)])
    handles = [axes[0][0].plot([], [], "o", color=COLOURS[space])[0] for space in SPACES]
    figure.legend(handles, list(SPACES.values()), loc="outside lower center", ncols=len(SPACES), frameon=False)
    return figure


def _shots(figures: Mapping[str, float]) -> Figure | None:
    shots: dict[str, set[int]] = defaultdict(set)
    for setting in settings_in(figures):
        data, what, _ = setting.split(".")
        if what[1:].isdigit():
            shots[data].add(int(what[1:]))
    several = [data for data, found in shots.items() if len(found) > 1]
    if not several:
        return None
    figure, axes = _axes(several, rows=2, height=2.4, sharey="col", sharex="col")
    for column, data in enumerate(several):
        for row, noise in enumerate((0, 20)):
            axis = axes[row][column]
            for (space, member), (label, colour, style) in LINES.items():
                points = [
                    (count, 100 * figures[name])
                    for count in sorted(shots[data])
                    if (name := f"{data}.m{count}.noise{noise}.{space}.{member}.accuracy") in figures
                ]
                if points:
                    axis.plot(*zip(*points, strict=True), style, color=colour, label=label, marker="o", markersize=3)
            axis.set_title(f"{data}, {noise} % wrong labels")
            axis.grid(alpha=0.3)
        axes[1][column].set_xlabel("support pictures a class")
        axes[1][column].set_xticks(sorted(shots[data]))
    axes[0][0].set_ylabel("accuracy in per cent")
    axes[1][0].set_ylabel("accuracy in per cent")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def _pairs(figures: Mapping[str, float]) -> Figure | None:
    names = list(dict.fromkeys(name.split(".")[0] for name in figures if ".verify.histogram." in name))
    if not names:
        return None
    figure, axes = _axes(names, height=2.2)
    edges = np.linspace(-1.0, 1.0, BINS + 1)
    for axis, data in zip(axes[0], names, strict=True):
        for kind, colour in (("same", "#1f5fa8"), ("different", "#e08214")):
            shares = [figures[f"{data}.verify.histogram.{kind}.{number:02d}"] for number in range(BINS)]
            axis.stairs(100 * np.array(shares), edges, fill=True, alpha=0.5, color=colour, label=f"{kind} class")
        axis.axvline(figures[f"{data}.verify.otsu"], color="black", linestyle="--", linewidth=1, label="Otsu")
        axis.set_title(data)
        axis.set_xlabel("half cosine behind the head, half overlap")
    axes[0][0].set_ylabel("per cent of pairs")
    axes[0][0].legend(frameon=False)
    return figure
