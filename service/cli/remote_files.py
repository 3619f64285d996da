"""What the remote backend reads on this machine: the same pictures, refused in the same words, as without a server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from service.cli.backend import OnProgress, Value
from service.client import Picture
from service.errors import InvalidInput

if TYPE_CHECKING:
    from service.usecases.sources import Source, Sources

UPLOADING = "uploading"
MOST_ASKED = 1000
"""Pictures that a server judges, or orders, in one request."""
AUTO = "auto"


@dataclass(slots=True)
class HandedOver:
    """Pictures to be handed over, read as they are asked for; `failures` are those that cannot be."""

    sources: Sources
    on_progress: OnProgress
    failures: list[Value] = field(default_factory=list)

    def pictures(self) -> Iterator[Picture]:
        """Those that can be read, in order."""
        from service.records import Split

        for done, source in enumerate(self.sources, start=1):
            try:
                data, mask = read(source), _mask(source)
            except InvalidInput as error:
                self.failures.append({"path": source.name, "reason": error.message})
            else:
                split = AUTO if source.split is Split.UNASSIGNED else source.split.value
                yield Picture(
                    source=source.name,
                    content=data,
                    label=source.label,
                    split=split,
                    metadata=source.metadata,
                    box=source.crop.removesuffix(",pad") or None,
                    mask=mask,
                    keep_aspect=source.keep_aspect or source.crop.endswith(",pad"),
                )
            self.on_progress(UPLOADING, done, len(self.sources))


def read(source: Source) -> bytes:
    """Its bytes. Raises InvalidInput with the reason why not."""
    from service.usecases.files import read_file

    if source.failure is not None:
        raise InvalidInput(source.failure)
    return read_file(source.path)


def _mask(source: Source) -> bytes | None:
    from service.usecases.files import read_mask

    return None if source.mask is None else read_mask(source.mask)


def read_or_empty(source: Source) -> bytes:
    """Its bytes; none where it cannot be read, which a server counts as broken."""
    try:
        return read(source)
    except InvalidInput:
        return b""


def refuse_too_many(count: int, what: str) -> None:
    """Raises InvalidInput for more pictures than one request may bring."""
    if count > MOST_ASKED:
        raise InvalidInput(
            f"{count} pictures are too many to be {what} by a server at once, which takes {MOST_ASKED}: give a folder "
            "of fewer, or unset HOLOTYPE_URL where the catalogue is",
            pictures=count,
        )
