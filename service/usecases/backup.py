"""A backup of a whole installation, while others go on working: records of one moment, and all bytes they stand on.

Points are not copied: they are made again from rows, stored embeddings and the references of selections, which is what
`verify-store --repair` does and a restore calls. So a backup needs no hold of the vector store, and cannot disagree
with it.

Records first, then bytes: whatever a row names was written before the row. A picture that is dropped between the two is
missing then, and the records are copied once more, until every row has its bytes; what two copies in a row want in vain
was lost before, and is told. Each round has only what the one before did not have, so rounds become short.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any
from uuid import uuid4

from service import __version__
from service.errors import Busy, NotFound
from service.ports import BlobStore, RecordsCopies, Registry
from service.usecases.backup_format import BLOBS, ENCODERS, MANIFEST, RECORDS, SUMMARY, BackupWriter, manifest_bytes
from service.usecases.context import OnProgress
from service.usecases.needed_blobs import needed_blobs

EncoderFiles = Callable[[str], Mapping[str, Path]]

ROUNDS = 10
TOLD = 100
"""Keys of lost bytes that the summary names."""


@dataclass(slots=True)
class BackupSummary:
    """What a backup holds.

    Attributes:
        tenants, catalogues, examples: records of them.
        blobs: keys whose bytes are in it.
        lost: how many keys the records need whose bytes were lost already.
        lost_keys: the first of them.
    """

    tenants: int = 0
    catalogues: int = 0
    examples: int = 0
    blobs: int = 0
    lost: int = 0
    lost_keys: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """JSON-serialisable form."""
        return asdict(self)


def write_backup(
    records: RecordsCopies,
    blobs: BlobStore,
    file: IO[bytes],
    work: Path,
    clock: Callable[[], float],
    on_progress: OnProgress = lambda *_: None,
    encoder_files: EncoderFiles = lambda _: {},
) -> BackupSummary:
    """Write the backup to a file, from front to end.

    Args:
        records: the records of the installation.
        blobs: its bytes.
        file: open for writing; nothing is written twice.
        work: a folder for the copy of the records while it is read.
        clock: seconds since 1970.
        on_progress: told of bytes copied, of how many examples.
        encoder_files: the files of a catalogue's encoder that have to be taken along, by path below all encoders.

    Raises:
        InvalidInput: there is nothing to back up, or a fine-tuned encoder is not there.
        Busy: pictures are dropped faster than they can be copied.
        Unavailable: an outside system does not answer.
    """
    with (
        TemporaryDirectory(dir=work, prefix=".backup-") as folder,
        BackupWriter(file, Path(folder, "checksums"), clock()) as writer,
    ):
        copying = _Copying(records, blobs, writer, on_progress, encoder_files)
        return copying.run(Path(folder, RECORDS), clock())


class _Copying:
    def __init__(
        self,
        records: RecordsCopies,
        blobs: BlobStore,
        writer: BackupWriter,
        on_progress: OnProgress,
        encoder_files: EncoderFiles,
    ) -> None:
        self._records, self._blobs, self._writer, self._on_progress = records, blobs, writer, on_progress
        self._encoder_files = encoder_files
        self._copied: set[bytes] = set()
        self._encoders: set[str] = set()

    def run(self, copy: Path, now: float) -> BackupSummary:
        self._writer.add(MANIFEST, manifest_bytes(uuid4().hex, __version__, now))
        summary = self._until_whole(copy)
        with self._records.opened(copy) as registry:
            self._copy_encoders(registry)
        self._writer.add_file(RECORDS, copy)
        self._writer.add(SUMMARY, json.dumps(summary.as_dict()).encode())
        self._writer.end()
        return summary

    def _until_whole(self, copy: Path) -> BackupSummary:
        before: set[str] | None = None
        for _ in range(ROUNDS):
            self._records.copy_to(copy)
            with self._records.opened(copy) as registry:
                missing = self._copy(registry)
                if not missing or (before is not None and missing <= before):
                    return self._summary(registry, missing)
            before = missing
        raise Busy(
            f"pictures are dropped faster than they are copied: after {ROUNDS} copies of the records "
            f"{len(missing)} keys that they need are gone; back up at a quieter time",
            missing=sorted(missing)[:TOLD],
        )

    def _copy(self, registry: Registry) -> set[str]:
        """Bytes that no earlier round copied; the keys that are needed and not there."""
        missing: set[str] = set()
        for catalogue in registry.all_catalogues():
            for one in needed_blobs(registry, catalogue):
                name = hashlib.blake2b(one.key.encode(), digest_size=16).digest()
                if name in self._copied:
                    continue
                try:
                    data = self._blobs.get(one.key)
                except NotFound:
                    if one.required and not (one.kind == "picture" and catalogue.without_pictures):
                        missing.add(one.key)
                    continue
                self._writer.add(f"{BLOBS}{one.key}", data)
                self._copied.add(name)
                self._on_progress("copying", len(self._copied), 0)
        return missing

    def _copy_encoders(self, registry: Registry) -> None:
        """Each once; they never change."""
        for encoder in sorted({one.encoder for one in registry.all_catalogues()}):
            for name, path in self._encoder_files(encoder).items():
                if name not in self._encoders:
                    self._writer.add_file(f"{ENCODERS}{name}", path)
                    self._encoders.add(name)

    def _summary(self, registry: Registry, missing: set[str]) -> BackupSummary:
        return BackupSummary(
            tenants=len(registry.tenants()),
            catalogues=len(registry.all_catalogues()),
            examples=registry.measures().examples,
            blobs=len(self._copied),
            lost=len(missing),
            lost_keys=sorted(missing)[:TOLD],
        )
