"""What is seen of every request: its numbers, one line in the log, and its ids with every other line."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.metrics import Metrics
from service.usecases.classify import Classified
from service.usecases.log_context import log_ids

logger = logging.getLogger("holotype.access")

NO_ROUTE = "none"
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""A job's or selection's id: nothing else of a path is in a line, whatever somebody puts there."""
QUIET = frozenset({"/livez", "/readyz", "/metrics"})
"""Asked every few seconds by machines: their lines are for level DEBUG."""


class Observing:
    """Counts and logs requests. Plain ASGI: streams pass. Query strings, headers and bodies are in no line."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state: dict[str, Any] = scope.setdefault("state", {})
        status = 500  # what an exception that nobody handles becomes further out
        began = time.perf_counter()

        async def with_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _note_job(state, message)
            await send(message)

        with log_ids(state), self._metrics.in_flight.track_inprogress():
            try:
                await self.app(scope, receive, with_status)
            finally:
                self._ended(scope, state, status, time.perf_counter() - began)

    def _ended(self, scope: Scope, state: dict[str, Any], status: int, seconds: float) -> None:
        route = route_of(scope)
        self._metrics.requested(route, scope["method"], status, seconds)
        for outcome, pictures in state.get("classified", {}).items():
            self._metrics.classified(outcome, pictures)
        for name in ("job", "selection"):
            if ID.fullmatch(given := scope.get("path_params", {}).get(name, "")):
                state.setdefault(name, given)
        told = {"method": scope["method"], "route": route, "status": status, "duration_ms": round(seconds * 1000, 1)}
        level = logging.DEBUG if route in QUIET else logging.INFO
        logger.log(level, "%(method)s %(route)s %(status)d %(duration_ms).1f ms", told, extra={"told": told})


def route_of(scope: Scope) -> str:
    """The template of the route that answered, "none" where nothing did."""
    return str(getattr(scope.get("route"), "path", None) or NO_ROUTE)


def _note_job(state: dict[str, Any], response: Message) -> None:
    """A job that the request started is where the answer points."""
    for name, value in response.get("headers", ()):
        job = value.decode("latin-1").removeprefix("/v1/jobs/")
        if name.lower() == b"location" and ID.fullmatch(job):
            state["job"] = job


def note_answers(request: Request, answers: Iterable[Classified]) -> None:
    """Remember what was answered, for the numbers, and through which selection, for the log."""
    counts = {"labelled": 0, "rejected": 0, "unusable": 0}
    for one in answers:
        counts["unusable" if one.prediction is None else "rejected" if one.rejected is not None else "labelled"] += 1
        if one.selection is not None:
            request.state.selection = one.selection
    request.state.classified = counts
