"""Processes of a fault run: started in sessions of their own, killed, stopped, found when they outlive their parent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
NICE = 5
# On Linux the kernel ends a child whose parent was killed; elsewhere nothing does.
DIE_WITH_PARENT = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class GaveUp(Exception):
    """What was waited for did not come: a sentence."""


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = 120.0) -> None:
    """Poll until the condition holds. Raises GaveUp."""
    give_up = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > give_up:
            raise GaveUp(f"waited {timeout_s:.0f} s in vain until {what}")
        time.sleep(0.05)


def free_port() -> int:
    """A TCP port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Does somebody?"""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@dataclass(slots=True)
class Processes:
    """The running ones by name, their logs in `folder`, and every session that was ever begun."""

    folder: Path
    running: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    sessions: dict[int, str] = field(default_factory=dict)

    def start(
        self, name: str, command: Sequence[str], env: Mapping[str, str], *, cwd: Path = ROOT, answers: bool = False
    ) -> subprocess.Popen[str]:
        """A process that dies with this one. With `answers` its standard output is left to whoever asked for it."""
        with (self.folder / f"{name}.log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-S", "-c", DIE_WITH_PARENT, *command],
                env={**os.environ, **env},
                cwd=cwd,
                text=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if answers else log,
                stderr=log,
                start_new_session=True,
            )
        self.running[name] = process
        self.sessions[process.pid] = name
        return process

    def kill(self, name: str, *, parent_only: bool = False) -> None:
        """SIGKILL, for its children too unless they are to be left behind; no matter if it has ended."""
        process = self.running.pop(name)
        with suppress(ProcessLookupError):
            if parent_only:
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()

    def signal(self, name: str, number: int) -> None:
        """A signal for the process and its children."""
        with suppress(ProcessLookupError):
            os.killpg(self.running[name].pid, number)

    def children(self, name: str) -> list[int]:
        """Process ids of its children."""
        return [pid for pid, (parent, _, _) in _table().items() if parent == self.running[name].pid]

    def ended(self) -> list[str]:
        """Names of those that nobody killed and that run no more."""
        return [name for name, process in self.running.items() if process.poll() is not None]

    def left_behind(self) -> list[str]:
        """Processes of sessions whose first process is gone: nobody ends them any more."""
        leaders = {process.pid for process in self.running.values()}
        return [f"process {pid} of {self.sessions[sid]}" for pid, sid in self._own() if sid not in leaders]

    def end_all(self) -> None:
        """SIGKILL for everything that was ever started here and still runs."""
        for name in list(self.running):
            self.signal(name, signal.SIGCONT)
            self.kill(name)
        for pid, _ in self._own():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _own(self) -> list[tuple[int, int]]:
        """Process id and session of what was started here and lives.

        Numbers are used again once nothing has them: a session that is empty is forgotten, and one whose first process
        lives and is none of ours is somebody else's.
        """
        table = _table()
        leaders = {process.pid for process in self.running.values()}
        alive = {pid: session for pid, (_, session, state) in table.items() if state != "Z"}
        there = set(alive.values())
        gone = [one for one in self.sessions if one not in leaders and (one not in there or one in alive)]
        for session in gone:
            del self.sessions[session]
        return [(pid, session) for pid, session in alive.items() if session in self.sessions]


def _table() -> dict[int, tuple[int, int, str]]:
    """Parent, session and state of every process."""
    command = ["ps", "-A", "-o", "pid=,ppid=,sid=,state="]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in found.splitlines()]
    return {int(pid): (int(parent), int(session), state[0]) for pid, parent, session, state in rows}
