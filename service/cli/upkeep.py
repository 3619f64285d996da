"""`holotype backup | restore | verify-store`: a whole installation, all tenants, where its data are."""

from __future__ import annotations

import os
import time
import uuid
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from service.cli.failures import FAILED
from service.cli.options import command
from service.cli.output import pairs, table
from service.cli.progress import stages
from service.cli.session import Session
from service.errors import InvalidInput

if TYPE_CHECKING:
    from service.usecases.store_findings import Finding
    from service.usecases.verify_store import StoreReport

app = typer.Typer(no_args_is_help=True)

AT_THE_DATA = "that is done where the data are"
COLUMNS = ("tenant", "catalogue", "kind", "count#", "means", "mended")


@command(app, "verify-store")
def verify_store(
    session: Session,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended.", show_default=False)] = False,
) -> None:
    """Compare rows, points, bytes, flags and hashes of all tenants.

    On a data directory nobody else may be at work; with servers others may go on. Exit code 1 where anything is left
    that is wrong.

    Example: holotype verify-store --repair
    """
    from service.usecases.verify_store import verify_store

    session.refuse_server(AT_THE_DATA)
    settings = session.settings
    alone = not settings.distributed and settings.database_url is None and settings.blob_url is None
    with session.open() as context, stages() as on_progress:
        report = verify_store(context, mend=repair, alone=alone, on_progress=on_progress)
    _tell(session, report)
    if report.left:
        raise typer.Exit(FAILED)


@command(app, "backup")
def backup(
    session: Session,
    target: Annotated[
        Path, typer.Argument(metavar="FILE|FOLDER", help="The file, or a folder to make one in.", show_default=False)
    ],
) -> None:
    """Write everything of all tenants into one file, while others go on working.

    Records, pictures, stored embeddings, selections and fine-tuned encoders, each with its checksum; points are made
    from them again. The file holds whatever there is of secrets (hashes of keys, secrets of webhooks): only you can
    read it.

    Example: holotype backup /mnt/backups
    """
    from service.bootstrap import blob_store, encoder_files, records_copies
    from service.usecases.backup import write_backup

    session.refuse_server(AT_THE_DATA)
    file = target / f"holotype-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.tar" if target.is_dir() else target
    if file.exists():
        raise InvalidInput(f"there is a file {file} already: give another name", file=str(file))
    records = records_copies(session.settings)
    unfinished = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}")
    try:
        with stages() as on_progress, _for_me_alone(unfinished) as opened:
            blobs = blob_store(session.settings)
            files = partial(encoder_files, session.settings)
            summary = write_backup(records, blobs, opened, file.parent, time.time, on_progress, files)
            opened.flush()
            os.fsync(opened.fileno())
        unfinished.replace(file)
    except OSError as error:
        raise InvalidInput(f"{file} cannot be written ({error.strerror or error})", file=str(file)) from error
    finally:
        unfinished.unlink(missing_ok=True)
    told = {"file": str(file), "bytes": file.stat().st_size, **summary.as_dict()}
    session.output.result(told, pairs(f"Back in with: holotype restore {file}", told))


@command(app, "restore")
def restore(
    session: Session, file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup.", show_default=False)]
) -> None:
    """Put a backup into an empty data directory, or into empty servers; it answers as it did then.

    Nothing else may be at work there. Broken off, the same command goes on. Exit code 1 where something was lost
    before the backup was made.

    Example: holotype restore holotype-20260101T000000Z.tar --data-dir fresh/
    """
    from service.bootstrap import place_to_restore
    from service.usecases.restore import as_dict, restore_backup

    session.refuse_server(AT_THE_DATA)
    if not file.is_file():
        raise InvalidInput(f"there is no file {file}", file=str(file))
    with place_to_restore(session.settings) as place, file.open("rb") as opened, stages() as on_progress:
        report = restore_backup(place, opened, on_progress)
    told = as_dict(report, file)
    session.output.result(told, pairs("Restored", told))
    if report.left:
        raise typer.Exit(FAILED)


def _for_me_alone(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")


def _tell(session: Session, report: StoreReport) -> None:
    looked = {"tenants": report.tenants, "catalogues": report.catalogues, "examples": report.examples}
    left = {_name(one) for one in report.left}
    rows = [
        (
            one.tenant,
            one.catalogue or "-",
            one.kind.value,
            len(one.names),
            one.as_dict()["means"],
            _name(one) not in left,
        )
        for one in report.found
    ]
    said = table("What is wrong", COLUMNS, rows) if rows else "rows, points, bytes, flags and hashes agree"
    session.output.result(report.as_dict(), pairs("Looked at", looked), said)


def _name(finding: Finding) -> tuple[str, str, str]:
    return finding.tenant, finding.catalogue, finding.kind.value
