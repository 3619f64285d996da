"""`holotype ingest`: labelled pictures into a catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table

from service.cli.failures import FAILED
from service.cli.options import CatalogueName, command
from service.cli.output import table
from service.cli.progress import stages
from service.cli.session import Session

app = typer.Typer()

SHOWN_ERRORS = 20
"""Failed pictures and conflicts listed for people; --json lists all."""


@command(app, "ingest")
def ingest(
    session: Session,
    name: CatalogueName,
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            help="Folder of label/picture.jpg, CSV or JSONL manifest, or one picture.",
            show_default=False,
        ),
    ],
    split: Annotated[
        Literal["auto", "support", "tuning", "holdout"],
        typer.Option(help="What the pictures are for; auto: 60 % support, 20 % tuning, 20 % holdout, by class."),
    ] = "auto",
    label: Annotated[
        str | None,
        typer.Option(metavar="L", help="Label of all pictures; not for a folder of class folders.", show_default=False),
    ] = None,
) -> None:
    """Embed and store labelled pictures.

    A catalogue that is not there is made. Pictures that are there already change nothing.
    Broken files are listed, and the rest goes on.

    Example: holotype ingest groceries photos/
    """
    with stages() as on_progress:
        report = session.backend.ingest(name, path, split=split, label=label, on_progress=on_progress)
    session.output.result(report, *_tables(name, report))
    kept = report["stored"] + report["duplicate"] + report["conflict"] + report["skipped"]
    if report["failed"] and not kept:
        raise typer.Exit(FAILED)


def _tables(name: str, report: Mapping[str, Any]) -> list[Table | str]:
    counts = (("stored", "stored"), ("duplicate", "there already"), ("conflict", "in conflict"), ("failed", "failed"))
    line = ", ".join(f"{report[key]} {words}" for key, words in counts)
    if report["skipped"]:
        line += f", {report['skipped']} skipped"
    if report["images_per_s"]:
        line += f"; {report['images_per_s']:.1f} images/s"
    said: list[Table | str] = [line]
    if report["errors"]:
        rows = [(one["path"], one["reason"]) for one in report["errors"]]
        said.append(table(_heading("failed", len(rows)), ("picture", "why"), rows[:SHOWN_ERRORS]))
    if report["left_out"]:
        rows = [(one["path"], one["id"]) for one in report["left_out"]]
        said.append(
            table(_heading("skipped, for they were dropped", len(rows)), ("picture", "id"), rows[:SHOWN_ERRORS])
        )
        said.append(f"`holotype keep {name} ID` takes that back: the next ingest stores the picture")
    if report["conflicts"]:
        rows = [(" = ".join(one["paths"]), " or ".join(one["labels"])) for one in report["conflicts"]]
        heading = _heading("the same picture under two labels", len(rows))
        said.append(table(heading, ("pictures", "labels"), rows[:SHOWN_ERRORS]))
        said.append(
            f"these answer nothing until `holotype relabel {name} ID LABEL` or `holotype drop {name} ID` decides"
        )
    return said


def _heading(what: str, count: int) -> str:
    return f"{count} {what}" + (f" (the first {SHOWN_ERRORS}; --json lists all)" if count > SHOWN_ERRORS else "")
