"""`holotype keep | relabel | drop`: what a person decides about examples."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.options import CatalogueName, command
from service.cli.session import Session

app = typer.Typer()


@command(app, "keep")
def keep(
    session: Session,
    name: CatalogueName,
    examples: Annotated[list[str], typer.Argument(metavar="EXAMPLE...", help="Ids of examples.", show_default=False)],
) -> None:
    """Accept what `hygiene` lists about examples: it is not listed again.

    Example: holotype keep groceries 5c0e7c1e-3f0c-5d0a-9a55-0a7c8e1f2b3d
    """
    from service.usecases.hygiene import keep as keep_examples

    with session.open() as context:
        kept = keep_examples(context, session.tenant, name, examples)
    told = [f"{example} is kept: {', '.join(kinds) or 'nothing was found about it'}" for example, kinds in kept.items()]
    session.output.result({"kept": kept}, *told)


@command(app, "relabel")
def relabel(
    session: Session,
    name: CatalogueName,
    example: Annotated[str, typer.Argument(metavar="EXAMPLE", help="Id of the example.", show_default=False)],
    label: Annotated[str, typer.Argument(metavar="LABEL", help="Its label from now on.", show_default=False)],
) -> None:
    """Give an example its label, which also settles a conflict.

    Example: holotype relabel groceries 5c0e7c1e-3f0c-5d0a-9a55-0a7c8e1f2b3d pear
    """
    from service.usecases.decide import relabel as relabel_example

    with session.open() as context:
        changed = relabel_example(context, session.tenant, name, example, label)
    names = ("id", "label", "split", "state", "source")
    value = {name: getattr(changed, name) for name in names}
    session.output.result(value, f"{changed.source} ({changed.id}) is {changed.label} now, split {changed.split}")


@command(app, "drop")
def drop(
    session: Session,
    name: CatalogueName,
    examples: Annotated[list[str], typer.Argument(metavar="EXAMPLE...", help="Ids of examples.", show_default=False)],
) -> None:
    """Take examples out of a catalogue, for good.

    Example: holotype drop groceries 5c0e7c1e-3f0c-5d0a-9a55-0a7c8e1f2b3d
    """
    from service.usecases.decide import drop as drop_examples

    with session.open() as context:
        dropped = drop_examples(context, session.tenant, name, examples)
    session.output.result({"dropped": dropped}, f"{len(dropped)} dropped")
