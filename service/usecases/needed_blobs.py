"""Which bytes the rows of a catalogue need: what a backup takes along, and what a verification looks for.

Thumbnails, maps and surveys are not among them: they are worked out again when they are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from service.ports import Registry
from service.records import (
    FINAL_STATES,
    KINDS_OF_ITEMS,
    Catalogue,
    ItemState,
    Job,
    JobState,
    Selection,
    SelectionState,
)
from service.usecases.context import bytes_key, embedding_key, image_key, references_key, report_key
from service.usecases.example_pages import example_pages
from service.usecases.splitting import BATCH

PICTURES, EMBEDDINGS, HEADS, REPORTS, UPLOADS = "images", "embeddings", "heads", "reports", "uploads"
FOLDERS = (PICTURES, EMBEDDINGS, HEADS, REPORTS, UPLOADS)
"""What keys have behind the tenant, of all that is needed."""

NOT_FINAL = tuple(state for state in JobState if state not in FINAL_STATES)
PUBLISHED = (SelectionState.ACTIVE, SelectionState.RETIRED)

Kind = Literal["picture", "embedding", "selection", "waiting"]

_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class NeededBlob:
    """A key that something in the records stands on.

    Attributes:
        key: where its bytes are.
        kind: `picture` and `embedding` of an example, `selection` (head, references or report), `waiting` (a picture
            of a job that has not ended, or that may be tried again).
        required: False where the bytes may be gone: kept for a while only, or of a selection that never served.
    """

    key: str
    kind: Kind
    required: bool = True

    @property
    def sha256(self) -> str | None:
        """What its bytes must hash to; None where the key does not say."""
        name = self.key.rpartition("/")[2]
        return name if self.kind in ("picture", "waiting") and _HASH.fullmatch(name) else None


def needed_blobs(registry: Registry, catalogue: Catalogue) -> Iterator[NeededBlob]:
    """Each key as often as something needs it. Raises Unavailable."""
    yield from _of_examples(registry, catalogue)
    for selection in registry.selections(catalogue.id):
        yield from of_selection(catalogue, selection)
    for job in registry.jobs(list(JobState), catalogue.id):
        yield from _of_job(registry, job)


def of_selection(catalogue: Catalogue, selection: Selection) -> Iterator[NeededBlob]:
    """Head, references, report."""
    keys = [references_key(catalogue.tenant, selection.id), report_key(catalogue.tenant, selection.id)]
    for key in ([] if selection.head_blob is None else [selection.head_blob]) + keys:
        yield NeededBlob(key, "selection", required=selection.state in PUBLISHED)


def _of_examples(registry: Registry, catalogue: Catalogue) -> Iterator[NeededBlob]:
    digest = "" if catalogue.fingerprint is None else catalogue.fingerprint.digest
    for example in chain.from_iterable(example_pages(registry, catalogue)):
        yield NeededBlob(image_key(catalogue.tenant, example.content_hash), "picture")
        yield NeededBlob(embedding_key(catalogue.tenant, digest, example.picture), "embedding")


def _of_job(registry: Registry, job: Job) -> Iterator[NeededBlob]:
    """Pictures that wait for a worker; of an ended job those that failed, while they may be tried again."""
    if job.kind not in KINDS_OF_ITEMS:
        return
    waits = job.state in NOT_FINAL
    if not waits and job.forget_at is None:
        return
    states: Sequence[ItemState] = (
        [ItemState.PENDING] if waits else [ItemState.PENDING, ItemState.FAILED, ItemState.CANCELLED]
    )
    key_of, after = bytes_key(job), None
    while page := registry.items_page(job.id, states=states, after=after, limit=BATCH):
        for item in page:
            if item.content_hash:
                yield NeededBlob(key_of(item.content_hash), "waiting", required=waits)
        after = page[-1].id
