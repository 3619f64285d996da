"""A `holotype serve` of a benchmark's own, and what has to be done over HTTP before it can be measured."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from scripts.bench.pictures import cache_folder

START_S = 300.0
"""The packaged encoder's weights may have to be fetched first."""
STOP_S = 60.0
BATCH = 400
FINAL = {"done", "failed", "cancelled"}


@dataclass(frozen=True)
class Server:
    """Where it is, and the key to it."""

    url: str
    key: str

    def client(self) -> httpx.Client:
        """A client with the key."""
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.key}"}, timeout=120)


@contextmanager
def served(data_dir: Path, encoder: str) -> Iterator[Server]:
    """The server on a free port, in a process of its own, until the end of the block."""
    data_dir.mkdir(parents=True)
    (data_dir / "encoders").symlink_to(_weights(), target_is_directory=True)  # made once for all benchmarks
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOLOTYPE_")}
    environment |= {"HOLOTYPE_ENCODER": encoder, "HOLOTYPE_LOG_LEVEL": "WARNING"}
    command = [sys.executable, "-m", "service.cli.main", "serve", "--json", "--port", "0", "--data-dir", str(data_dir)]
    log = data_dir / "bench.log"
    with log.open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)
    try:
        ready = _first_value(process, log)
        yield Server(ready["url"], ready["admin_key"])
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _weights() -> Path:
    folder = cache_folder() / "encoders"
    folder.mkdir(exist_ok=True)
    return folder


def _first_value(process: subprocess.Popen[str], log: Path) -> dict:
    """The JSON value that is printed once the server answers."""
    text, until = "", time.monotonic() + START_S
    while time.monotonic() < until and process.stdout is not None and (line := process.stdout.readline()):
        text += line
        try:
            return json.loads(text)
        except ValueError:
            continue
    raise RuntimeError(f"the server did not start: {text}{log.read_text()}")


def ingest(client: httpx.Client, catalogue: str, pictures: Mapping[str, bytes]) -> str:
    """Hand pictures over by label/name; the id of the job, which works from now on."""
    told = client.post("/v1/catalogues", json={"name": catalogue})
    if told.status_code not in (201, 409):
        told.raise_for_status()
    parts = [("pictures", (name, data, "image/png")) for name, data in pictures.items()]
    batches = [parts[start : start + BATCH] for start in range(0, len(parts), BATCH)]
    answer = client.post(f"/v1/catalogues/{catalogue}/ingests", files=batches[0], data={"open": "true"})
    job = checked(answer)["id"]
    for batch in batches[1:]:
        checked(client.post(f"/v1/jobs/{job}/pictures", files=batch))
    checked(client.post(f"/v1/jobs/{job}:seal"))
    return job


def optimise(client: httpx.Client, catalogue: str, trials: int) -> None:
    """Let a selection serve."""
    finish(client, checked(client.post(f"/v1/catalogues/{catalogue}:optimise", json={"trials": trials}))["id"])


def finish(client: httpx.Client, job: str) -> dict:
    """Wait for a job. Raises RuntimeError when it failed."""
    while (shown := checked(client.get(f"/v1/jobs/{job}")))["state"] not in FINAL:
        time.sleep(0.2)
    if shown["state"] != "done":
        raise RuntimeError(f"the job ended {shown['state']}: {shown['error']}")
    return shown


def cancel(client: httpx.Client, job: str) -> None:
    """End a job that was only to be there, and wait until nothing of it is being worked on."""
    client.post(f"/v1/jobs/{job}:cancel")
    while checked(client.get(f"/v1/jobs/{job}"))["state"] not in FINAL:
        time.sleep(0.2)
    time.sleep(1.0)


def checked(answer: httpx.Response) -> dict:
    """The JSON of an answer. Raises RuntimeError with what the server said where it refused."""
    if answer.is_error:
        raise RuntimeError(f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text}")
    return answer.json()
