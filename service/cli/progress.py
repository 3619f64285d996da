"""Progress of long work on standard error: a bar with ETA for each stage, or plain lines where no terminal is."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from rich import progress as bars_of
from rich.console import Console
from rich.progress import Progress, TaskID

from service.cli.output import error_console

OnProgress = Callable[[str, int, int], None]

SECONDS_BETWEEN_LINES = 5.0


@contextlib.contextmanager
def stages(console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> Iterator[OnProgress]:
    """A function to call with (stage, done, total); a new stage's name opens a new bar, total 0 means unknown."""
    console = console or error_console()
    if not console.is_terminal:
        yield StageLines(console, clock)
        return
    columns = (
        bars_of.TextColumn("{task.description:<12}", markup=False),
        bars_of.BarColumn(),
        bars_of.MofNCompleteColumn(),
        bars_of.TimeElapsedColumn(),
        bars_of.TextColumn("left"),
        bars_of.TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        yield StageBars(bars)


class StageBars:
    """One bar a stage; earlier stages stay on the screen, full."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._stage = ""
        self._task: TaskID | None = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage != self._stage or self._task is None:
            self._close()
            self._stage = stage
            self._task = self._bars.add_task(stage or "waiting", total=total or None)
        self._bars.update(self._task, completed=done, total=total or None)

    def _close(self) -> None:
        if self._task is None:
            return
        known = next(task for task in self._bars.tasks if task.id == self._task)
        reached = known.total if known.total is not None else max(known.completed, 1)
        self._bars.update(self._task, completed=reached, total=reached)


class StageLines:
    """A line at a stage's begin and end, and every few seconds between."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._stage: str | None = None
        self._began = 0.0
        self._first_done = 0
        self._said = 0.0
        self._last: tuple[int, int] | None = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = self._clock()
        if stage != self._stage:
            self._stage, self._began, self._first_done, self._last = stage, now, done, None
        finished = total > 0 and done >= total
        due = self._last is None or finished or now - self._said >= SECONDS_BETWEEN_LINES
        if due and (done, total) != self._last:
            self._said, self._last = now, (done, total)
            self._console.print(self._line(done, total, now), markup=False, highlight=False, soft_wrap=True)

    def _line(self, done: int, total: int, now: float) -> str:
        stage = self._stage or "waiting"
        if total <= 0:
            return f"{stage}: {done}"
        line = f"{stage}: {done} of {total}"
        advanced = done - self._first_done
        if advanced > 0 and done < total:
            line += f", about {(now - self._began) / advanced * (total - done):.0f} s left"
        return line
