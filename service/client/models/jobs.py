"""Jobs, their pictures, and who is told of them."""

from __future__ import annotations

from typing import Any

from service.client.models.base import Answer

FINAL = frozenset({"done", "failed", "cancelled"})


class Job(Answer):
    """A unit of work. Times are seconds since 1970.

    Attributes:
        kind: "ingest", "optimise" or "classify".
        state: "opening", "queued", "running", "paused", "done", "failed" or "cancelled".
        stage: what it is at; `done` of `total` are steps of it.
        counts: its pictures by state.
        images_per_s: None while unknown, as is `eta_s`.
        result: what came of it, once it is done.
        error: why it failed, a sentence.
        links: paths of the job, its items, events and results.
    """

    id: str
    kind: str
    catalogue: str
    state: str
    stage: str
    done: int
    total: int
    counts: dict[str, int]
    images_per_s: float | None
    eta_s: float | None
    created_at: float
    started_at: float | None
    finished_at: float | None
    result: dict[str, Any] | None
    error: str | None
    links: dict[str, str | None]

    @property
    def finished(self) -> bool:
        """Will it never change again?"""
        return self.state in FINAL


class Item(Answer):
    """A picture of a job, with what became of it."""

    id: int
    source: str
    label: str
    state: str
    reason: str | None
    example: str | None
    crop: str = ""
    metadata: dict[str, str]


class Webhook(Answer):
    """Where ends of jobs are told. `secret`, which signs the messages, is in the answer that makes it alone."""

    id: str
    url: str
    events: list[str]
    created_at: float
    secret: str | None = None


class Delivery(Answer):
    """A message to a webhook: "waiting" for its next attempt, "delivered" or "given_up". Times: seconds since 1970."""

    id: str
    event: str
    job: str
    state: str
    attempts: int
    next_at: float | None
    delivered_at: float | None
    error: str | None
    created_at: float
    payload: dict[str, Any]
