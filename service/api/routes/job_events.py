"""Following a job: server-sent events, an event a change.

The registry is looked at, not the process that works: so any process can serve the stream, and go on with one that
another began. An event's id holds a number that grows and a digest of what was told: who comes back with it as
`Last-Event-ID` is not told the same again.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import AsyncIterator
from typing import Annotated

import anyio
from fastapi import Depends, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from service.api.access import ContextOf, Reader, scoped_router
from service.api.routes.jobs import JobBody, JobId, job_body
from service.errors import NotFound, Unavailable
from service.records import FINAL_STATES, Job
from service.usecases import jobs
from service.usecases.context import Context

logger = logging.getLogger(__name__)

router = scoped_router("jobs")

POLL_S = 0.5
"""Between two looks at the registry, of each stream."""

OUTAGE_S = 30.0
"""A registry that is silent for longer ends the stream; the client comes back by itself."""

LastEventId = Annotated[
    str | None, Header(max_length=200, description="Id of the last event that was seen: the stream goes on behind it.")
]


def followed(job_id: JobId, who: Reader, context: ContextOf) -> Job:
    """The tenant's job, before a stream is begun. Raises NotFound."""
    return jobs.tenant_job(context, who.tenant, job_id)


EXAMPLE = 'event: progress\ndata: {"id":"...","state":"running","done":40,...}\nid: 1767225600000-a36f9330\n\n'


@router.get(
    "/jobs/{job}/events",
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {"example": EXAMPLE}}}},
)
async def follow_job(
    job: Annotated[Job, Depends(followed)], context: ContextOf, last_event_id: LastEventId = None
) -> AsyncIterator[ServerSentEvent]:
    """Progress of a job as server-sent events: `progress` upon each change; `finished`, at its end, is the last.

    The data of both is the job. A comment comes every 15 seconds in which nothing changes.
    """
    feed = Feed(last_event_id)
    silent_s = 0.0
    while True:
        try:
            told = await run_in_threadpool(feed.look, context, job.id)
        except NotFound:  # it was deleted, with its catalogue
            return
        except Unavailable as error:
            silent_s += POLL_S
            if silent_s > OUTAGE_S:
                logger.warning("the events of job %s end: %s", job.id, error)
                return
        else:
            silent_s = 0.0
            if told is not None:
                yield told
            if feed.ended:
                return
        await anyio.sleep(POLL_S)


class Feed:
    """What one client was told of one job."""

    def __init__(self, last_event_id: str | None) -> None:
        self._number, self._digest = _parsed(last_event_id)
        self._row: Job | None = None
        self.ended = False

    def look(self, context: Context, job_id: str) -> ServerSentEvent | None:
        """The event that is due; None when nothing has changed. Raises NotFound, Unavailable."""
        row = context.registry.job(job_id)
        if row == self._row:
            return None
        body = job_body(context, row)
        self._row = row
        self.ended = row.state in FINAL_STATES
        digest = _digest(body)
        if digest == self._digest:
            return None
        self._digest = digest
        self._number = max(self._number + 1, int(context.clock() * 1000))
        event = "finished" if self.ended else "progress"
        return ServerSentEvent(data=body, event=event, id=f"{self._number}-{digest}")


def _digest(body: JobBody) -> str:
    """Of what is told, without what changes by itself as time goes by."""
    told = body.model_dump(mode="json", exclude={"images_per_s", "eta_s"})
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _parsed(last_event_id: str | None) -> tuple[int, str]:
    """Number and digest of an id of ours; of anything else, a beginning."""
    number, _, digest = (last_event_id or "").partition("-")
    if number.isascii() and number.isdigit() and len(number) <= 15:
        return int(number), digest
    return 0, ""
