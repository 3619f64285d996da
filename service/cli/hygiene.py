"""`holotype hygiene`: what may be wrong with a catalogue."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import typer
from rich.table import Table

from service.cli.options import CatalogueName, command
from service.cli.output import table
from service.cli.progress import stages
from service.cli.session import Session

app = typer.Typer()

MOST_ROWS = 20
"""Rows a table; the JSON has all."""
TITLES = {
    "conflict": "One picture under several labels",
    "label": "Labels in doubt",
    "cross-label": "Near-duplicates under different labels",
    "leak": "Near-duplicates in different splits",
    "duplicate": "Near-duplicates",
    "outlier": "Far from their class",
    "small": "Too small",
    "blank": "Blank",
    "thin": "Classes of few pictures",
    "alike": "Classes that look alike",
}
NEXT_STEPS = (
    ("relabel", ("relabel",), "it shows another class"),
    ("keep", ("look", "keep"), "its label is right: it is not listed again; takes several ids"),
    ("drop", ("drop",), "it shows nothing of use; takes several ids"),
)
"""Commands, the advice on which each may follow, and when it is right."""


@command(app, "hygiene")
def hygiene(session: Session, name: CatalogueName) -> None:
    """List what may be wrong with a catalogue, each with its evidence.

    Wrong labels, near-duplicates, leaks between splits, outliers, small and blank pictures, classes too thin or too
    alike. The decision that is suggested is the command to give: keep, relabel or drop; with `look` it is yours.

    Example: holotype hygiene groceries
    """
    with stages() as on_progress:
        report = session.backend.hygiene(name, on_progress)
    session.output.result(report, *_tables(report), *_next_steps(name, report))


def _tables(report: Mapping[str, Any]) -> list[Table | str]:
    said: list[Table | str] = []
    for kind, title in TITLES.items():
        found = [one for one in report["findings"] if one["kind"] == kind]
        if found:
            said.append(_table(title, found))
    said.append(
        f"{report['examples']} examples: {len(report['findings'])} findings, {report['accepted']} more are kept. Exact "
        "duplicates cannot be: a catalogue holds each picture once"
    )
    if thin := report["counts"]["thin"]:
        said.append(
            f"{thin} of the classes {'has' if thin == 1 else 'have'} fewer than five distinct pictures: their labels "
            "are not judged, and no other picture is taken for one of theirs"
        )
    if report["unreadable"]:
        said.append(
            f"{len(report['unreadable'])} stored pictures cannot be read any more: {report['unreadable'][0]} ..."
        )
    return said


def _table(title: str, found: Sequence[Mapping[str, Any]]) -> Table:
    heading = title if len(found) <= MOST_ROWS else f"{title} ({MOST_ROWS} of {len(found)}; --json lists all)"
    doubted = found[0]["kind"] == "label"
    columns = ("suggested", "example", *(("label", "likely") if doubted else ("labels",)), "why", "source")
    return table(heading, columns, (_row(one, doubted=doubted) for one in found[:MOST_ROWS]))


def _next_steps(name: str, report: Mapping[str, Any]) -> list[str]:
    """The commands to give about pictures, each with the first for which it is suggested."""
    about = [one for one in report["findings"] if one["example"] is not None]
    if not about:
        return []
    said = ["Look at the pictures; then, with an id or its first 8 characters:"]
    for decision, advice, when in NEXT_STEPS:
        first = next((one for one in about if one["suggested"] in advice), None)
        words = ["holotype", decision, name, "ID" if first is None else first["example"]["id"]]
        if decision == "relabel":
            words.append("LABEL" if first is None or first["kind"] == "conflict" else first["labels"][1])
        said.append(f"  {shlex.join(words)}  # {when}")
    return said


def _row(one: Mapping[str, Any], *, doubted: bool) -> tuple[object, ...]:
    example = one["example"]
    seen = example or next(iter(one["others"]), None)
    identity = "-" if example is None else example["id"]
    labels = one["labels"] if doubted else [one["labels"]]
    return one["suggested"], identity, *labels, one["why"], "-" if seen is None else seen["source"]
