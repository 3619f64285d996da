"""The Qdrant double with switches for what goes wrong, and with data that outlive `kill -9`.

    python -m tests.qdrant_faults --folder DATA [--port 0]

prints its URL on the first line of standard output. `PUT /double/switch` with `{"kind": "cut_after", "seconds": 3,
"share": 0.5}` lets that share of the requests of the next seconds go wrong; each switch replaces the one before.

slow: waits `delay_s` before it answers. busy: 429. broken: 500. cut_before, cut_after: the connection ends without an
answer, before or after the request was done. half: a write of points or payloads is applied to half of them, then 500,
as a server does that dies in mid-write. stale: reads come from a replica that stands still since the switch was set,
unless they ask for what the majority of replicas says.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import sys
import threading
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qdrant_client import QdrantClient, models

from tests.qdrant_double import Double, Engine, Handler

KINDS = ("none", "slow", "busy", "broken", "cut_before", "cut_after", "half", "stale")
READS = ("/points", "/points/scroll", "/points/query/batch")
INDEXES = "indexes.json"
PAGE = 10_000


@dataclass(slots=True)
class Switch:
    """What goes wrong, until when (monotonic seconds), with which share of the requests."""

    kind: str = "none"
    until: float = 0.0
    share: float = 1.0
    delay_s: float = 0.5
    chance: random.Random = field(default_factory=random.Random)
    replica: Engine | None = None

    def drawn(self) -> str:
        """The trouble of one request."""
        if time.monotonic() > self.until or self.chance.random() >= self.share:
            return "none"
        return self.kind


def halved(body: bytes) -> bytes | None:
    """The request for half of its points or operations; None where it names no list of them."""
    request = json.loads(body or b"null")
    if not isinstance(request, dict):
        return None
    for name in ("points", "operations"):
        if isinstance(request.get(name), list):
            return json.dumps({**request, name: request[name][: len(request[name]) // 2]}).encode()
    return None


def writes_points(method: str, path: str) -> bool:
    return path.startswith("/collections/") and "/points" in path and not (method == "POST" and path.endswith(READS))


def replica_of(engine: Engine) -> Engine:
    """What the engine holds now, as another engine in memory. To be called under the engine's lock."""
    copy = Engine(engine.version)
    copy.indexes = {name: dict(kept) for name, kept in engine.indexes.items()}
    for described in engine.client.get_collections().collections:
        name = described.name
        width = engine.client.get_collection(name).config.params.vectors
        copy.client.create_collection(name, vectors_config=width)
        records, _ = engine.client.scroll(name, limit=PAGE, with_payload=True, with_vectors=True)
        points = [models.PointStruct(id=one.id, vector=one.vector or {}, payload=one.payload) for one in records]
        if points:
            copy.client.upsert(name, points)
    return copy


class FaultyHandler(Handler):
    """Answers as the double does, unless the switch says otherwise."""

    server: FaultyDouble

    def do_GET(self) -> None:  # noqa: N802
        self._respond_or_not()

    do_PUT = do_POST = do_GET  # noqa: N815

    def _respond_or_not(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.split("?")[0]
        if path == "/double/switch":
            self.server.turn(**json.loads(body))
            self._send(200, {"result": True, "status": "ok", "time": 0.0})
            return
        switch = self.server.switch
        kind = switch.drawn()
        if kind == "slow":
            time.sleep(switch.delay_s)
        if kind == "cut_before":
            self._cut()
        elif kind in ("busy", "broken"):
            self._fail(429 if kind == "busy" else 500)
        elif kind == "half" and writes_points(self.command, path) and (half := halved(body)) is not None:
            self._done(self.server.engine, path, half)
            self._fail(500)
        else:
            stale = kind == "stale" and self.command == "POST" and path.endswith(READS)
            stale = stale and "consistency=majority" not in self.path
            engine = switch.replica if stale and switch.replica is not None else self.server.engine
            answer = self._done(engine, path, body)
            self._cut() if kind == "cut_after" else self._send(*answer)

    def _done(self, engine: Engine, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if path == "/":
            return 200, {"title": "qdrant - vector search engine", "version": engine.version, "commit": None}
        status, result = engine.answer(self.command, path, body)
        if "/index" in path or self.command == "PUT":
            self.server.keep_indexes()
        return status, self.body_of(status, result)

    def _fail(self, status: int) -> None:
        self._send(status, {"status": {"error": f"the double was told to answer {status}"}, "time": 0.0})

    def _cut(self) -> None:
        """End the connection at once and without a word (a reset where the system does that)."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


class FaultyDouble(Double):
    """The server; what it holds is in `folder`, and there again after a kill."""

    def __init__(self, port: int, folder: Path, seed: int = 0) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            client = QdrantClient(path=str(folder / "points"), force_disable_check_same_thread=True)
        super().__init__(port, Engine(client=client), FaultyHandler)
        self.folder = folder
        self.switch = Switch(chance=random.Random(seed))
        self._keeping = threading.Lock()
        kept = folder / INDEXES
        if kept.exists():
            self.engine.indexes = {
                name: {key: models.PayloadIndexInfo(**value) for key, value in indexes.items()}
                for name, indexes in json.loads(kept.read_text()).items()
            }
        for one in client.get_collections().collections:  # killed between a collection and the note of it
            self.engine.indexes.setdefault(one.name, {})

    def turn(self, kind: str, seconds: float, share: float = 1.0, delay_s: float = 0.5) -> None:
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is none of {KINDS}")
        replica = None
        if kind == "stale":
            with self.engine.lock:
                replica = replica_of(self.engine)
        chance = self.switch.chance
        self.switch = Switch(kind, time.monotonic() + seconds, share, delay_s, chance, replica)

    def keep_indexes(self) -> None:
        with self._keeping:
            kept = {
                name: {key: value.model_dump(mode="json") for key, value in indexes.items()}
                for name, indexes in self.engine.indexes.items()
            }
            unfinished = self.folder / f"{INDEXES}.unfinished"
            unfinished.write_text(json.dumps(kept))
            unfinished.replace(self.folder / INDEXES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--folder", type=Path, required=True, help="where it keeps its points")
    parser.add_argument("--seed", type=int, default=0, help="of the requests that go wrong")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    double = FaultyDouble(given.port, given.folder, given.seed)
    warnings.filterwarnings("ignore", message="Local mode is not recommended")
    sys.stdout.write(f"{double.url}\n")
    sys.stdout.flush()
    double.serve_forever()


if __name__ == "__main__":
    main()
