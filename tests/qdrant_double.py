"""A stand-in for a Qdrant server: the REST routes that Holotype uses, over the client's own models and local mode.

Requests are parsed and answers written with qdrant-client's pydantic models, so the real client is exercised over real
HTTP, from several processes at once, where no server can be installed. It keeps everything in memory.

    python -m tests.qdrant_double [--port 0] [--version 1.17.0] [--fail 503 --failures 3] [--delay 2 --delays 1]

prints its URL on the first line of standard output. In process: `with running_double() as double: ... double.url`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from qdrant_client import QdrantClient, models
from qdrant_client.http.models import CreateFieldIndex, UpdateOperations

VERSION = "1.17.0"


@dataclass(slots=True)
class Trouble:
    """What goes wrong: the first `failures` requests get `status`, the first `delays` wait `delay_s` before the answer.

    `after` requests are served well before the trouble begins.
    """

    status: int = 503
    failures: int = 0
    retry_after_s: int | None = None
    delay_s: float = 0.0
    delays: int = 0
    after: int = 0

    def next(self) -> tuple[float, int | None]:
        """Seconds to wait and the status to fail with, for one request."""
        if self.after > 0:
            self.after -= 1
            return 0.0, None
        delay, status = 0.0, None
        if self.delays > 0:
            self.delays, delay = self.delays - 1, self.delay_s
        if self.failures > 0:
            self.failures, status = self.failures - 1, self.status
        return delay, status


@dataclass(slots=True)
class Engine:
    """The routes. One lock: local mode is not made for threads."""

    version: str = VERSION
    trouble: Trouble = field(default_factory=Trouble)
    client: QdrantClient = field(default_factory=lambda: QdrantClient(":memory:"))
    indexes: dict[str, dict[str, models.PayloadIndexInfo]] = field(default_factory=dict)
    created: dict[str, models.CreateCollection] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """HTTP status and `result` (or an error text)."""
        with self.lock:
            for verb, pattern, handler in ROUTES:
                match = re.fullmatch(pattern, path)
                if verb == method and match:
                    self.requests[handler.__name__] += 1
                    return self._handled(handler, match.groups(), body)
        return 404, f"the double has no route {method} {path}"

    def _handled(self, handler: Callable[..., Any], names: tuple[str, ...], body: bytes) -> tuple[int, Any]:
        if names and handler not in (exists, create) and not self.client.collection_exists(names[0]):
            return 404, f"Not found: Collection `{names[0]}` doesn't exist!"
        try:
            return 200, handler(self, *names, body)
        except FileExistsError as error:
            return 409, str(error)
        except KeyError as error:
            return 404, f"Not found: No point with id {error} found"
        except (ValidationError, ValueError) as error:
            return 400, f"Wrong input: {error}"


def _parsed(model: Any, body: bytes) -> Any:
    return TypeAdapter(model).validate_json(body)


def exists(engine: Engine, name: str, _: bytes) -> Any:
    return models.CollectionExistence(exists=engine.client.collection_exists(name))


def list_all(engine: Engine, _: bytes) -> Any:
    return engine.client.get_collections()


def create(engine: Engine, name: str, body: bytes) -> Any:
    if engine.client.collection_exists(name):
        raise FileExistsError(f"Wrong input: Collection `{name}` already exists!")
    request = _parsed(models.CreateCollection, body)
    engine.indexes[name], engine.created[name] = {}, request
    return engine.client.create_collection(name, vectors_config=request.vectors)


def describe(engine: Engine, name: str, _: bytes) -> Any:
    info = engine.client.get_collection(name)
    return info.model_copy(update={"payload_schema": engine.indexes[name]})


def create_index(engine: Engine, name: str, body: bytes) -> Any:
    request = _parsed(CreateFieldIndex, body)
    schema = request.field_schema
    # Local mode only warns that it has no indexes; the server keeps what was asked, and tests look at it.
    engine.indexes[name][request.field_name] = models.PayloadIndexInfo(
        data_type=models.PayloadSchemaType(schema.type), params=schema, points=0
    )
    return models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED)


def upsert(engine: Engine, name: str, body: bytes) -> Any:
    request = _parsed(models.PointInsertOperations, body)
    points = request.batch if isinstance(request, models.PointsBatch) else request.points
    return engine.client.upsert(name, points, update_mode=request.update_mode)


def retrieve(engine: Engine, name: str, body: bytes) -> Any:
    request = _parsed(models.PointRequest, body)
    return engine.client.retrieve(
        name, request.ids, with_payload=request.with_payload, with_vectors=request.with_vector or False
    )


def scroll(engine: Engine, name: str, body: bytes) -> Any:
    request = _parsed(models.ScrollRequest, body)
    points, offset = engine.client.scroll(
        name,
        request.filter,
        limit=request.limit,
        offset=request.offset,
        with_payload=request.with_payload,
        with_vectors=request.with_vector or False,
    )
    return models.ScrollResult(points=points, next_page_offset=offset)


def query(engine: Engine, name: str, body: bytes) -> Any:
    request = _parsed(models.QueryRequestBatch, body)
    return engine.client.query_batch_points(name, request.searches)


def update_vectors(engine: Engine, name: str, body: bytes) -> Any:
    return engine.client.update_vectors(name, _parsed(models.UpdateVectors, body).points)


def set_payload(engine: Engine, name: str, body: bytes) -> Any:
    request = _parsed(models.SetPayload, body)
    return engine.client.set_payload(name, request.payload, points=request.points)


def delete_payload(engine: Engine, name: str, body: bytes) -> Any:
    request = _parsed(models.DeletePayload, body)
    return engine.client.delete_payload(name, request.keys, points=request.points)


def batch(engine: Engine, name: str, body: bytes) -> Any:
    return engine.client.batch_update_points(name, _parsed(UpdateOperations, body).operations)


def delete(engine: Engine, name: str, body: bytes) -> Any:
    return engine.client.delete(name, _parsed(models.PointsSelector, body))


COLLECTION = r"/collections/([^/]+)"
ROUTES: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("GET", "/collections", list_all),
    ("GET", f"{COLLECTION}/exists", exists),
    ("PUT", COLLECTION, create),
    ("GET", COLLECTION, describe),
    ("PUT", f"{COLLECTION}/index", create_index),
    ("PUT", f"{COLLECTION}/points", upsert),
    ("POST", f"{COLLECTION}/points", retrieve),
    ("POST", f"{COLLECTION}/points/scroll", scroll),
    ("POST", f"{COLLECTION}/points/query/batch", query),
    ("PUT", f"{COLLECTION}/points/vectors", update_vectors),
    ("POST", f"{COLLECTION}/points/payload", set_payload),
    ("POST", f"{COLLECTION}/points/payload/delete", delete_payload),
    ("POST", f"{COLLECTION}/points/batch", batch),
    ("POST", f"{COLLECTION}/points/delete", delete),
)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # Headers and body in one packet: two of them make the client's end wait 40 ms for each answer.
    server: Double

    def do_GET(self) -> None:
        self._respond()

    do_PUT = do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Quiet: tests read what they need from `requests`."""

    def _respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        engine = self.server.engine
        with engine.lock:
            delay, failure = engine.trouble.next()
        time.sleep(delay)
        path = self.path.split("?")[0]
        if failure is not None:
            self._send(failure, {"status": {"error": f"the double was told to answer {failure}"}, "time": 0.0})
        elif path == "/":
            self._send(200, {"title": "qdrant - vector search engine", "version": engine.version, "commit": None})
        else:
            status, result = engine.answer(self.command, path, body)
            self._send(status, self.body_of(status, result))

    def body_of(self, status: int, result: Any) -> dict[str, Any]:
        if status == 200:
            return {"result": _plain(result), "status": "ok", "time": 0.0}
        return {"status": {"error": result}, "time": 0.0}

    def _send(self, status: int, value: Any) -> None:
        data = json.dumps(value).encode()
        try:
            self.send_response(status)
            if status == 429 and self.server.engine.trouble.retry_after_s is not None:
                self.send_header("Retry-After", str(self.server.engine.trouble.retry_after_s))
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            self.wfile.flush()
        except ConnectionError:
            self.close_connection = True  # The client gave up waiting, as the slow answers are meant to make it.


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


class Double(ThreadingHTTPServer):
    """The server; `engine` counts requests and holds the trouble."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, engine: Engine, handler: type[Handler] = Handler) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self.engine = engine

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def running_double(version: str = VERSION, trouble: Trouble | None = None) -> Iterator[Double]:
    """A double on a free port, served by a thread of this process."""
    double = Double(0, Engine(version, trouble or Trouble()))
    thread = threading.Thread(target=double.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield double
    finally:
        double.shutdown()
        double.server_close()
        thread.join()
        double.engine.client.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--version", default=VERSION)
    parser.add_argument("--fail", type=int, default=503, help="status of the first --failures requests")
    parser.add_argument("--failures", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds that the first --delays requests take")
    parser.add_argument("--delays", type=int, default=0)
    given = parser.parse_args()
    warnings.filterwarnings("ignore", message="Local mode is not recommended")
    trouble = Trouble(status=given.fail, failures=given.failures, delay_s=given.delay, delays=given.delays)
    double = Double(given.port, Engine(given.version, trouble))
    sys.stdout.write(f"{double.url}\n")
    sys.stdout.flush()
    double.serve_forever()


if __name__ == "__main__":
    main()
