"""States, pages, retries and fair claims of jobs, and webhooks, of the registry in dictionaries."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from service.core.pace import Pace, begun, rested
from service.errors import NotFound, QuotaExceeded, WrongState
from service.records import (
    FINAL_STATES,
    KINDS_OF_ITEMS,
    Chunk,
    Delivery,
    Item,
    ItemState,
    Job,
    JobKind,
    JobState,
    NewItem,
    Webhook,
)
from service.usecases.job_view import job_view
from tests.fake_jobs import FakeJobs, JobRow, locked

NOT_DONE = (ItemState.FAILED, ItemState.CANCELLED, ItemState.PENDING)
RESTS = (JobState.QUEUED, JobState.RUNNING, JobState.PAUSED)


class FakeWebhooks(FakeJobs):
    def __init__(self, clock) -> None:
        super().__init__(clock)
        self.webhook_rows: dict[str, Webhook] = {}
        self.delivery_rows: dict[str, Delivery] = {}
        self.served: dict[str, float] = {}

    @locked
    def add_webhook(self, webhook: Webhook, most: int) -> None:
        self.tenant(webhook.tenant)
        if len(self.webhooks(webhook.tenant)) >= most:
            raise QuotaExceeded(f"a tenant has at most {most} webhooks: delete one")
        self.webhook_rows[webhook.id] = webhook

    @locked
    def webhook(self, webhook_id: str) -> Webhook:
        if webhook_id not in self.webhook_rows:
            raise NotFound(f"there is no webhook {webhook_id!r}")
        return self.webhook_rows[webhook_id]

    @locked
    def webhooks(self, tenant: str) -> list[Webhook]:
        return [one for one in self.webhook_rows.values() if one.tenant == tenant]

    @locked
    def delete_webhook(self, webhook_id: str) -> None:
        self.webhook(webhook_id)
        del self.webhook_rows[webhook_id]
        self.delivery_rows = {key: one for key, one in self.delivery_rows.items() if one.webhook_id != webhook_id}

    @locked
    def add_delivery(self, webhook_id: str, job_id: str, event: str, payload: Mapping[str, Any]) -> Delivery:
        made = Delivery(
            id=f"msg_{uuid.uuid4().hex}",
            webhook_id=webhook_id,
            tenant=self.webhook(webhook_id).tenant,
            job_id=job_id,
            event=event,
            payload=payload,
            attempt=0,
            next_at=self.clock(),
            delivered_at=None,
            error=None,
            created_at=self.clock(),
        )
        self.delivery_rows[made.id] = made
        return made

    @locked
    def delivery(self, delivery_id: str) -> Delivery:
        if delivery_id not in self.delivery_rows:
            raise NotFound(f"there is no delivery {delivery_id!r}")
        return self.delivery_rows[delivery_id]

    @locked
    def deliveries(self, webhook_id: str, *, before: int | None = None, limit: int) -> list[tuple[int, Delivery]]:
        numbered = list(enumerate(self.delivery_rows.values(), start=1))
        found = [(n, one) for n, one in reversed(numbered) if one.webhook_id == webhook_id]
        return [(n, one) for n, one in found if before is None or n < before][:limit]

    @locked
    def due_deliveries(self, limit: int) -> list[str]:
        due = [one for one in self.delivery_rows.values() if one.next_at is not None and one.next_at <= self.clock()]
        return [one.id for one in sorted(due, key=lambda one: one.next_at)][:limit]

    @locked
    def claim_delivery(self, delivery_id: str, lease_seconds: float) -> Delivery | None:
        known = self.delivery_rows.get(delivery_id)
        if known is None or known.next_at is None or known.next_at > self.clock():
            return None
        claimed = replace(known, attempt=known.attempt + 1, next_at=self.clock() + lease_seconds)
        self.delivery_rows[delivery_id] = claimed
        return claimed

    @locked
    def settle_delivery(self, delivery: Delivery, error: str | None, next_at: float | None) -> None:
        known = self.delivery_rows.get(delivery.id)
        if known is not None and known.attempt == delivery.attempt:
            done = self.clock() if error is None else None
            next_at = None if error is None else next_at
            self.delivery_rows[delivery.id] = replace(known, error=error, next_at=next_at, delivered_at=done)

    @locked
    def forget_deliveries(self, before: float) -> int:
        old = [one.id for one in self.delivery_rows.values() if one.next_at is None and one.created_at < before]
        for delivery_id in old:
            del self.delivery_rows[delivery_id]
        return len(old)


class FakeControl(FakeWebhooks):
    @locked
    def set_progress(self, job_id: str, stage: str, done: int, total: int) -> bool:
        row = self._row(job_id)
        if row.job.state in (*FINAL_STATES, JobState.PAUSED) or row.job.cancelled_at is not None:
            return False
        row.job = replace(row.job, stage=stage, done=done, total=total)
        if row.job.state is not JobState.OPENING or row.job.kind not in KINDS_OF_ITEMS:
            self._run(row)
        return True

    @locked
    def finish_job(self, job_id: str, result: Mapping[str, Any] | None, error: str | None = None) -> tuple[str, ...]:
        row = self._row(job_id)
        if row.job.state in FINAL_STATES:
            return ()
        state = JobState.DONE if error is None else JobState.FAILED
        published = row.job.kind not in KINDS_OF_ITEMS and result is not None and error is None
        if row.job.cancelled_at is not None and not published:
            state = JobState.CANCELLED
        if state is JobState.CANCELLED:
            in_a_chunk = {item_id for chunk in row.chunks.values() for item_id in chunk.item_ids}
            for item in [one for one in row.items if one.state is ItemState.PENDING and one.id not in in_a_chunk]:
                self._change(row, item.id, state=ItemState.CANCELLED)
        forget_at = self.clock() + 24 * 3600 if row.job.kind in KINDS_OF_ITEMS else None
        self._rest(row, state)
        row.job = replace(row.job, result=result, error=error, finished_at=self.clock(), forget_at=forget_at)
        return self._tell(job_id, f"job.{state.value}")

    @locked
    def pause_job(self, job_id: str) -> Job:
        row = self._in(job_id, RESTS)
        if row.job.state is not JobState.PAUSED:
            self._rest(row, JobState.PAUSED)
        return self.job(job_id)

    @locked
    def resume_job(self, job_id: str) -> Job:
        row = self._in(job_id, RESTS)
        if row.job.state is JobState.PAUSED:
            row.job = replace(row.job, state=JobState.QUEUED)
        return self.job(job_id)

    @locked
    def cancel_job(self, job_id: str) -> Job:
        row = self._row(job_id)
        if row.job.state in (JobState.DONE, JobState.FAILED):
            raise WrongState(f"job {job_id} cannot be cancelled: it is {row.job.state} already")
        if row.job.state is not JobState.CANCELLED and row.job.cancelled_at is None:
            self._rest(row, JobState.RUNNING)
            row.job = replace(row.job, stage="cancelling", cancelled_at=self.clock())
        return self.job(job_id)

    @locked
    def cancel_chunks(self, job_id: str, most: int) -> bool:
        row = self._row(job_id)
        if row.job.cancelled_at is None or row.job.state in FINAL_STATES:
            return False
        idle = [one for one in row.chunks.values() if not one.settled and one.lease_until <= self.clock()][:most]
        for chunk in idle:
            chunk.settled, chunk.owner = True, None
        in_a_chunk = {item_id for chunk in row.chunks.values() for item_id in chunk.item_ids}
        ended = {item_id for chunk in idle for item_id in chunk.item_ids}
        waiting = [
            item.id
            for item in row.items
            if item.state is ItemState.PENDING and (item.id in ended or item.id not in in_a_chunk)
        ]
        for item_id in waiting:
            self._change(row, item_id, state=ItemState.CANCELLED)
        return bool(idle or waiting)

    @locked
    def retry_job(self, job_id: str, chunk_size: int) -> Job:
        row = self._row(job_id)
        if row.job.retried_as in self.job_rows:
            return self.job(row.job.retried_as)
        if row.job.kind not in KINDS_OF_ITEMS or row.job.state not in FINAL_STATES:
            raise WrongState(f"job {job_id} cannot be retried: it is {row.job.state}")
        in_a_chunk = {item_id for chunk in row.chunks.values() for item_id in chunk.item_ids}
        found = [one for one in row.items if one.state in NOT_DONE and (one.id in in_a_chunk or one.content_hash)]
        if not found:
            raise WrongState(f"job {job_id} cannot be retried: none of its pictures failed with its bytes at hand")
        origin = {"retry_of": job_id, "bytes_of": row.job.parameters.get("bytes_of", job_id)}
        catalogue = self.catalogue_by_id(row.job.catalogue_id)
        fresh = self.open_job(catalogue, row.job.kind, {**row.job.parameters, **origin})
        names = ("source", "content_hash", "crop", "label", "split", "metadata")
        self.add_items(fresh.id, [NewItem(**{name: getattr(one, name) for name in names}) for one in found])
        self.seal_job(fresh.id, chunk_size)
        row.job = replace(row.job, retried_as=fresh.id)
        return self.job(fresh.id)

    @locked
    def claim_next_chunk(self, owner: str, lease_seconds: float) -> Chunk | None:
        held = [(key, n) for key, row in self.job_rows.items() for n, one in row.chunks.items() if one.owner == owner]
        waiting = sorted(self.open_chunks(), key=lambda place: self.served.get(self.job_rows[place[0]].job.tenant, 0.0))
        for place in (*held, *waiting):
            chunk = self.claim_chunk(*place, owner, lease_seconds)
            if chunk is not None:
                self.served[self.job_rows[chunk.job_id].job.tenant] = self.clock()
                return chunk
        return None

    @locked
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
        numbered = list(enumerate((self.job(job_id) for job_id in self.job_rows), start=1))
        return [
            (number, job)
            for number, job in reversed(numbered)
            if job.tenant == tenant
            and (states is None or job.state in states)
            and kind in (None, job.kind)
            and catalogue_id in (None, job.catalogue_id)
            and (before is None or number < before)
        ][:limit]

    @locked
    def items_page(
        self, job_id: str, *, states: Sequence[ItemState] | None = None, after: int | None = None, limit: int
    ) -> list[Item]:
        return [one for one in self.items(job_id, states) if after is None or one.id > after][:limit]

    @locked
    def item_counts_of(self, job_ids: Sequence[str]) -> dict[str, dict[ItemState, int]]:
        return {job_id: dict(self.item_counts(job_id)) for job_id in job_ids}

    @locked
    def jobs_to_forget(self, limit: int) -> list[Job]:
        found = [row.job for row in self.job_rows.values()]
        return [one for one in found if one.forget_at is not None and one.forget_at <= self.clock()][:limit]

    @locked
    def forgot_job(self, job_id: str) -> None:
        row = self._row(job_id)
        row.job = replace(row.job, forget_at=None)

    def _in(self, job_id: str, states: Sequence[JobState]) -> JobRow:
        row = self._row(job_id)
        if row.job.state not in states or row.job.cancelled_at is not None:
            raise WrongState(f"job {job_id} is {row.job.state}", job=job_id)
        return row

    def _run(self, row: JobRow) -> None:
        now, done = self.clock(), sum(item.state is not ItemState.PENDING for item in row.items)
        pace = begun(Pace.from_dict(row.job.pace), now, done).as_dict()
        started_at = now if row.job.started_at is None else row.job.started_at
        row.job = replace(row.job, state=JobState.RUNNING, started_at=started_at, pace=pace)

    def _rest(self, row: JobRow, state: JobState) -> None:
        pace = rested(Pace.from_dict(row.job.pace), self.clock())
        row.job = replace(row.job, state=state, pace=None if pace is None else pace.as_dict())

    def _tell(self, job_id: str, event: str) -> tuple[str, ...]:
        job = self.job(job_id)
        wanted = [one.id for one in self.webhooks(job.tenant) if event in one.events]
        name = self.catalogue_by_id(job.catalogue_id).name
        payload = job_view(job, name, self.item_counts(job_id), self.clock())
        return tuple(self.add_delivery(webhook_id, job_id, event, payload).id for webhook_id in wanted)
