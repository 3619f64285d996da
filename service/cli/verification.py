"""`holotype verify`: are two pictures of one class, or is a picture of a given class?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from service.cli.options import CatalogueName, command
from service.cli.output import pairs
from service.cli.session import Session
from service.errors import InvalidInput

app = typer.Typer()


@command(app, "verify")
def verify(
    session: Session,
    name: CatalogueName,
    first: Annotated[Path, typer.Argument(metavar="A", help="A picture.", show_default=False)],
    second: Annotated[
        Path | None, typer.Argument(metavar="[B]", help="Another picture to compare it with.", show_default=False)
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(metavar="L", help="Compare with this class's references instead.", show_default=False),
    ] = None,
    rule: Annotated[
        Literal["otsu", "eer"], typer.Option(help="Threshold: Otsu's, or that of the equal error rate.")
    ] = "otsu",
) -> None:
    """Say whether two pictures are of one class, or a picture of a given one.

    How often that is right was measured by the last optimisation: tpr of pairs of one class, tnr of two classes.

    Example: holotype verify groceries a.jpg b.jpg; holotype verify groceries a.jpg --label pear
    """
    if (second is None) == (label is None):
        raise InvalidInput("give a second picture, or --label with a class to compare the first one with: one of both")
    other = None if second is None else _picture(second)
    answer = session.backend.verify(name, _picture(first), other, label=label, rule=rule)
    session.output.result(answer, pairs("Same class" if answer["same"] else "Not the same class", answer))


def _picture(path: Path) -> tuple[str, bytes]:
    from service.usecases.files import read_file

    try:
        return str(path), read_file(path)
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error.message}", path=str(path)) from error
