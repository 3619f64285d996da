"""Carrying out conversations over httpx: blocking, and awaiting. Nothing else differs between the two clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, TypeVar

import httpx

from service.client.calls import Call
from service.client.steps import Close, Flow, Open, Read, Send, Sleep, Step

T = TypeVar("T")


class Sender:
    """What both need: requests made from calls."""

    def __init__(self, client: httpx.Client | httpx.AsyncClient) -> None:
        self._client = client

    def request(self, call: Call[Any], files: ExitStack) -> httpx.Request:
        """The request of a call; files that it opens are closed with `files`."""
        timeout: Any = httpx.USE_CLIENT_DEFAULT
        if call.timeout_s is not None:
            timeout = httpx.Timeout(**self._client.timeout.as_dict() | {"read": call.timeout_s})
        multipart = bool(call.parts or call.fields or call.repeated)
        return self._client.build_request(
            call.method,
            call.path,
            params=dict(call.params) or None,
            headers=dict(call.headers),
            json=None if multipart else call.json,
            # A list of (None, value) pairs keeps the body multipart even where it has fields only.
            files=_fields(call) + _files(call, files) if multipart else None,
            timeout=timeout,
        )


def _fields(call: Call[Any]) -> list[tuple[str, Any]]:
    once = [(name, (None, value)) for name, value in call.fields.items()]
    return once + [(name, (None, value)) for name, values in call.repeated.items() for value in values]


def _files(call: Call[Any], files: ExitStack) -> list[tuple[str, Any]]:
    return [(part.field, (part.name, _content(part.content, files), part.media_type)) for part in call.parts]


def _content(content: bytes | Path, files: ExitStack) -> bytes | IO[bytes]:
    return content if isinstance(content, bytes) else files.enter_context(content.open("rb"))


class Blocking(Sender):
    """Carries out steps and returns when they are done."""

    def __init__(self, client: httpx.Client) -> None:
        super().__init__(client)
        self.client = client

    def run(self, flow: Flow[T]) -> T:
        """The conversation's result. Streams that it left open are closed, whatever ends it."""
        streams: dict[httpx.Response, Iterator[bytes]] = {}
        try:
            step = next(flow)
            while True:
                try:
                    came = self._do(step, streams)
                except httpx.TransportError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(came)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            flow.close()
            for response in streams:
                response.close()

    def _do(self, step: Step, streams: dict[httpx.Response, Iterator[bytes]]) -> object:
        match step:
            case Send(call) | Open(call):
                with ExitStack() as files:
                    response = self.client.send(self.request(call, files), stream=isinstance(step, Open))
                if isinstance(step, Open):
                    streams[response] = response.iter_bytes()
                    if not response.is_success:
                        response.read()
                return response
            case Read(response):
                return next(streams[response], b"")
            case Close(response):
                streams.pop(response)
                response.close()
            case Sleep(seconds):
                time.sleep(seconds)
        return None


class Awaiting(Sender):
    """Carries out steps in an event loop."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        super().__init__(client)
        self.client = client

    async def run(self, flow: Flow[T]) -> T:
        """The conversation's result. Streams that it left open are closed, whatever ends it."""
        streams: dict[httpx.Response, AsyncIterator[bytes]] = {}
        try:
            step = next(flow)
            while True:
                try:
                    came = await self._do(step, streams)
                except httpx.TransportError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(came)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            flow.close()
            for response in streams:
                await response.aclose()

    async def _do(self, step: Step, streams: dict[httpx.Response, AsyncIterator[bytes]]) -> object:
        match step:
            case Send(call) | Open(call):
                with ExitStack() as files:
                    response = await self.client.send(self.request(call, files), stream=isinstance(step, Open))
                if isinstance(step, Open):
                    streams[response] = response.aiter_bytes()
                    if not response.is_success:
                        await response.aread()
                return response
            case Read(response):
                return await anext(streams[response], b"")
            case Close(response):
                streams.pop(response)
                await response.aclose()
            case Sleep(seconds):
                await asyncio.sleep(seconds)
        return None
