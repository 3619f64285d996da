"""A clock in the maintenance worker: it sends itself a Sweep, now and every so many seconds.

A step of Celery's own worker, on the worker's timer, instead of a beat process more or a thread that forks would copy.
"""

from __future__ import annotations

import logging
from typing import Any

from celery import bootsteps
from kombu.exceptions import OperationalError

from service.ports import Sweep

logger = logging.getLogger(__name__)

FIRST_SWEEP_S = 1.0


def sweep_every(interval_s: float) -> type:
    """A worker step that sends a Sweep every `interval_s` seconds."""

    class SweepClock(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
        requires = {"celery.worker.components:Timer"}  # noqa: RUF012 -- Celery reads it from the class

        def __init__(self, worker: Any, **options: Any) -> None:  # noqa: ANN401, ARG002
            self.entries: list[Any] = []

        def start(self, worker: Any) -> None:  # noqa: ANN401
            first = min(FIRST_SWEEP_S, interval_s)
            self.entries = [
                worker.timer.call_after(first, send_sweep, (worker.app, interval_s)),
                worker.timer.call_repeatedly(interval_s, send_sweep, (worker.app, interval_s)),
            ]

        def stop(self, worker: Any) -> None:  # noqa: ANN401, ARG002
            for entry in self.entries:
                entry.cancel()

    return SweepClock


def send_sweep(app: Any, interval_s: float) -> None:  # noqa: ANN401 -- a Celery application
    """Send one; it expires with the next one, so that they do not pile up behind long work."""
    try:
        app.send_task(Sweep.__name__, expires=interval_s, retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("no sweep this time, the queue does not answer: %s", error)
