"""A backup back into an empty installation: bytes, then points made from them, and the records last, all at once.

What is broken off before the last step leaves no records, so nobody takes it for whole; the same backup restored again
goes on with it. A bit that changed on the way is found by its checksum before anything counts.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from service.errors import InvalidInput
from service.ports import BlobStore, RecordsCopies
from service.ports.backups import RESTORING
from service.usecases.backup_format import (
    BLOBS,
    ENCODERS,
    MANIFEST,
    RECORDS,
    SUMMARY,
    Member,
    checked_encoder_file,
    checked_manifest,
    read_document,
    read_members,
)
from service.usecases.context import Context, OnProgress, partition_of
from service.usecases.verify_store import StoreReport, verify_store

OpenContext = Callable[[Path], AbstractContextManager[Context]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a backup goes.

    Attributes:
        folder: the data directory.
        records: the records, which have to be empty.
        blobs: the bytes, which have to be none.
        encoders: the folder of fine-tuned encoders.
        opened: wires a context of the records in a file with the bytes and the vector store of the place.
    """

    folder: Path
    records: RecordsCopies
    blobs: BlobStore
    encoders: Path
    opened: OpenContext


def restore_backup(place: Place, file: IO[bytes], on_progress: OnProgress = lambda *_: None) -> StoreReport:
    """Put a backup in its place; what was found and mended on the way. `left` is what the backup itself lacks.

    Raises:
        InvalidInput: the place is not empty, or the file is no backup, was changed, or is of a newer version.
        Unavailable: an outside system does not answer. May be done again.
    """
    if not place.records.is_empty():
        raise InvalidInput("the records hold tenants or catalogues already: restore into an empty installation")
    place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    work = _unpacked(place, file, on_progress)
    records = work / RECORDS
    place.blobs.flush()
    with place.opened(records) as context:
        context.registry.expire_leases()  # whoever held them works elsewhere, or not any more
        report = verify_store(context, mend=True, alone=True, on_progress=on_progress)
    place.records.fill_from(records)
    shutil.rmtree(work)
    return report


def check_no_points(context: Context) -> None:
    """Raises InvalidInput where the vector store has points of the catalogues: of the installation itself, perhaps."""
    for catalogue in context.registry.all_catalogues():
        if catalogue.fingerprint is None:
            continue
        context.store.open_collection(catalogue.fingerprint.collection, catalogue.fingerprint.dimension)
        if held := len(context.store.ids(partition_of(catalogue), {})):
            raise InvalidInput(
                f"the vector store holds {held} points of catalogue {catalogue.name!r} of tenant {catalogue.tenant!r} "
                "already: restore into another one (HOLOTYPE_QDRANT_URL), never beside the installation itself",
                catalogue=catalogue.name,
            )


def _unpacked(place: Place, file: IO[bytes], on_progress: OnProgress) -> Path:
    """Bytes in their place, the records in a folder of their own; every checksum has been compared."""
    work: Path | None = None
    fresh, count = True, 0
    for member in read_members(file, _scratch(place.folder)):
        if work is None:
            work = _begin(place, member)
            fresh = not (work / RECORDS).exists()
        elif member.name == RECORDS:
            _write(member, work / f"{RECORDS}.unfinished")
        elif member.name != SUMMARY:
            _put(place, member)
            count += 1
            on_progress("restoring", count, 0)
    _scratch(place.folder).unlink(missing_ok=True)
    if work is None or not (work / f"{RECORDS}.unfinished").exists():
        raise InvalidInput("the backup holds no records")
    if fresh:
        with place.opened(work / f"{RECORDS}.unfinished") as context:
            check_no_points(context)
    (work / f"{RECORDS}.unfinished").replace(work / RECORDS)
    return work


def _put(place: Place, member: Member) -> None:
    """Bytes under their key, or a file of an encoder."""
    if member.name.startswith(BLOBS):
        place.blobs.put(member.name.removeprefix(BLOBS), member.data.read())
    elif member.name.startswith(ENCODERS):
        path = place.encoders / checked_encoder_file(member.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(member, path)
    else:
        raise InvalidInput(f"{member.name[:100]!a} is no member of a backup")


def _scratch(folder: Path) -> Path:
    return folder / ".checksums"


def _begin(place: Place, member: Member) -> Path:
    """The folder of this restore, made unless it was broken off before."""
    if member.name != MANIFEST:
        raise InvalidInput(f"this is no backup of Holotype: it begins with {member.name[:100]!a}")
    work = place.folder / f"{RESTORING}{checked_manifest(read_document(member))}"
    if not work.exists():
        other = next(place.folder.glob(f"{RESTORING}*"), None)
        if other is not None or place.blobs.keys(""):
            what = f"an unfinished restore of another backup ({other.name})" if other else "bytes of pictures"
            raise InvalidInput(
                f"the place holds {what} already: restore into an empty one, or empty it", folder=str(place.folder)
            )
        work.mkdir(parents=True)
    return work


def _write(member: Member, path: Path) -> None:
    with path.open("wb") as opened:
        while piece := member.data.read(1024 * 1024):
            opened.write(piece)


def as_dict(report: StoreReport, file: Path) -> dict[str, Any]:
    """JSON of `holotype restore`."""
    counts = {"tenants": report.tenants, "catalogues": report.catalogues, "examples": report.examples}
    return {"file": str(file), **counts, "left": [one.as_dict() for one in report.left]}
