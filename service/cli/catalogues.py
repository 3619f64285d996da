"""`holotype catalogue create | list | show | delete`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from service.cli.options import CatalogueName, command, group_options
from service.cli.output import pairs, table, told_changes
from service.cli.session import Session
from service.errors import InvalidInput, counted, quoted

app = typer.Typer(no_args_is_help=True, help="Make, list, show and delete catalogues.", callback=group_options)


@command(app, "create")
def create(
    session: Session,
    name: CatalogueName,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="Hub id, local folder, packaged:vit-s14, finetuned:HASH or pixel; absent: HOLOTYPE_ENCODER.",
            metavar="ID",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make an empty catalogue on one encoder, which stays.

    Example: holotype catalogue create groceries --encoder facebook/dinov2-small
    """
    made = session.backend.create_catalogue(name, encoder)
    session.output.result(
        made, f"catalogue {made['name']} on {made['encoder']}; now: holotype ingest {made['name']} FOLDER"
    )


@command(app, "list")
def list_all(session: Session) -> None:
    """List the tenant's catalogues.

    Example: holotype catalogue list --json
    """
    found = session.backend.list_catalogues()
    rows = [
        (one["name"], one["encoder"], sum(one["examples"].values()), len(one["labels"]), one["references"])
        for one in found
    ]
    columns = ("name", "encoder", "examples#", "labels#", "references#")
    session.output.result(found, table(f"Catalogues of {session.backend.tenant()}", columns, rows))


@command(app, "show")
def show(session: Session, name: CatalogueName) -> None:
    """Show what a catalogue holds: examples by split and label, conflicts with their ids, the active selection.

    Example: holotype catalogue show groceries
    """
    summary = session.backend.show_catalogue(name)
    labels, conflicts = summary["labels"], summary["conflicts"]
    rest = {key: value for key, value in summary.items() if key not in {"name", "labels"}} | {
        "conflicts": len(conflicts)
    }
    rest["changed"] = told_changes(summary["changed"]) if summary.get("changed") else None
    said: list[Table | str] = [
        pairs(f"Catalogue {name}", rest),
        table(counted(len(labels), "label"), ("label", "examples#"), sorted(labels.items())),
    ]
    if conflicts:
        held = [(one["id"], one["source"], one["labels"]) for one in conflicts]
        said.append(table("In conflict: decide with relabel or drop", ("example", "source", "labels"), held))
    session.output.result(summary, *said)


@command(app, "delete")
def delete(
    session: Session,
    name: CatalogueName,
    yes: Annotated[bool, typer.Option("--yes", help="Yes, for good.", show_default=False)] = False,
) -> None:
    """Delete a catalogue: its examples, selections and image bytes.

    Example: holotype catalogue delete groceries --yes
    """
    if not yes:
        raise InvalidInput(f"deleting {quoted(name)} cannot be undone: say it with --yes", catalogue=name)
    session.backend.delete_catalogue(name)
    session.output.result({"deleted": name}, f"catalogue {name} is gone")
