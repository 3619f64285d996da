"""`holotype hygiene`: what may be wrong with a catalogue."""

from __future__ import annotations

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
    "label": "Labels that are likely wrong",
    "cross-label": "Near-duplicates under different labels",
    "leak": "Near-duplicates in different splits",
    "duplicate": "Near-duplicates",
    "outlier": "Far from their class",
    "small": "Too small",
    "blank": "Blank",
    "thin": "Classes of few pictures",
    "alike": "Classes that look alike",
}


@command(app, "hygiene")
def hygiene(session: Session, name: CatalogueName) -> None:
    """List what may be wrong with a catalogue, each with its evidence.

    Wrong labels, near-duplicates, leaks between splits, outliers, small and blank pictures, classes too thin or too
    alike. The decision that is suggested is the command to give: keep, relabel or drop.

    Example: holotype hygiene groceries
    """
    with stages() as on_progress:
        report = session.backend.hygiene(name, on_progress)
    session.output.result(report, *_tables(report))


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
    columns = ("suggested", "example", "labels", "why", "source")
    return table(heading, columns, (_row(one) for one in found[:MOST_ROWS]))


def _row(one: Mapping[str, Any]) -> tuple[object, ...]:
    example = one["example"]
    seen = example or next(iter(one["others"]), None)
    identity = "-" if example is None else example["id"]
    return one["suggested"], identity, one["labels"], one["why"], "-" if seen is None else seen["source"]
