"""Waiting for a job: its events while they flow, else asking every now and then."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from service.client.events import EventReader
from service.client.models.jobs import Job
from service.client.problems import ApiProblem
from service.client.retrying import Retrying
from service.client.routes import jobs
from service.client.steps import Close, Flow, Read, Sleep, ask, opened
from service.errors import HolotypeError, JobFailed, Unavailable

OnProgress = Callable[[str, int, int], None]
"""Called with the stage, what of it is done, and all of it, whenever one of them changed."""

ONCE = Retrying(attempts=1)
"""Events that cannot be had are not insisted on: asking is the contract."""


@dataclass(slots=True)
class Watch:
    """What is known of a job while it is waited for."""

    on_progress: OnProgress
    shown: tuple[str, int, int] | None = None
    last_event: str | None = None
    reader: EventReader = field(default_factory=EventReader)

    def saw(self, stage: str, done: int, total: int) -> None:
        """Tell progress where there is some."""
        progress = (stage, done, total)
        if progress != self.shown:
            self.shown = progress
            self.on_progress(*progress)


def wait(job_id: str, retrying: Retrying, on_progress: OnProgress, poll_s: float) -> Flow[Job]:
    """The job once it is done.

    Raises:
        JobFailed: it failed or was cancelled.
        NotFound: there is no such job.
        Unavailable: the server did not answer for minutes (`Retrying.patient`); the job itself goes on.
    """
    watch = Watch(on_progress)
    while True:
        job = yield from _asked(job_id, retrying.patient())
        watch.saw(job.stage, job.done, job.total)
        if job.finished:
            return _done(job)
        flowed = yield from _follow(job_id, watch)
        if not flowed:
            yield Sleep(poll_s)


def _asked(job_id: str, retrying: Retrying) -> Flow[Job]:
    """The job, over a restart of the server."""
    try:
        return (yield from ask(jobs.show_job(job_id), retrying))
    except Unavailable as error:
        error.message += f"; job {job_id} goes on by itself: wait for it again (`holotype job follow {job_id}`)"
        error.args = (error.message,)
        error.details["job"] = job_id
        raise


def _done(job: Job) -> Job:
    if job.state == "failed":
        raise JobFailed(f"the {job.kind} job failed: {job.error}", job=job.id, error=job.error)
    if job.state == "cancelled":
        done = f"{job.done} of {job.total}"
        raise JobFailed(f"the {job.kind} job was cancelled; done were {done}", job=job.id, error=job.error)
    return job


def _follow(job_id: str, watch: Watch) -> Flow[bool]:
    """Tell progress by the job's events until they end; False when there were none to be had."""
    try:
        response = yield from opened(jobs.job_events(job_id, watch.last_event), ONCE)
    except (ApiProblem, Unavailable):
        return False
    seen = False
    watch.reader = EventReader()
    try:
        while chunk := (yield Read(response)):
            for event in watch.reader.feed(chunk):
                seen = True
                watch.last_event = event.id
                _tell(event.data, watch)
    except httpx.TransportError:
        return seen
    yield Close(response)
    return seen


def _tell(data: str, watch: Watch) -> None:
    """An event's data is the job, or of no concern here."""
    try:
        value = json.loads(data)
        watch.saw(str(value["stage"]), int(value["done"]), int(value["total"]))
    except (ValueError, KeyError, TypeError, HolotypeError):
        return
