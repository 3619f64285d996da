"""The registry: how the state of a job changes, pages of jobs and items, and claims that are fair between tenants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from service.records import Chunk, Item, ItemState, Job, JobKind, JobState


class JobControlRegistry(Protocol):
    """States of jobs. All methods may be called again, and at once by several: the job's row is locked."""

    def set_progress(self, job_id: str, stage: str, done: int, total: int) -> bool:
        """True: it goes on, and is RUNNING. False: it was paused, is to be cancelled or has ended; nothing is written.

        Raises NotFound.
        """
        ...

    def finish_job(self, job_id: str, result: Mapping[str, Any] | None, error: str | None = None) -> tuple[str, ...]:
        """DONE with a result, FAILED with an error; CANCELLED where that was asked for. Ends it once, whoever is first.

        In the same transaction a delivery is written for every webhook that wants to hear of it: their ids.
        An optimise job with a result has published it, so it is DONE even if it was to be cancelled.
        Raises NotFound when the job went with its catalogue.
        """
        ...

    def pause_job(self, job_id: str) -> Job:
        """PAUSED: no chunk of it is claimed any more. Raises NotFound, WrongState for one that is opening or ending."""
        ...

    def resume_job(self, job_id: str) -> Job:
        """QUEUED again if it was paused. Raises NotFound, WrongState for one that is opening or ending."""
        ...

    def cancel_job(self, job_id: str) -> Job:
        """Ask for its end (`cancelled_at`): no chunk of it is claimed any more. Raises NotFound, WrongState."""
        ...

    def cancel_chunks(self, job_id: str, most: int) -> bool:
        """Items of at most so many chunks that nobody works on become CANCELLED. False when there is none left.

        Does nothing unless `cancel_job` was called before and the job has not ended.
        """
        ...

    def retry_job(self, job_id: str, chunk_size: int) -> Job:
        """The FAILED, CANCELLED and PENDING items of an ended job as a new QUEUED job. Called again: the same one.

        Raises NotFound, QuotaExceeded, and WrongState for a job that has not ended or has no such items.
        """
        ...

    def claim_next_chunk(self, owner: str, lease_seconds: float) -> Chunk | None:
        """Lease the next open chunk: of the tenant that was served least recently, of its oldest job with an open one.

        A chunk that the owner holds already comes first. None when there is no open chunk.
        """
        ...

    def jobs_page(
        self,
        tenant: str,
        *,
        states: Sequence[JobState] | None = None,
        kind: JobKind | None = None,
        catalogue_id: str | None = None,
        before: int | None = None,
        limit: int,
    ) -> list[tuple[int, Job]]:
        """Newest first, each with its serial number; those with a lower one than `before`, where given."""
        ...

    def items_page(
        self, job_id: str, *, states: Sequence[ItemState] | None = None, after: int | None = None, limit: int
    ) -> list[Item]:
        """By id; those with a higher one than `after`, where given."""
        ...

    def item_counts_of(self, job_ids: Sequence[str]) -> dict[str, dict[ItemState, int]]:
        """`item_counts` of several jobs."""
        ...

    def jobs_to_forget(self, limit: int) -> list[Job]:
        """Ended jobs whose failed pictures' bytes have been kept long enough."""
        ...

    def forgot_job(self, job_id: str) -> None:
        """The bytes are gone: it is no job to forget any more."""
        ...
