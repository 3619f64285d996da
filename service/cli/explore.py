"""`holotype search | next | preview`: look around before deciding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from service.cli.answers import read_files
from service.cli.failures import FAILED
from service.cli.options import CatalogueName, command
from service.cli.output import table
from service.cli.progress import stages
from service.cli.session import Session
from service.errors import InvalidInput

app = typer.Typer()

STORED = ("picture", "label", "example")


class SearchedSplit(StrEnum):
    """Splits to search in."""

    SUPPORT = "support"
    TUNING = "tuning"
    HOLDOUT = "holdout"


@command(app, "search")
def search(
    session: Session,
    name: CatalogueName,
    image: Annotated[
        Path | None, typer.Option(metavar="PICTURE", help="What they shall look like.", show_default=False)
    ] = None,
    text: Annotated[
        str | None, typer.Option(metavar="WORDS", help="What they shall show (CLIP encoders).", show_default=False)
    ] = None,
    top: Annotated[int, typer.Option(min=1, max=1000, metavar="K", help="How many examples.")] = 10,
    label: Annotated[
        str | None, typer.Option(metavar="L", help="Only examples of this class.", show_default=False)
    ] = None,
    split: Annotated[
        SearchedSplit | None, typer.Option(help="Only examples of this split.", show_default=False)
    ] = None,
) -> None:
    """List the examples that resemble a picture or a text most.

    All examples are searched, not only references, by their raw embeddings.

    Example: holotype search groceries --image new/lime.jpg --top 5
    """
    if (image is None) == (text is None):
        raise InvalidInput("what to search with: give either --image PICTURE or --text WORDS")
    picture = None if image is None else (str(image), _bytes(image))
    wanted = None if split is None else split.value
    found = session.backend.search(name, image=picture, text=text, top=top, label=label, split=wanted)
    rows = [(one["label"], one["split"], one["similarity"], one["source"], one["id"]) for one in found]
    columns = ("label", "split", "similarity#", "source", "example")
    session.output.result(found, table("Most similar", columns, rows))


def _bytes(path: Path) -> bytes:
    from service.usecases.files import read_file

    try:
        return read_file(path)
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error.message}", path=str(path)) from error


@command(app, "next")
def label_next(
    session: Session,
    name: CatalogueName,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Unlabelled pictures.", show_default=False)],
    count: Annotated[int, typer.Option(min=1, metavar="N", help="How many to name.")] = 20,
) -> None:
    """List the unlabelled pictures whose label would help most, in order.

    Those come first whose answer is most in doubt and that differ from the ones before them. Pictures that the
    catalogue holds already are left out.

    Example: holotype next groceries unlabelled/ --count 10
    """
    with stages() as on_progress:
        results = session.backend.suggest_next(name, folder, count, on_progress)
    session.output.result(results, *_next_tables(results))
    if results and all("error" in one for one in results):
        raise typer.Exit(FAILED)


def _next_tables(results: Sequence[Mapping[str, Any]]) -> list[Table | str]:
    usable = [one for one in results if "error" not in one]
    said: list[Table | str] = ["nothing in the folder is left to label"]
    if usable:
        rows = [(one["rank"], one["path"], one["margin"], one["why"]) for one in usable]
        said = [table("Label these next", ("#", "picture", "margin#", "why"), rows)]
    refused = [(one["path"], one["error"]) for one in results if "error" in one]
    if refused:
        said.append(table("Cannot be used", ("picture", "why"), refused))
    return said


@command(app, "preview")
def preview(
    session: Session,
    name: CatalogueName,
    label: Annotated[str, typer.Argument(metavar="LABEL", help="The class that may be added.", show_default=False)],
    pictures: Annotated[
        list[Path], typer.Argument(metavar="PICTURE...", help="A few of its pictures.", show_default=False)
    ],
) -> None:
    """Tell which classes a new one would be confused with, before anything is stored.

    A picture that is given twice counts once. Of one that is in the catalogue already the stored copy is left out.

    Example: holotype preview groceries papaya papaya/*.jpg
    """
    refused, read = read_files(pictures)
    if not read:
        raise InvalidInput(
            f"none of the {len(pictures)} pictures can be read: {pictures[0]} {refused[pictures[0]]['error']}"
        )
    value = session.backend.preview(name, label, read)
    value["pictures"] += list(refused.values())
    session.output.result(value, *_preview_tables(value))


def _preview_tables(value: Mapping[str, Any]) -> list[Table | str]:
    usable = [one for one in value["pictures"] if "error" not in one]
    rows = [(one["path"], one["label"], one["confidence"], one["margin"]) for one in usable]
    said: list[Table | str] = [table("Answered now", ("picture", "label", "confidence#", "margin#"), rows)]
    names = ("label", "answers", "lost", "taken", "images", "share")
    confused = [tuple(one[column] for column in names) for one in value["confused_with"]]
    columns = ("class", "new answered as it now#", "and still then#", "its own taken#", "of#", "share#")
    said.append(table(f"Confused with {value['label']}", columns, confused))
    refused = [(one["path"], one["error"]) for one in value["pictures"] if "error" in one]
    if refused:
        said.append(table("Not used", ("picture", "why"), refused))
    stored = [(one["path"], one["stored"]["label"], one["stored"]["id"]) for one in usable if one["stored"]]
    if stored:
        said.append(table("In the catalogue already; left out of what they are compared with", STORED, stored))
    recognised = value["recognised"]
    if recognised is None:
        said.append("one picture: whether the class would be recognised cannot be told")
    else:
        said.append(f"{recognised} of {len(usable)} new pictures would be recognised by the others")
    return said
