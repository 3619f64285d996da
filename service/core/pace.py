"""How fast a job works, measured over the time in which it did: neither waiting at the start nor pauses count.

A running job's rate is a recent one: from a mark that is `MARK_S` to twice that old (younger only at the beginning)
until now. A job at rest has the rate of all its working time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

MARK_S = 15.0

Mark = tuple[float, int]
"""A time, seconds since 1970, and how much was done then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What is kept of a job's working time.

    Attributes:
        before: what was done before it began to work, such as pictures that could not be read.
        worked_s: seconds of work before the latest rest.
        since: when it began to work (again); None while it rests.
        marks: one or two, the older first, of the time since then.
    """

    before: int = 0
    worked_s: float = 0.0
    since: float | None = None
    marks: tuple[Mark, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON-serialisable form."""
        return {
            "before": self.before,
            "worked_s": self.worked_s,
            "since": self.since,
            "marks": [list(mark) for mark in self.marks],
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any] | None) -> Pace | None:
        """What `as_dict` gave; None for None."""
        if values is None:
            return None
        marks = tuple((float(at), int(done)) for at, done in values["marks"])
        return Pace(before=values["before"], worked_s=values["worked_s"], since=values["since"], marks=marks)


def begun(pace: Pace | None, now: float, done: int) -> Pace:
    """It works from now on; a job that works already goes on."""
    if pace is None:
        return Pace(before=done, since=now, marks=((now, done),))
    return pace if pace.since is not None else replace(pace, since=now, marks=((now, done),))


def counted(pace: Pace | None, now: float, done: int) -> Pace | None:
    """More is done. The same object when nothing needs to be kept."""
    if pace is None or pace.since is None or now - pace.marks[-1][0] < MARK_S:
        return pace
    return replace(pace, marks=(pace.marks[-1], (now, done)))


def rested(pace: Pace | None, now: float) -> Pace | None:
    """It rests: paused, or ended."""
    if pace is None or pace.since is None:
        return pace
    return replace(pace, worked_s=pace.worked_s + max(0.0, now - pace.since), since=None, marks=())


def rate(pace: Pace | None, done: int, now: float) -> float | None:
    """How much a second, None while that is unknown: nothing done yet, or no time passed."""
    if pace is None:
        return None
    at, before = (0.0, pace.before) if pace.since is None else pace.marks[0]
    seconds = pace.worked_s if pace.since is None else now - at
    return (done - before) / seconds if done > before and seconds > 0 else None
