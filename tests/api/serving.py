"""An ASGI application behind a real socket, in a thread of this process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp

from service.api.server import Server, bind, url_of


@contextmanager
def served(app: ASGIApp, *, forwarded_allow_ips: str | None = None) -> Iterator[str]:
    """The URL under which it answers."""
    ready = threading.Event()
    with bind("127.0.0.1", 0) as listener:
        url = url_of(listener)
        server = Server(app, on_ready=ready.set, forwarded_allow_ips=forwarded_allow_ips)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        assert ready.wait(30), "the server did not start"
        try:
            yield url
        finally:
            server.end(signal.SIGTERM)
            thread.join(30)
            assert not thread.is_alive(), "the server did not end"
