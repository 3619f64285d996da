"""`holotype catalogue create | list | show | delete`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from service.cli.options import CatalogueName, command, group_options
from service.cli.output import pairs, table
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
            help="Hub id, local folder, packaged:vit-s14 or pixel; HOLOTYPE_ENCODER where it is left out.",
            metavar="ID",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make an empty catalogue on one encoder, which stays.

    Example: holotype catalogue create groceries --encoder facebook/dinov2-small
    """
    from service.usecases.catalogues import create_catalogue, show_catalogue

    with session.open() as context:
        create_catalogue(context, session.tenant, name, encoder or session.settings.encoder)
        made = show_catalogue(context, session.tenant, name).as_dict()
    session.output.result(
        made, f"catalogue {made['name']} on {made['encoder']}; now: holotype ingest {made['name']} FOLDER"
    )


@command(app, "list")
def list_all(session: Session) -> None:
    """List the tenant's catalogues.

    Example: holotype catalogue list --json
    """
    from service.usecases.catalogues import list_catalogues

    with session.open() as context:
        found = [summary.as_dict() for summary in list_catalogues(context, session.tenant)]
    rows = [
        (one["name"], one["encoder"], sum(one["examples"].values()), len(one["labels"]), one["references"])
        for one in found
    ]
    columns = ("name", "encoder", "examples#", "labels#", "references#")
    session.output.result(found, table(f"Catalogues of {session.tenant}", columns, rows))


@command(app, "show")
def show(session: Session, name: CatalogueName) -> None:
    """Show what a catalogue holds: examples by split and label, conflicts with their ids, the active selection.

    Example: holotype catalogue show groceries
    """
    from service.usecases.catalogues import show_catalogue

    with session.open() as context:
        summary = show_catalogue(context, session.tenant, name).as_dict()
    labels, conflicts = summary["labels"], summary["conflicts"]
    rest = {key: value for key, value in summary.items() if key not in {"name", "labels"}} | {
        "conflicts": len(conflicts)
    }
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
    from service.usecases.catalogues import delete_catalogue

    if not yes:
        raise InvalidInput(f"deleting {quoted(name)} cannot be undone: say it with --yes", catalogue=name)
    with session.open() as context:
        delete_catalogue(context, session.tenant, name)
    session.output.result({"deleted": name}, f"catalogue {name} is gone")
