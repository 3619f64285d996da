"""The faults: what goes wrong, for how long, and what mends it. Each is a begin and an end around some seconds."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import redis

from scripts.bench.faults_load import Load
from scripts.bench.faults_machine import BLOBS_MB, WORKERS, Machine

CLOCK_S = 20.0
DISK = "full"
QUEUES = ("embed", "optimise", "maintenance")


@dataclass(slots=True)
class Scene:
    """What a fault has to work with."""

    machine: Machine
    load: Load
    rng: random.Random


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault.

    Attributes:
        name: what tables call it.
        strike: does it, mends it, and returns; what it says is the detail of the table, None where it found nothing.
        needs: the operation that has to be at work for it to mean anything.
    """

    name: str
    strike: Callable[[Scene], str | None]
    needs: str = "ingest"


def _killed(name: str, *, parent_only: bool = False) -> Callable[[Scene], str]:
    """`kill -9` for a part with its children, or leaving them behind; started again after a moment."""

    def strike(scene: Scene) -> str:
        scene.machine.processes.kill(name, parent_only=parent_only)
        time.sleep(scene.rng.uniform(0.0, 1.5))
        scene.machine.start(name)
        return name

    return strike


def _kill_child(scene: Scene) -> str | None:
    name = scene.rng.choice(["embed-1", "embed-2"])
    children = scene.machine.processes.children(name)
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    return f"{len(children)} of {name}" if children else None


def _kill_any_embed(scene: Scene) -> str:
    name = scene.rng.choice(["embed-1", "embed-2"])
    return _killed(name, parent_only=scene.rng.random() < 0.3)(scene)


def _kill_all_workers(scene: Scene) -> str:
    for name in WORKERS:
        scene.machine.processes.kill(name)
    for name in WORKERS:
        scene.machine.start(name)
    return "all four"


def _kill_producer(scene: Scene) -> str | None:
    """The command itself, while it reads or waits."""
    give_up = time.monotonic() + 20
    while not scene.load.producers:
        if time.monotonic() > give_up:
            return None
        time.sleep(0.05)
    time.sleep(scene.rng.uniform(0.3, 4.0))
    for name in list(scene.load.producers):
        if name in scene.machine.processes.running:
            scene.machine.processes.signal(name, signal.SIGKILL)
            return name
    return None


def _stalled(name: str, longest_s: float) -> Callable[[Scene], str]:
    """A process that stands still, for longer than a lease, and goes on as if nothing had been."""

    def strike(scene: Scene) -> str:
        seconds = scene.rng.uniform(0.5, 1.0) * longest_s
        scene.machine.processes.signal(name, signal.SIGSTOP)
        time.sleep(seconds)
        scene.machine.processes.signal(name, signal.SIGCONT)
        return f"{name} for {seconds:.1f} s"

    return strike


def _switched(kind: str, seconds: float, share: float, **said: float) -> Callable[[Scene], str]:
    """Trouble of the double's own."""

    def strike(scene: Scene) -> str:
        scene.machine.switch(kind=kind, seconds=seconds, share=share, **said)
        time.sleep(seconds)
        scene.machine.switch(kind="none", seconds=0)
        return f"{share:.0%} for {seconds:.0f} s"

    return strike


def _doubled_messages(scene: Scene) -> str | None:
    """Every message that waits, and every one that is being worked on, is delivered once more."""
    broker, count = scene.machine.broker, 0
    give_up = time.monotonic() + 3
    while time.monotonic() < give_up:
        for queue in QUEUES:
            for message in broker.lrange(queue, 0, -1)[:50]:
                broker.lpush(queue, message)
                count += 1
        time.sleep(0.3)
    return f"{count} messages" if count else None


def _lost_messages(scene: Scene) -> str | None:
    """What waits is gone, and so is what would be given back by who works on it."""
    broker, count = scene.machine.broker, 0
    give_up = time.monotonic() + 3
    while time.monotonic() < give_up:
        for queue in QUEUES:
            count += broker.llen(queue)
            broker.delete(queue)
        count += broker.hlen("unacked")
        broker.delete("unacked", "unacked_index")
        time.sleep(0.1)
    return f"{count} messages" if count else None


def _cut_broker(scene: Scene) -> str:
    count = 0
    for _ in range(4):
        with suppress(redis.RedisError):
            count += int(scene.machine.broker.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))
        time.sleep(0.4)
    return f"{count} connections"


def _cut_database(scene: Scene) -> str:
    for _ in range(4):
        if scene.machine.postgres is not None:
            scene.machine.postgres.cut_connections()
        time.sleep(0.4)
    return "4 times all connections"


def _disk_full(scene: Scene) -> str:
    """The file system of the image bytes has no room left for some seconds."""
    filler = scene.machine.blobs / DISK
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        for _ in range(BLOBS_MB * 64 + 1):
            file.write(bytes(1 << 14))
    for _ in range(4096):  # the last bytes, in files so small that nothing else fits either
        try:
            with filler.open("ab", buffering=0) as file:
                file.write(bytes(512))
        except OSError:
            break
    time.sleep(4)
    filler.unlink(missing_ok=True)
    return f"{BLOBS_MB} MB for 4 s"


def _clock(scene: Scene) -> str:
    """One worker, the API or all of them believe for some seconds that it is earlier or later."""
    names = scene.rng.choice([["embed-1"], ["maintenance"], ["api"], [*WORKERS, "api"]])
    offset = scene.rng.choice([-CLOCK_S, CLOCK_S])
    for name in names:
        _write(scene.machine.clock_file(name), str(offset))
    time.sleep(4)
    for name in names:
        _write(scene.machine.clock_file(name), "0")
    return f"{', '.join(names)} by {offset:+.0f} s"


def _poisoned(scene: Scene) -> str:
    """The load hands it over; this is only the time that it takes to meet a worker."""
    time.sleep(scene.rng.uniform(1.0, 2.0))
    return "one among 17"


def _write(path: Path, text: str) -> None:
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(text)
    unfinished.replace(path)


EVERYWHERE = (
    Fault("kill embed worker", _kill_any_embed),
    Fault("kill embed child", _kill_child),
    Fault("kill optimiser", _killed("optimise"), needs="optimise"),
    Fault("kill maintenance", _killed("maintenance")),
    Fault("kill all workers", _kill_all_workers),
    Fault("kill producer", _kill_producer, needs="command"),
    Fault("kill API", _killed("api")),
    Fault("kill Valkey", _killed("valkey")),
    Fault("kill Qdrant double", _killed("qdrant")),
    Fault("stall embed worker", _stalled("embed-1", 9.0)),
    Fault("stall optimiser", _stalled("optimise", 9.0), needs="optimise"),
    Fault("stall Valkey", _stalled("valkey", 6.0)),
    Fault("stall Qdrant double", _stalled("qdrant", 6.0)),
    Fault("Qdrant slow", _switched("slow", 4, 0.5, delay_s=1.0)),
    Fault("Qdrant answers 429", _switched("busy", 4, 0.5)),
    Fault("Qdrant answers 500", _switched("broken", 4, 0.7)),
    Fault("Qdrant cuts before the write", _switched("cut_before", 4, 0.6)),
    Fault("Qdrant cuts after the write", _switched("cut_after", 4, 0.6)),
    Fault("Qdrant applies half", _switched("half", 5, 0.6), needs="optimise"),
    Fault("Qdrant reads are stale", _switched("stale", 4, 0.5)),
    Fault("messages twice", _doubled_messages),
    Fault("messages lost", _lost_messages),
    Fault("broker connections cut", _cut_broker),
    Fault("clock moved", _clock),
    Fault("poison picture", _poisoned, needs="poison"),
)
DISK_FAULT = Fault("disk full", _disk_full)
POSTGRES = (
    Fault("kill PostgreSQL", _killed("postgres")),
    Fault("database connections cut", _cut_database),
    Fault("stall PostgreSQL", _stalled("postgres", 6.0)),
)


def kinds_for(machine: Machine) -> tuple[list[Fault], list[str]]:
    """The faults that can be had here, and why others cannot."""
    kinds, skipped = [*EVERYWHERE], []
    if machine.disk_refused is None:
        kinds.append(DISK_FAULT)
    else:
        skipped.append(f"disk full: {machine.disk_refused}")
    if machine.postgres is not None:
        kinds.extend(POSTGRES)
    return kinds, skipped
