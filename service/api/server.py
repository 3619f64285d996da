"""uvicorn as Holotype runs it: on a socket that is bound beforehand, ending in order, with limits for slow clients."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from service.api.slow_clients import BodiesInTime, PatientProtocol
from service.errors import InvalidInput, Unavailable

BACKLOG = 512
"""Connections that wait to be accepted."""
MOST_CONNECTIONS = 1000
"""At once; whoever comes on top is told 503."""
KEEP_ALIVE_S = 20
GRACE_S = 15
"""What requests get to finish once the server is told to end; then they are cut."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket: who connects now waits until the server is ready.

    Raises:
        InvalidInput: the host is no address of this machine.
        Unavailable: the port is in use, or may not be used.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise InvalidInput(f"{host!r} is no address to listen on: 127.0.0.1, or 0.0.0.0 for all", host=host) from error
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _cannot_listen(host, port, error) from error
    return listener


def _cannot_listen(host: str, port: int, error: OSError) -> InvalidInput | Unavailable:
    if error.errno == errno.EADDRNOTAVAIL:
        return InvalidInput(f"{host!r} is no address of this machine: 127.0.0.1, or 0.0.0.0 for all", host=host)
    if error.errno == errno.EADDRINUSE:
        told = (
            f"port {port} of {host} is in use: stop what listens there, or give another one with --port (0: a free one)"
        )
    else:
        told = f"port {port} of {host} cannot be used ({os.strerror(error.errno or 0)}): give another one with --port"
    return Unavailable(told, host=host, port=port)


def url_of(listener: socket.socket) -> str:
    """Where a client on this machine finds the listener."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  not bound here, but translated
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """A server that says when it answers, and leaves signals to whoever runs it: they call `end`."""

    def __init__(self, app: ASGIApp, *, on_ready: Callable[[], None], forwarded_allow_ips: str | None = None) -> None:
        super().__init__(
            uvicorn.Config(
                BodiesInTime(app),
                http=PatientProtocol,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(forwarded_allow_ips),
                forwarded_allow_ips=forwarded_allow_ips or "",
                limit_concurrency=MOST_CONNECTIONS,
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does it, and then `on_ready`."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None: uvicorn would raise them again after its end, and kill a process that still has things to close."""
        yield

    def end(self, number: int, frame: FrameType | None = None) -> None:
        """Accept nothing any more, let requests finish, then return from `run`; asked twice, without waiting."""
        self.handle_exit(number, frame)
