"""Progress with and without a terminal."""

import io

from rich.console import Console

from service.cli.progress import StageLines, stages


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def lines_of(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_lines_come_at_the_beginning_the_end_and_every_few_seconds() -> None:
    clock, console = Clock(), Console(file=io.StringIO(), width=80)
    say = StageLines(console, clock)
    for done in (0, 1, 2, 10, 20):
        say("embed", done, 20)
        clock.now += 1.0
    assert lines_of(console) == ["embed: 0 of 20", "embed: 20 of 20"]


def test_the_time_left_follows_from_the_pace_so_far() -> None:
    clock, console = Clock(), Console(file=io.StringIO(), width=80)
    say = StageLines(console, clock)
    say("embed", 0, 40)
    clock.now += 10.0
    say("embed", 10, 40)
    assert lines_of(console)[-1] == "embed: 10 of 40, about 30 s left"


def test_every_stage_has_its_lines_and_unknown_totals_are_counts() -> None:
    clock, console = Clock(), Console(file=io.StringIO(), width=80)
    say = StageLines(console, clock)
    say("read", 3, 0)
    say("embed", 0, 2)
    say("embed", 2, 2)
    say("embed", 2, 2)
    assert lines_of(console) == ["read: 3", "embed: 0 of 2", "embed: 2 of 2"]


def test_a_terminal_gets_a_bar_a_stage() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with stages(console) as on_progress:
        on_progress("read", 1, 0)
        on_progress("embed", 1, 2)
        on_progress("embed", 2, 2)
    assert isinstance(console.file, io.StringIO)
    drawn = console.file.getvalue()
    assert "read" in drawn
    assert "embed" in drawn
    assert "2/2" in drawn


def test_a_pipe_gets_lines() -> None:
    console = Console(file=io.StringIO(), width=100)
    with stages(console) as on_progress:
        on_progress("embed", 2, 2)
    assert lines_of(console) == ["embed: 2 of 2"]
