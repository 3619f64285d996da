"""`holotype keep | relabel | drop | dropped`: what a person decides about examples, and has dropped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from service.cli.options import CatalogueName, command
from service.cli.output import table
from service.cli.session import Session
from service.cli.short_ids import whole_ids

app = typer.Typer()


@command(app, "keep")
def keep(
    session: Session,
    name: CatalogueName,
    examples: Annotated[
        list[str],
        typer.Argument(metavar="EXAMPLE...", help="Their ids or beginnings.", show_default=False),
    ],
) -> None:
    """Accept what `hygiene` lists about examples: it is not listed again; take back what was dropped.

    A dropped picture that is kept is stored when it is handed over again. Of an id the first 8 characters will do, as
    long as no other starts so; so it is with `relabel` and `drop`.

    Example: holotype keep groceries 5c0e7c1e-3f0c-5d0a-9a55-0a7c8e1f2b3d
    """
    kept = session.backend.keep(name, whole_ids(session.backend, name, examples))
    told = [
        f"{example} is kept: {', '.join(kinds) or 'nothing was found about it'}"
        for example, kinds in kept["kept"].items()
    ]
    told += [
        f"{example} is dropped no longer: the next ingest that brings it stores it" for example in kept["taken_back"]
    ]
    session.output.result(kept, *told)


@command(app, "relabel")
def relabel(
    session: Session,
    name: CatalogueName,
    example: Annotated[
        str, typer.Argument(metavar="EXAMPLE", help="Id of the example or its beginning.", show_default=False)
    ],
    label: Annotated[str, typer.Argument(metavar="LABEL", help="Its label from now on.", show_default=False)],
) -> None:
    """Give an example its label, which also settles a conflict.

    A label that no class has makes one; then it is told, with the known names that are close to it.

    Example: holotype relabel groceries 5c0e7c1e-3f0c-5d0a-9a55-0a7c8e1f2b3d pear
    """
    (whole,) = whole_ids(session.backend, name, [example])
    changed = session.backend.relabel(name, whole, label)
    told = f"{changed['source']} ({changed['id']}) is {changed['label']} now, split {changed['split']}"
    session.output.result(changed, told, *_of_a_new_class(name, changed))


def _of_a_new_class(name: str, changed: Mapping[str, Any]) -> list[str]:
    if not changed["new_class"]:
        return []
    told = f"{changed['label']} is a new class: no other picture had that label"
    if changed["close"]:
        correction = f"holotype relabel {name} {changed['id']} LABEL"
        told += f". Close to it: {', '.join(changed['close'])}; to correct it: {correction}"
    return [told]


@command(app, "drop")
def drop(
    session: Session,
    name: CatalogueName,
    examples: Annotated[
        list[str],
        typer.Argument(metavar="EXAMPLE...", help="Their ids or beginnings.", show_default=False),
    ],
) -> None:
    """Take examples out of a catalogue. An ingest passes them over from now on, until `keep` takes that back.

    `dropped` lists them.

    Example: holotype drop groceries 5c0e7c1e-3f0c-5d0a-9a55-0a7c8e1f2b3d
    """
    dropped = session.backend.drop(name, whole_ids(session.backend, name, examples))
    again = f"to have one again: holotype keep {name} ID, then hand the picture over again"
    session.output.result({"dropped": dropped}, f"{len(dropped)} dropped: {', '.join(dropped)}", again)


@command(app, "dropped")
def dropped(session: Session, name: CatalogueName) -> None:
    """List the pictures that were dropped, with the labels under which an ingest passes them over.

    Of each there is left what it is known by: the hash of its bytes, and the part of the picture that it showed.
    `keep` with its id takes a drop back.

    Example: holotype dropped groceries
    """
    found = session.backend.dropped(name)
    if not found:
        session.output.result(found, f"nothing is dropped from {name}")
        return
    rows = [(one["id"], one["labels"], one["content_hash"], one["crop"] or "-") for one in found]
    told = table(f"Dropped from {name}", ("id", "labels", "sha256", "crop"), rows)
    session.output.result(found, told, f"to have one again: holotype keep {name} ID, then hand the picture over again")
