"""The report's plots: Matplotlib figures as SVG text that takes its colours from the page.

Colours are drawn as placeholders and replaced by CSS, so one plot serves light and dark pages; text stays text, so it
can be searched and read aloud. Nothing is fetched: heat maps are PNGs inside the SVG.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from service.core.model import Float64Array

INK, RULE, FIRST, SECOND, THIRD = "#010203", "#010204", "#010205", "#010206", "#010207"
CSS_COLOURS = {
    INK: "currentColor",
    RULE: "var(--rule)",
    FIRST: "var(--first)",
    SECOND: "var(--second)",
    THIRD: "var(--third)",
}
SERIES = (FIRST, SECOND, THIRD)
MAX_TICKS = 40
"""Labels along a heat map's axis; with more of them none could be read."""

SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "path.simplify": True,
}


def histogram_plot(histogram: Mapping[str, Any]) -> Markup:
    """Densities of the similarities between classes, {edges, before, after}."""
    with plot_style("histogram"):
        figure, axes = new_figure(7.2, 3.0)
        edges = histogram["edges"]
        for name, colour, alpha in (("before", FIRST, 0.25), ("after", SECOND, 0.25)):
            axes.stairs(histogram[name], edges, fill=True, color=colour, alpha=alpha)
            axes.stairs(histogram[name], edges, color=colour, linewidth=1.6, label=_HISTOGRAM_NAMES[name])
        axes.set_xlabel("similarity of two pictures of different classes (cosine)")
        axes.set_ylabel("density")
        _legend(figure)
        return drawn(figure, "histogram", "Histogram of similarities between classes, before and after selection")


def heat_map(matrix: Mapping[str, Any], name: str, title: str, *, low: float, high: float, unit: str) -> Markup:
    """A square matrix {labels, matrix} as colours between `low` and `high`; `unit` names the colour bar."""
    with plot_style(name):
        labels: Sequence[str] = matrix["labels"]
        side = 3.1 if len(labels) > MAX_TICKS else min(6.4, 2.4 + 0.16 * len(labels))
        figure, axes = new_figure(side + 1.2, side)
        image = axes.imshow(np.asarray(matrix["matrix"], dtype=float), cmap="viridis", vmin=low, vmax=high)
        _label_axes(axes, labels)
        bar = figure.colorbar(image, ax=axes, shrink=0.85)
        bar.set_label(unit)
        bar.outline.set_visible(False)
        return drawn(figure, name, title)


def confusion_map(confusion: Mapping[str, Any]) -> Markup:
    """Row shares of a confusion matrix {labels, matrix}; small matrices carry their counts."""
    counts = np.asarray(confusion["matrix"], dtype=float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with plot_style("confusion"):
        labels: Sequence[str] = confusion["labels"]
        side = 4.6 if len(labels) > MAX_TICKS else min(7.0, 2.6 + 0.2 * len(labels))
        figure, axes = new_figure(side + 1.2, side)
        image = axes.imshow(shares, cmap="viridis", vmin=0, vmax=1)
        _label_axes(axes, labels)
        axes.set_xlabel("answer")
        axes.set_ylabel("label")
        if len(labels) <= 15:
            for row, column in zip(*np.nonzero(counts), strict=True):
                ink = "white" if shares[row, column] < 0.6 else "black"
                axes.text(column, row, f"{counts[row, column]:.0f}", ha="center", va="center", color=ink, fontsize=9)
        bar = figure.colorbar(image, ax=axes, shrink=0.85)
        bar.set_label("share of the label's pictures")
        bar.outline.set_visible(False)
        return drawn(figure, "confusion", "Confusion matrix")


def curve_plot(curve: Sequence[Mapping[str, Any]]) -> Markup:
    """Accuracy against the number of references, [{references, accuracy, interval, strategy}], with intervals."""
    with plot_style("curve"):
        figure, axes = new_figure(7.2, 3.4)
        strategies = sorted({str(point["strategy"]) for point in curve})
        for index, strategy in enumerate(strategies):
            points = sorted((p for p in curve if p["strategy"] == strategy), key=lambda p: float(p["references"]))
            x = [float(point["references"]) for point in points]
            y = np.array([float(point["accuracy"]) for point in points])
            axes.errorbar(
                x,
                100 * y,
                yerr=100 * _reach(points, y),
                color=SERIES[index % len(SERIES)],
                marker="osD"[index % 3],
                linestyle="-" if len(x) > 1 else "none",
                capsize=3,
                linewidth=1.4,
                markersize=5,
                label=strategy,
            )
        if min((float(point["references"]) for point in curve), default=1) > 0:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("references in all (logarithmic)")
        axes.set_ylabel("accuracy, %")
        axes.grid(visible=True, color=RULE, alpha=0.4, linewidth=0.6)
        _legend(figure)
        return drawn(figure, "curve", "Accuracy against the number of references")


_NAMESPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
_HISTOGRAM_NAMES = {"before": "all support examples", "after": "references"}


def _reach(points: Sequence[Mapping[str, Any]], accuracies: Float64Array) -> Float64Array:
    """How far intervals reach below and above, (2, n); 0 where a point has none."""
    bounds = np.array([point.get("interval") or (y, y) for point, y in zip(points, accuracies, strict=True)])
    return np.asarray(np.maximum(np.stack([accuracies - bounds[:, 0], bounds[:, 1] - accuracies]), 0))


def _label_axes(axes: Axes, labels: Sequence[str]) -> None:
    for spine in axes.spines.values():
        spine.set_visible(False)
    if len(labels) > MAX_TICKS:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel(f"{len(labels)} classes, by name")
        return
    short = [_plain(label if len(label) <= 18 else label[:17] + "…") for label in labels]
    axes.set_xticks(range(len(labels)), short, rotation=90, fontsize=8)
    axes.set_yticks(range(len(labels)), short, fontsize=8)
    axes.tick_params(length=0)


def _plain(text: str) -> str:
    """Labels are names, not formulas: Matplotlib reads what stands between dollar signs as mathematics."""
    return text.replace("$", r"\$")


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure of so many inches, and its axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _legend(figure: Figure) -> None:
    """Above the axes, where there is no data to cover."""
    figure.legend(loc="outside upper left", ncols=3)


def plot_style(name: str) -> AbstractContextManager[None]:
    """Matplotlib's settings while one plot is drawn; the salt makes element ids the same in every run."""
    return mpl.rc_context({**SETTINGS, "svg.hashsalt": name})


def drawn(figure: Figure, name: str, title: str) -> Markup:
    """The figure as an <svg> element: scales with the page, ids of its own, colours from CSS."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Labels in scripts that the layout's font lacks: the browser has its own fonts, only widths are guessed.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue().decode()
    text = text[text.index("<svg") :]
    for pattern, replacement in (
        (r"<metadata>.*?</metadata>", ""),
        (r"<defs>\s*<style.*?</defs>", ""),  # it would style the whole page
        (r'\bid="', f'id="{name}-'),
        (r"url\(#", f"url(#{name}-"),
        (r"font-family: [^;\"]*; ?", ""),  # the page's own
        (r'href="#', f'href="#{name}-'),
    ):
        text = re.sub(pattern, replacement, text, flags=re.DOTALL)
    for placeholder, colour in CSS_COLOURS.items():
        text = text.replace(placeholder, colour)
    box = f"0 0 {72 * figure.get_figwidth():g} {72 * figure.get_figheight():g}"
    style = f"width:100%;max-width:{96 * figure.get_figwidth():.0f}px;height:auto"
    # Plots shrink to a phone's width and are never blown up.
    opening = f'<svg role="img" aria-label="{Markup.escape(title)}" viewBox="{box}" style="{style}"'
    return Markup(f"{opening} {_NAMESPACES}>{text[text.index('>') + 1 :]}")  # noqa: S704 - labels in it are escaped
