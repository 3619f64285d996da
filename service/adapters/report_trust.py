"""The report's plots about trust: risk against coverage, reliability, unknown told from known, pair similarities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes

from service.adapters.report_plots import FIRST, INK, RULE, SECOND, THIRD, drawn, new_figure, plot_style

SQUARE = 3.4
THRESHOLDS = {"otsu": (INK, "-", "o", "Otsu's threshold"), "eer": (THIRD, "--", "s", "equal errors")}
"""Colour, line and mark of each rule, and its name."""


def trust_plots(data: Mapping[str, Any]) -> dict[str, Markup | None]:
    """One plot for each part that the report has, None for the others."""
    risk, reliability, roc, pairs = (
        data.get(name) for name in ("risk_coverage", "reliability", "unknown_roc", "pairs")
    )
    return {
        "risk": risk_plot(risk) if risk else None,
        "reliability": reliability_plot(reliability) if reliability else None,
        "unknown": roc_plot(roc) if roc else None,
        "pairs": pairs_plot(pairs) if pairs else None,
        "pairs_roc": pairs_roc_plot(pairs["roc"], _verified(data)) if pairs and pairs.get("roc") else None,
    }


def _verified(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was measured of two pictures of one class or not; empty where nothing was."""
    figures = (data["selection"] or {}).get("figures") or {}
    return (figures.get("verification") or {}).get("pictures") or {}


def risk_plot(curves: Mapping[str, Sequence[Sequence[float]]]) -> Markup:
    """Error among accepted answers against the share accepted, {mixed, known: [[coverage, error]]}."""
    with plot_style("risk"):
        figure, axes = new_figure(SQUARE + 0.8, SQUARE)
        for name, colour, words in (
            ("mixed", FIRST, "a fifth of the pictures unknown"),
            ("known", SECOND, "all pictures of known classes"),
        ):
            if curves.get(name):
                coverage, error = _columns(curves[name])
                axes.plot(coverage, error, color=colour, linewidth=1.6, label=words)
        _percent_axes(axes, "answers accepted, %", "wrong among them, %")
        axes.set_ylim(bottom=0)
        axes.legend(loc="upper left")
        return drawn(figure, "risk", "Error among accepted answers against the share that is accepted")


def reliability_plot(bins: Mapping[str, Sequence[Mapping[str, float]]]) -> Markup:
    """Accuracy against confidence in bins of equal mass, {served, temperature: [{confidence, accuracy, answers}]}."""
    with plot_style("reliability"):
        figure, axes = new_figure(SQUARE + 0.8, SQUARE)
        axes.plot([0, 100], [0, 100], color=RULE, linewidth=1.0)
        shown = [("served", FIRST, "o", "as served")]
        if bins.get("temperature") != bins.get("served"):
            shown.append(("temperature", SECOND, "s", "temperature alone"))
        for name, colour, marker, words in shown:
            points = bins.get(name) or ()
            x, y = ([100 * float(one[key]) for one in points] for key in ("confidence", "accuracy"))
            axes.plot(x, y, color=colour, marker=marker, markersize=4, linewidth=1.2, label=words)
        _percent_axes(axes, "confidence, %", "right, %")
        axes.legend(loc="upper left")
        return drawn(figure, "reliability", "Share of right answers against confidence")


def roc_plot(curves: Mapping[str, Sequence[Sequence[float]]]) -> Markup:
    """Known pictures accepted against unknown ones accepted, {trust, raw: [[false, true]]}."""
    with plot_style("unknown"):
        figure, axes = new_figure(SQUARE + 0.8, SQUARE)
        axes.plot([0, 100], [0, 100], color=RULE, linewidth=1.0)
        for name, colour, words in (("trust", FIRST, "trust"), ("raw", SECOND, "largest raw similarity")):
            if curves.get(name):
                x, y = _columns(curves[name])
                axes.plot(x, y, color=colour, linewidth=1.6, label=words)
        _percent_axes(axes, "pictures of unknown classes accepted, %", "of known classes accepted, %")
        axes.legend(loc="lower right")
        return drawn(figure, "unknown", "Known pictures accepted against unknown pictures accepted")


def pairs_plot(pairs: Mapping[str, Any]) -> Markup:
    """Densities of pair similarities, {edges, same, different, thresholds}."""
    with plot_style("pairs"):
        figure, axes = new_figure(SQUARE + 0.8, SQUARE)
        for name, colour, words in (("different", FIRST, "different classes"), ("same", SECOND, "one class")):
            axes.stairs(pairs[name], pairs["edges"], fill=True, color=colour, alpha=0.25)
            axes.stairs(pairs[name], pairs["edges"], color=colour, linewidth=1.6, label=words)
        for rule, (colour, style, _, words) in THRESHOLDS.items():
            if rule in pairs["thresholds"]:
                axes.axvline(pairs["thresholds"][rule], color=colour, linestyle=style, linewidth=1.2, label=words)
        axes.set_xlabel("similarity: half cosine behind the head,\nhalf overlap of answers")
        axes.set_ylabel("density of pairs")
        figure.legend(loc="outside upper left", ncols=2)
        return drawn(figure, "pairs", "Histogram of similarities of pairs, of one class and of different classes")


def pairs_roc_plot(points: Sequence[Sequence[float]], verified: Mapping[str, Any]) -> Markup:
    """Pairs of one class found against pairs of two classes let in, [[false, true]]; thresholds as `verified` has them.

    A mark is what was measured at a threshold: beside the curve where folds were judged by each other's thresholds.
    """
    with plot_style("pairs-roc"):
        figure, axes = new_figure(SQUARE + 0.8, SQUARE)
        axes.plot([0, 100], [0, 100], color=RULE, linewidth=1.0)
        x, y = _columns(points)
        axes.plot(x, y, color=FIRST, linewidth=1.6)
        for rule, (colour, _, marker, words) in THRESHOLDS.items():
            if rule in verified:
                found, let_in = 100 * verified[rule]["tpr"], 100 * (1 - verified[rule]["tnr"])
                axes.plot(
                    [let_in], [found], color=colour, marker=marker, markersize=7, markerfacecolor="none",
                    linestyle="none", label=words,
                )  # fmt: skip
        same, different = (f"{verified[kind]:,} " if kind in verified else "" for kind in ("same", "different"))
        _percent_axes(
            axes, f"of {different}pairs of different classes let in, %", f"of {same}pairs of one class found, %"
        )
        axes.set_ylim(0, 102)
        if verified:
            axes.legend(loc="lower right")
        return drawn(figure, "pairs-roc", "Pairs of one class that are found against pairs of different classes let in")


def _columns(points: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    """Two columns of shares as percentages."""
    return [100 * float(point[0]) for point in points], [100 * float(point[1]) for point in points]


def _percent_axes(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_xlim(0, 100)
    axes.grid(visible=True, color=RULE, alpha=0.4, linewidth=0.6)
