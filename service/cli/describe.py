"""`holotype describe`: the words that classes start from."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.options import CatalogueName, command
from service.cli.output import table
from service.cli.session import Session
from service.errors import InvalidInput

app = typer.Typer()


@command(app, "describe")
def describe(
    session: Session,
    name: CatalogueName,
    label: Annotated[str | None, typer.Argument(metavar="LABEL", help="The class.", show_default=False)] = None,
    templates: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEMPLATE...", help="Texts; {label} stands for the label.", show_default=False),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the class's words away.")] = False,
) -> None:
    """Let a class start from words, with an encoder that knows text (CLIP); without LABEL list those that do.

    The class needs no picture. As pictures arrive, its words count less and less. Without templates a few general
    ones are taken; describing a class again replaces its words.

    Example: holotype describe groceries papaya "a photo of a {label}" "a {label} on a shelf"
    """
    backend = session.backend
    if label is None:
        found = backend.descriptions(name)
        rows = [(one["label"], " | ".join(one["templates"])) for one in found]
        session.output.result(found, table("Classes with words", ("class", "templates"), rows))
    elif remove:
        if templates:
            raise InvalidInput(f"--remove takes all words of {label} away: leave the templates out")
        backend.forget_description(name, label)
        session.output.result({"removed": label}, f"the class {label} has no words any more")
    else:
        one = backend.describe(name, label, templates or [])
        session.output.result(one, f"{one['label']} starts from {len(one['templates'])} texts")
