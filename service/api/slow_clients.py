"""Limits against clients that keep a connection and send little: request heads and bodies have to arrive in time."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 20.0
"""From the first byte (or the connection) until a request's head is whole."""
BODY_GRACE_S = 30.0
"""A body may be silent for so long."""
SLOWEST_BYTES_PER_S = 4096
"""Every so many bytes that arrive give a body another second: a slow line is served, a trickle is not."""


class PatientProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, which ends a connection whose request's head does not arrive in time."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401  uvicorn's own
        super().__init__(*args, **options)
        self._head_is_late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        former = self.cycle
        super().data_received(data)
        if self.cycle is not former:
            self._head_came()
        elif former is None or former.response_complete:
            self._expect_head()

    def _expect_head(self) -> None:
        if self._head_is_late is None:
            self._head_is_late = self.loop.call_later(HEAD_S, self._give_up)

    def _head_came(self) -> None:
        if self._head_is_late is not None:
            self._head_is_late.cancel()
            self._head_is_late = None

    def _give_up(self) -> None:
        self._head_is_late = None
        if not self.transport.is_closing():
            self.transport.close()


class BodiesInTime:
    """Answers 408 where a request's body stops arriving, or arrives too slowly to be meant."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        await self.app(scope, _Timed(receive), send)


class _Timed:
    """`receive` with a deadline that moves with what arrives; what comes after the body may take its time."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._began = time.monotonic()
        self._bytes = 0
        self._whole = False

    async def __call__(self) -> Message:
        if self._whole:
            return await self._receive()
        allowed_s = BODY_GRACE_S + self._bytes / SLOWEST_BYTES_PER_S
        left_s = min(BODY_GRACE_S, self._began + allowed_s - time.monotonic())
        try:
            message = await asyncio.wait_for(self._receive(), max(left_s, 0.001))
        except TimeoutError as error:
            raise HTTPException(
                408, f"the body stopped arriving after {self._bytes} bytes: send it faster, or in smaller requests"
            ) from error
        self._bytes += len(message.get("body", b""))
        self._whole = message["type"] != "http.request" or not message.get("more_body", False)
        return message
