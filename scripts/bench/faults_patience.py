"""When waiting is given up: not after some minutes by the clock, but when nothing at all has moved for so long.

On a machine that others keep busy everything takes longer, and nothing is lost by that. What has moved is what the
records have never said before: a job's state, stage or count. Jobs are few and their stages are too, so a job that is
begun over and over moves nothing, and whoever waits for what never comes gives up.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from scripts.bench.faults_processes import GaveUp
from service.errors import HolotypeError
from service.records import JobState
from service.usecases.context import Context

LOOK_S = 1.0
STILL_S = 600.0
"""Of a system in which an operation is not done, and nothing else moves either."""
MOST_S = 3600.0
"""Of any wait: a command that fails again and again makes a job each time."""
START_S = 300.0
"""Of a process that starts, and is not given a second of processor time."""


def _now() -> float:
    return time.monotonic()


@dataclass(slots=True)
class Progress:
    """What the jobs of some tenants were ever seen at; safe to ask from several threads."""

    context: Context
    tenants: list[str]
    _seen: set[tuple[object, ...]] = field(default_factory=set)
    _moved: float = field(default_factory=_now)
    _looked: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def moved_at(self) -> float:
        """By the monotonic clock, when something was seen that was never seen before."""
        with self._lock:
            now = time.monotonic()
            if now - self._looked > LOOK_S:
                self._looked = now
                before = len(self._seen)
                self._seen.update(self._states())
                if len(self._seen) > before:
                    self._moved = now
            return self._moved

    def _states(self) -> list[tuple[object, ...]]:
        registry = self.context.registry
        try:
            catalogues = [one for tenant in self.tenants for one in registry.catalogues(tenant)]
            jobs = [job for one in catalogues for job in registry.jobs(list(JobState), one.id)]
        except HolotypeError:  # the database is down: nothing moves
            return []
        return [(job.id, job.state, job.stage, job.done, job.total) for job in jobs]


@dataclass(slots=True)
class Patience:
    """Of one who waits from now on: it is over `still_s` after the last that moved."""

    moved_at: Callable[[], float]
    still_s: float = STILL_S
    _began: float = field(default_factory=_now)
    _since: float = field(default_factory=_now)

    @property
    def over(self) -> bool:
        """Has nothing moved for so long?"""
        now = time.monotonic()
        still = now - max(self._since, self.moved_at()) > self.still_s
        return still or now - self._began > MOST_S

    def renew(self) -> None:
        """Something moved that only the waiting one sees."""
        self._since = time.monotonic()


def wait_for_start(ready: Callable[[], object], pid: int, what: str, still_s: float = START_S) -> None:
    """Poll until it is ready. Raises GaveUp when process `pid` had no second of processor time for `still_s`."""
    used, patience = processor_s(pid), Patience(lambda: 0.0, still_s)
    while not ready():
        now = processor_s(pid)
        if now >= used + 1:
            used = now
            patience.renew()
        if patience.over:
            raise GaveUp(f"waited in vain until {what}: its process did nothing for {still_s:.0f} s")
        time.sleep(0.05)


def processor_s(pid: int) -> float:
    """Seconds of processor time that a process has used; 0 where it is gone or the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
