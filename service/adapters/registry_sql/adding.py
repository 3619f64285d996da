"""Adding items to a job that is still being filled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import Connection, insert, literal_column, select, update

from service.adapters.registry_sql.schema import items, jobs
from service.records import ItemState, NewItem

VALUES_A_STATEMENT = 500

Known = tuple[str, str, str, str]
"""Source, content hash, crop and label: what makes two items of a job the same."""


def insert_items(connection: Connection, job_id: str, new: Sequence[NewItem]) -> None:
    """Rows of the items, and the job's counts of them. Call with the job's row locked."""
    if not new:
        return
    rows = [
        {
            "job_id": job_id,
            "source": item.source,
            "content_hash": item.content_hash,
            "label": item.label,
            "split": item.split,
            "state": ItemState.PENDING if item.failure is None else ItemState.FAILED,
            "reason": item.failure,
            "crop": item.crop,
            "metadata": item.metadata,
        }
        for item in new
    ]
    connection.execute(insert(items), rows)
    done = sum(item.failure is not None for item in new)
    counted = {"item_total": jobs.c.item_total + len(rows), "item_done": jobs.c.item_done + done}
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(counted))


def new_ones(connection: Connection, job_id: str, new: Sequence[NewItem]) -> list[NewItem]:
    """Those that the job does not have yet, each once. Call with the job's row locked."""
    known = set(_known(connection, job_id, new))
    fresh = []
    for item in new:
        if _of(item) not in known:
            known.add(_of(item))
            fresh.append(item)
    return fresh


def _of(item: NewItem) -> Known:
    return item.source, item.content_hash, item.crop, item.label


def _known(connection: Connection, job_id: str, new: Sequence[NewItem]) -> Iterator[Known]:
    """Found by content hash, those without one (failed, or to be fetched) by source: most batches need one question."""
    columns = (items.c.source, items.c.content_hash, items.c.crop, items.c.label)
    # A job that is being filled has no other states. Written out for the index on the hashes of pending items.
    pending = items.c.state == literal_column(f"'{ItemState.PENDING}'")
    for hashes in _batches(item.content_hash for item in new if item.content_hash):
        found = select(*columns).where(pending, items.c.content_hash.in_(hashes), items.c.job_id == job_id)
        yield from ((row.source, row.content_hash, row.crop, row.label) for row in connection.execute(found))
    for sources in _batches(item.source for item in new if not item.content_hash):
        found = select(*columns).where(items.c.job_id == job_id, items.c.content_hash == "")
        found = found.where(items.c.source.in_(sources))
        yield from ((row.source, row.content_hash, row.crop, row.label) for row in connection.execute(found))


def _batches(values: Iterable[str]) -> Iterator[list[str]]:
    ordered = sorted(set(values))
    for start in range(0, len(ordered), VALUES_A_STATEMENT):
        yield ordered[start : start + VALUES_A_STATEMENT]
