"""JSON that a request brings: an object that names a member twice is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from service.usecases.given_once import GivenTwice, given_once


def refuse_doubles(text: bytes) -> None:
    """What is no JSON is passed over: whoever reads it says so. Raises HTTPException (422) naming the member."""
    with suppress(ValueError, RecursionError):
        read_once(text)


def read_once(text: bytes) -> Any:  # noqa: ANN401 -- JSON
    """The value. Raises HTTPException (422) naming a member that is there twice; else as `json.loads`."""
    try:
        return json.loads(text, object_pairs_hook=given_once)
    except GivenTwice as error:
        raise HTTPException(422, f"in the body {error}: each member may be there once") from None


class JsonRoute(APIRoute):
    """A route whose JSON body, where it has one, the framework reads."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The framework's handler, given a request that reads so."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await handler(_Reading(request.scope, request.receive))

        return handle


class _Reading(Request):
    async def json(self) -> Any:  # noqa: ANN401 -- JSON
        return read_once(await self.body())
