"""Handing over any number of pictures: in batches to an open job, gone on with where a connection was cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from service.client.models.jobs import Job
from service.client.retrying import Retrying
from service.client.routes import jobs
from service.client.routes.jobs import Picture
from service.client.steps import Flow, ask
from service.errors import HolotypeError, InvalidInput, Unavailable

BATCH_PICTURES = 200
BATCH_BYTES = 16 * 1024 * 1024
SUFFIXES = frozenset({".jfif", ".jpeg", ".jpg", ".png", ".webp"})

OnSent = Callable[[int], None]
"""Called with the number of pictures that the server has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """How pictures are handed over.

    Attributes:
        name: the catalogue.
        classify: answer them instead of storing them.
        top: labels that each answer names (classify).
        max_error: error to accept among accepted answers (classify).
        job: an open job to go on with: pictures that it has by their source are not sent again.
        on_sent: told how many the server has.
    """

    name: str
    classify: bool = False
    top: int | None = None
    max_error: float | None = None
    job: str | None = None
    on_sent: OnSent = lambda _sent: None


def upload(how: Upload, pictures: Iterable[Picture], retrying: Retrying) -> Flow[Job]:
    """The job with all pictures, as it begins. They are read as they are sent: memory holds one batch.

    A batch whose answer was lost is sent again, and nothing is taken twice. When the server stays silent the error
    names the job: `Upload(job=...)` goes on with it. After any other error the job that this opened is cancelled.

    Raises:
        ApiProblem: the server refused.
        Unavailable: it did not answer any more; details: job.
    """
    rest = iter(pictures)
    first = list(islice(rest, 1))  # what cannot be read at all is told before there is a job
    if how.job is not None:
        there = yield from _sources(how.job, retrying)
        return (yield from _filled(how, how.job, chain(first, rest), there, retrying))
    job_id = (yield from _opened(how, retrying)).id
    try:
        return (yield from _filled(how, job_id, chain(first, rest), set(), retrying))
    except GeneratorExit:
        raise
    except BaseException as error:
        # One that the silent server still has may be gone on with; nobody would ever go on with the others.
        if not isinstance(error, Unavailable):
            with suppress(HolotypeError):
                yield from ask(jobs.cancel_job(job_id), retrying)
        raise


def _filled(how: Upload, job_id: str, pictures: Iterable[Picture], there: set[str], retrying: Retrying) -> Flow[Job]:
    """The job, begun, with the pictures that it does not have yet."""
    sent = len(there)
    try:
        # Of one source there may be several parts: those are sent again, and the server takes none of them twice.
        for batch in batches(one for one in pictures if one.source not in there or one.box or one.mask):
            yield from ask(jobs.add_pictures(job_id, batch, classify=how.classify), retrying)
            sent += len(batch)
            how.on_sent(sent)
        return (yield from ask(jobs.seal(job_id), retrying.patient()))
    except Unavailable as error:
        error.details["job"] = job_id
        raise


def _opened(how: Upload, retrying: Retrying) -> Flow[Job]:
    call = jobs.start_ingest(how.name, classify=how.classify, top=how.top, max_error=how.max_error, more_follow=True)
    return (yield from ask(call, retrying))


def _sources(job_id: str, retrying: Retrying) -> Flow[set[str]]:
    """What the job has already."""
    found, cursor = set[str](), None
    while True:
        page = yield from ask(jobs.list_items(job_id, cursor=cursor), retrying)
        found |= {item.source for item in page.items}
        cursor = page.next_cursor
        if cursor is None:
            return found


def batches(pictures: Iterable[Picture]) -> Iterator[list[Picture]]:
    """In order; no batch names a source twice, for its manifest would give each of the two both labels."""
    batch: list[Picture] = []
    names, size = set[str](), 0
    for one in pictures:
        full = len(batch) >= BATCH_PICTURES or size + len(one.content) > BATCH_BYTES
        if batch and (full or one.source in names):
            yield batch
            batch, names, size = [], set(), 0
        batch.append(one)
        names.add(one.source)
        size += len(one.content) + len(one.mask or b"")
    if batch:
        yield batch


def folder_pictures(folder: Path, *, split: str = "auto", labelled: bool = True) -> Iterator[Picture]:
    """The pictures of label/picture.jpg below a folder, however deep, by name; hidden ones are passed over.

    Without `labelled` every picture of the folder, to be classified. Sources are relative to the folder.

    Raises:
        InvalidInput: the folder is none, holds no picture, or has one without a label.
    """
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is not a folder: give one that holds a folder of pictures for each label")
    found = _files(folder)
    first = next(found, None)
    if first is None:
        raise InvalidInput(f"there is no picture (.jpg, .png, .webp) in {folder}", path=str(folder))
    for path in chain([first], found):
        parts = path.relative_to(folder).parts
        if labelled and len(parts) == 1:
            raise InvalidInput(f"{path} has no label: put it into a folder named after its class", path=str(path))
        label = parts[0] if labelled else None
        yield Picture(source="/".join(parts), content=path.read_bytes(), label=label, split=split)


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in SUFFIXES and path.is_file() and not hidden:
            yield path
