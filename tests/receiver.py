"""A receiver of webhooks: a real HTTP server that answers as a test says."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Answer = tuple[int, dict[str, str], bytes]

WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Got:
    """A request that came."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float


@dataclass
class Receiver:
    """What came, and how it is answered: `answers` in turn, the last one from then on."""

    url: str = ""
    requests: list[Got] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=lambda: [(200, {}, b"")])
    delay_s: float = 0.0
    drip_s: float = 0.0
    endless: bool = False
    on_request: Callable[[], None] = lambda: None
    changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self, got: Got) -> Answer:
        with self.changed:
            self.requests.append(got)
            self.changed.notify_all()
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.on_request()
        return answer

    def wait_for(self, count: int) -> list[Got]:
        """The requests, once there are so many."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.requests) >= count, WAIT_S), f"{len(self.requests)} came"
            return list(self.requests)


@contextmanager
def receiving(*, tls: bool = False) -> Iterator[Receiver]:
    """A receiver on a free port of this machine; with `tls` under a certificate that it made itself."""
    receiver = Receiver()
    server = _Server(("127.0.0.1", 0), _Handler)
    server.receiver = receiver
    if tls:
        server.socket = _self_signed().wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that hangs up is what is tested
    receiver.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def _self_signed() -> ssl.SSLContext:
    openssl = shutil.which("openssl")
    assert openssl, "openssl is needed to make a certificate"
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = Path(folder) / "key.pem", Path(folder) / "certificate.pem"
        made = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
        subprocess.run([*made, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    receiver: Receiver


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        receiver = self.server.receiver
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = receiver.take(Got(self.path, headers, body, time.time()))
        time.sleep(receiver.delay_s)
        with suppress(OSError):  # who asked has gone
            self._drip(receiver.drip_s) if receiver.drip_s else self._answer(*answer, endless=receiver.endless)

    def _drip(self, pause_s: float) -> None:
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Slow: 1\r\n" * 100:
            self.wfile.write(bytes([byte]))
            time.sleep(pause_s)

    def _answer(self, status: int, headers: dict[str, str], content: bytes, *, endless: bool) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if not endless:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        while endless:
            self.wfile.write(b"x" * 10_000)

    def log_message(self, *_: object) -> None:
        return
