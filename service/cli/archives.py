"""`holotype export` and `holotype import`: a whole catalogue as one file."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import CatalogueName, command
from service.cli.session import Session
from service.errors import InvalidInput

app = typer.Typer(no_args_is_help=True)

ArchiveFile = Annotated[Path, typer.Argument(metavar="FILE", help="The archive, a zip.", show_default=False)]


@command(app, "export")
def export(
    session: Session,
    name: CatalogueName,
    file: ArchiveFile,
    no_images: Annotated[
        bool, typer.Option("--no-images", help="Leave the bytes of the pictures out.", show_default=False)
    ] = False,
) -> None:
    """Write a catalogue into one file: labels, embeddings, selections, pictures.

    Example: holotype export groceries groceries.zip
    """
    if file.exists():
        raise InvalidInput(f"there is a file {file} already: give another name", file=str(file))
    written = _written(session, name, file, images=not no_images)
    told = {"catalogue": name, "file": str(file), "bytes": written, "images": not no_images}
    session.output.result(
        told, f"{file}: catalogue {name}, {written / 1024**2:.1f} MB; back in: holotype import NAME FILE"
    )


@command(app, "import")
def import_(session: Session, name: CatalogueName, file: ArchiveFile) -> None:
    """Make a new catalogue from a file that `holotype export` wrote, checked first, whole or not at all.

    Example: holotype import groceries groceries.zip
    """
    if not file.is_file():
        raise InvalidInput(f"there is no file {file}", file=str(file))
    made = session.backend.import_archive(name, file)
    held = sum(made["examples"].values())
    session.output.result(made, f"catalogue {name}: {held} examples of {len(made['labels'])} labels")


def _written(session: Session, name: str, file: Path, *, images: bool) -> int:
    """Under another name until it is whole. Returns the bytes."""
    unfinished = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}")
    try:
        with unfinished.open("xb") as opened:
            written = session.backend.export_archive(name, opened, images=images)
        unfinished.replace(file)
    except OSError as error:
        raise InvalidInput(f"{file} cannot be written ({error.strerror or error})", file=str(file)) from error
    finally:
        unfinished.unlink(missing_ok=True)
    return written
