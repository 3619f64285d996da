"""`Idempotency-Key`: a POST that a client may send again without doing it twice.

A route has `dependencies=REPEATABLE` (that documents and checks the header) and answers with `once`. Not for routes
whose answer holds a secret: the answer is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from service.api.access import Principal
from service.usecases.context import Context
from service.usecases.idempotency import Keyed, do_once

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
MAX_KEY = 255

SentKey = Annotated[
    str | None,
    Header(
        alias=HEADER,
        min_length=1,
        max_length=MAX_KEY,
        pattern=r"^[\x21-\x7e]+$",
        description="Any text of your choice, 1 to 255 visible ASCII characters. The same request sent again with the "
        "same key within 24 hours is done once and answered the same, with `Idempotency-Replayed: true`; 409 while the "
        "first is at work, 422 for another request.",
        examples=["5c3e0f7e-4a43-4b3e-9d0c-1f6b7a1c8f11"],
    ),
]


def idempotency_key(request: Request, key: SentKey = None) -> None:
    """Checks and documents the header, and keeps it for `once`."""
    request.state.idempotency_key = key


REPEATABLE = [Depends(idempotency_key)]
"""`dependencies` of a route that answers with `once`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a route answers: a model or JSON value, and where the thing is that it made."""

    body: BaseModel | dict[str, Any] | list[Any] | None
    status: int = 200
    location: str | None = None

    def as_json(self) -> dict[str, Any]:
        """JSON-serialisable form."""
        body = self.body.model_dump(mode="json", by_alias=True) if isinstance(self.body, BaseModel) else self.body
        return {"status": self.status, "location": self.location, "body": body}


def once(request: Request, context: Context, who: Principal, body_sha256: str, run: Callable[[], Answered]) -> Response:
    """The answer of `run`, which is called once for an idempotency key, and always where the request has none.

    It waits for the database: in an `async def` route call it by `run_in_threadpool`. What `run` raises is told as
    anywhere else, and the key may be used again.

    Args:
        request: the request, of a route with `dependencies=REPEATABLE`. A key belongs to its route, path and query.
        context: the wired ports.
        who: who asks.
        body_sha256: digest of what the route takes from the body: `digest_of(model)`, or that of a stream's bytes
            (of the parts' contents, not of the raw multipart body, whose boundary is new each time).
        run: does it.

    Raises:
        RequestInFlight: the first request with the key is still at work.
        IdempotencyConflict: the key was used for another request.
    """
    key: str | None = request.state.idempotency_key
    if key is None:
        return _response(run().as_json(), replayed=False)
    keyed = Keyed(tenant=who.tenant, scope=_route(request), key=key, sha256=_digest(request, body_sha256))
    answer, replayed = do_once(context, keyed, lambda: run().as_json())
    return _response(dict(answer), replayed=replayed)


def digest_of(body: BaseModel | bytes) -> str:
    """sha256, hex, of bytes or of a model's JSON."""
    data = body if isinstance(body, bytes) else body.model_dump_json().encode("utf-8", "surrogatepass")
    return hashlib.sha256(data).hexdigest()


def _response(answer: dict[str, Any], *, replayed: bool) -> Response:
    headers = {"Location": answer["location"]} if answer["location"] else {}
    if replayed:
        headers[REPLAYED] = "true"
    if answer["body"] is None:
        return Response(status_code=answer["status"], headers=headers)
    return JSONResponse(answer["body"], answer["status"], headers)


def _route(request: Request) -> str:
    """The operation id of the route."""
    return str(getattr(request.scope.get("route"), "name", request.url.path))


def _digest(request: Request, body_sha256: str) -> str:
    target = f"{request.method} {request.url.path}?{request.url.query}\n{body_sha256}"
    return hashlib.sha256(target.encode("utf-8", "surrogatepass")).hexdigest()
