"""The report as one self-contained HTML page: nothing is fetched, it can be mailed and opened anywhere."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from service.adapters.report_plots import confusion_map, curve_plot, heat_map, histogram_plot
from service.adapters.report_trust import trust_plots
from service.errors import InvalidInput

TEMPLATES = Path(__file__).parent / "templates"
TEMPLATE = "report.html"
MOST_CONFUSED = 20
NOTHING = "\N{EN DASH}"

MEMBERS = {
    "holotype": "Holotype: the chosen references",
    "all": "all references",
    "random": "random, as many as chosen",
    "lowest": "lowest centrality, as many a class",
    "highest": "highest centrality, as many a class",
    "kmedoids": "k-medoids, as many a class",
    "means": "class means",
    "raw": "all references, no head (raw 1-NN)",
}
"""What the panel's members are, in the order in which they are shown; others follow under their own names."""

MEASURED_ON = {
    "holdout": "the holdout: pictures that neither made the references nor chose among settings. Each was judged once.",
    "cross-fitting": "every labelled picture, by cross-fitting: each was judged by a whole run, search included, that "
    "had never seen it. (The holdout alone was too small to tell.)",
    "nothing": "nothing.",
}

_drawing = Lock()


class HtmlReportWriter:
    """Implements `ports.ReportWriter` for the data that `usecases.evaluate.report_data` gathers."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(percent=percent, interval=interval, number=number, moment=moment, short=short)

    def check(self, path: Path) -> None:
        """Raises InvalidInput when `path` cannot be written; tried with an empty file beside it, which goes again."""
        if path.is_dir():
            raise InvalidInput(f"the report cannot be written to {path}: it is a folder; name a file", path=str(path))
        with _beside(path) as unfinished:
            unfinished.touch()

    def write(self, data: Mapping[str, Any], path: Path) -> None:
        """Write the page, whole or not at all. Raises InvalidInput when `path` cannot be written."""
        self.check(path)
        page = self.render(data)
        with _beside(path) as unfinished:
            unfinished.write_text(page, encoding="utf-8")
            unfinished.replace(path)

    @property
    def policy(self) -> str:
        """Styles and plots of the page and its one script, named by its hash; in a sandbox, so it is of no origin."""
        source, _, _ = self._environment.loader.get_source(self._environment, TEMPLATE)  # type: ignore[union-attr]
        scripts = re.findall(r"<script>(.*?)</script>", source, re.DOTALL)
        hashes = " ".join(f"'sha256-{b64encode(sha256(one.encode()).digest()).decode()}'" for one in scripts)
        return (
            f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
            "form-action 'none'; frame-ancestors 'none'; sandbox allow-scripts"
        )

    def render(self, data: Mapping[str, Any]) -> str:
        """The page as text; one at a time, for Matplotlib's settings are the whole process's."""
        with _drawing:
            return self._rendered(data)

    def _rendered(self, data: Mapping[str, Any]) -> str:
        evaluation = data["evaluation"]
        return self._environment.get_template(TEMPLATE).render(
            **data,
            measured=_measured(str(evaluation.get("measured_on") or "nothing")),
            panel_measured=_measured(str(evaluation.get("panel_measured_on") or "nothing")),
            members=_members(data["panel"], data["panel_no_pull"], serving=_serving(data)),
            per_class=_per_class(evaluation.get("per_class") or {}),
            confused=_confused(data["confusion"]),
            plots=_plots(data) | trust_plots(data),
            why_not=partial(_why_not, data),
        )


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A file name in the same folder, gone afterwards; what the file system refuses becomes InvalidInput."""
    unfinished = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    try:
        yield unfinished
    except OSError as error:
        raise InvalidInput(
            f"the report cannot be written to {path}: {error.strerror or error}", path=str(path)
        ) from error
    finally:
        with suppress(OSError):
            unfinished.unlink()


def percent(value: float | None, digits: int = 1) -> str:
    """0..1 as a percentage; a dash for nothing."""
    return NOTHING if value is None else f"{100 * value:.{digits}f} %"


def interval(bounds: Sequence[float] | None, *, signed: bool = False) -> str:
    """Two bounds 0..1 as percentages; empty for nothing."""
    if not bounds:
        return ""
    sign = "+" if signed else ""
    return f"{100 * bounds[0]:{sign}.1f} to {100 * bounds[1]:{sign}.1f} %"


def number(value: float | None) -> str:
    """A count, which may be a mean over folds; a dash for nothing."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def moment(seconds: float | None) -> str:
    """Seconds since the epoch as a date and time, UTC."""
    return NOTHING if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def short(value: object) -> str:
    """A setting's value; four digits of a number say enough."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _measured(word: str) -> str:
    """What `measured_on` means, as the end of a sentence."""
    return MEASURED_ON.get(word, f"{word}.")


def _why_not(data: Mapping[str, Any], part: str) -> str:
    """Why a part cannot be had, one of `usecases.unmeasured`, as a sentence."""
    again = f"“holotype optimise {data['catalogue']['name']}”"
    if data["selection"] is None:
        return f"Nothing was optimised yet: run {again}."
    reason = str((data["selection"]["figures"].get("unmeasured") or {}).get(part, ""))
    if not reason:
        return f"The optimisation that made this selection did not measure it: run {again} again."
    return f"{reason[:1].upper()}{reason[1:]}."


def _serving(data: Mapping[str, Any]) -> str:
    """The panel's member whose figures the page is about: "all" where the gate refused the choice."""
    refused = data["evaluation"].get("gate_passed") is False and data["selection"]["strategy"] == "all"
    return "all" if refused else "holotype"


def _members(panel: Mapping[str, Any], no_pull: Mapping[str, Any], serving: str) -> list[dict[str, Any]]:
    """The panel's rows; what serves, and the best accuracy with pull and without, are marked."""
    names = [*(name for name in MEMBERS if name in panel), *sorted(panel.keys() - MEMBERS.keys())]
    best = max((panel[name]["accuracy"] for name in names), default=None)
    best_plain = max((figures["accuracy"] for figures in no_pull.values()), default=None)
    return [
        {
            "name": MEMBERS.get(name, name),
            "serves": name == serving,
            "plain": no_pull.get(name, {}).get("accuracy"),
            "best": panel[name]["accuracy"] == best,
            "best_plain": name in no_pull and no_pull[name]["accuracy"] == best_plain,
            **{key: panel[name].get(key) for key in ("references", "accuracy", "macro_f1", "weighted_f1", "top5")},
        }
        for name in names
    ]


def _per_class(per_class: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    """Worst F1 first: that is where there is something to do."""
    rows = [{"label": label, **figures} for label, figures in per_class.items()]
    return sorted(rows, key=lambda row: (float(row["f1"]), str(row["label"])))


def _confused(confusion: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The most frequent wrong answers."""
    if confusion is None:
        return []
    labels, matrix = confusion["labels"], confusion["matrix"]
    pairs = [
        {"label": labels[row], "answer": labels[column], "images": count, "share": count / sum(matrix[row])}
        for row, counts in enumerate(matrix)
        for column, count in enumerate(counts)
        if count and row != column
    ]
    return sorted(pairs, key=lambda pair: (-pair["images"], pair["label"], pair["answer"]))[:MOST_CONFUSED]


def _plots(data: Mapping[str, Any]) -> dict[str, Markup | None]:
    """One plot a part, None where there is nothing to draw."""
    before, after, distance = (
        _filled(data[key]) for key in ("similarity_before", "similarity_after", "class_distance")
    )
    confusion, histogram, curve = _filled(data["confusion"]), data["cross_class_histogram"], data["curve"]
    low, high = _bounds(before, after)
    return {
        "histogram": histogram_plot(histogram) if histogram and any(histogram["before"]) else None,
        "before": _map(before, "before", "Before selection", (low, high), "mean cosine"),
        "after": _map(after, "after", "After selection", (low, high), "mean cosine"),
        "distance": _map(distance, "distance", "Class distances", (0.0, _bounds(distance)[1]), "1 - cosine"),
        "confusion": None if confusion is None else confusion_map(confusion),
        "curve": curve_plot(curve) if curve else None,
    }


def _map(
    matrix: Mapping[str, Any] | None, name: str, title: str, bounds: tuple[float, float], unit: str
) -> Markup | None:
    return None if matrix is None else heat_map(matrix, name, title, low=bounds[0], high=bounds[1], unit=unit)


def _filled(matrix: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return matrix if matrix and matrix["labels"] else None


def _bounds(*matrices: Mapping[str, Any] | None) -> tuple[float, float]:
    """Least and largest value of all matrices: maps that are compared share one scale."""
    values = [value for matrix in matrices if matrix for row in matrix["matrix"] for value in row]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    return low, high if high > low else low + 1e-6
