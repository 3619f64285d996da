"""Every error as a problem (RFC 9457) of one shape: also what the framework refuses, and what nobody foresaw."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY
from starlette.routing import Match, Route

from service.api.examples import problem_name
from service.api.wrong_input import in_a_sentence, wrong_lines
from service.errors import (
    AlreadyExists,
    Busy,
    DataDirectoryInUse,
    EncoderMismatch,
    HolotypeError,
    InvalidInput,
    JobFailed,
    LastAdminKey,
    LeaseHeld,
    NotAuthenticated,
    NotFound,
    NothingToServe,
    NotPermitted,
    PublishIncomplete,
    QuotaExceeded,
    Unavailable,
    WrongState,
)
from service.usecases.masking import masked_value

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
RETRY_QUOTA_S = 3600
"""Asked for where waiting alone frees nothing: by then somebody may have deleted something, or raised the quota."""
AT_WORK = "another request is at work on the same just now: try again in a moment"
OUT_OF_ORDER = "a part of the service does not answer: try again in a moment; its log says which, under this request_id"
"""No more is told of these two: hosts, processes and folders behind the service are not its clients' business."""
TOO_LARGE = "Content Too Large"
"""What the framework says of a body that is larger than its route takes."""

_STATUS: tuple[tuple[type[HolotypeError], int, str], ...] = (
    (NotAuthenticated, 401, "No valid key"),
    (NotPermitted, 403, "Not permitted"),
    (NotFound, 404, "Not found"),
    (AlreadyExists, 409, "Already exists"),
    (WrongState, 409, "Not possible in this state"),
    (NothingToServe, 409, "Nothing to serve"),
    (EncoderMismatch, 409, "Encoder mismatch"),
    (DataDirectoryInUse, 503, "Unavailable"),
    (Busy, 409, "Busy"),
    (JobFailed, 409, "Job failed"),
    (LastAdminKey, 409, "Last admin key"),
    (QuotaExceeded, 429, "Quota exceeded"),
    (InvalidInput, 422, "Invalid input"),
    (PublishIncomplete, 503, "Unavailable"),
    (Unavailable, 503, "Unavailable"),
)


class Problem(BaseModel):
    """A problem (RFC 9457). `code` is stable; further members hold the numbers and names behind `detail`."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="URI of the kind of problem.", examples=["urn:holotype:problem:CatalogueNotFound"])
    title: str = Field(examples=["Not found"])
    status: int = Field(examples=[404])
    detail: str = Field(
        description="What is wrong and what to do, for a person.", examples=["there is no catalogue 'fruit'"]
    )
    code: str = Field(description="Name of the kind, for programs.", examples=["CatalogueNotFound"])
    request_id: str | None = Field(default=None, description="Names this request in the log.")


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route documents for these statuses: a problem each."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": TITLES[status],
            "content": {
                MEDIA_TYPE: {
                    "schema": schema,
                    "examples": {"problem": {"$ref": f"#/components/examples/{problem_name(status)}"}},
                }
            },
        }
        for status in statuses
    }


TITLES = {
    400: "Malformed request",
    401: "No valid key",
    403: "Not permitted",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    409: "Conflict with what is there",
    413: "Too large",
    415: "Unsupported media type",
    422: "Invalid input",
    429: "Quota exceeded",
    500: "Internal error",
    503: "Unavailable",
}


def install(app: FastAPI) -> None:
    """Answer every error of the application with a problem."""
    app.add_exception_handler(HolotypeError, _told)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _unexpected)


def problem(
    request: Request,
    status: int,
    detail: str,
    *,
    code: str,
    title: str | None = None,
    members: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A problem as the answer to a request. A key that somebody put into a path or a body is not said again."""
    body: dict[str, object] = {
        **plain_members(members or {}),
        "type": f"urn:holotype:problem:{code}",
        "title": title or TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": getattr(request.state, "request_id", None),
    }
    return JSONResponse(masked_value(body), status, dict(headers or {}), MEDIA_TYPE)


def too_large(request: Request) -> JSONResponse:
    """The answer to a body that is larger than its route takes."""
    limit, sent = request.scope.get(MAX_BODY_SIZE_SCOPE_KEY), request.headers.get("content-length")
    told = "the body is too large" if sent is None else f"the body has {sent} bytes"
    return problem(
        request,
        413,
        f"{told}: {request.method} {request.url.path} takes at most {limit} bytes",
        code="TooLarge",
        members={"limit_bytes": limit},
    )


def status_of(error: HolotypeError) -> tuple[int, str]:
    """HTTP status and title of an error raised on purpose."""
    return next(((status, title) for kind, status, title in _STATUS if isinstance(error, kind)), (500, TITLES[500]))


def plain_members(values: Mapping[str, object]) -> dict[str, object]:
    """Details as JSON takes them: what is neither number, text, list nor mapping becomes text."""
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: object) -> object:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return plain_members({str(name): item for name, item in value.items()})
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    return str(value)


async def _told(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HolotypeError)  # noqa: S101 -- what the handler is registered for
    status, title = status_of(error)
    detail, members = error.message.encode("utf-8", "backslashreplace").decode(), error.details
    if status >= 500:
        logger.warning("%s: %s", type(error).__name__, detail)
        detail, members = OUT_OF_ORDER, {}
    if isinstance(error, LeaseHeld):
        detail, members = AT_WORK, {}
    return problem(
        request,
        status,
        detail,
        code=type(error).__name__,
        title=title,
        members=members,
        headers=_headers(status, error),
    )


def _headers(status: int, error: HolotypeError) -> dict[str, str]:
    if status == 401:
        return {"WWW-Authenticate": 'Bearer realm="holotype"'}
    if isinstance(error, QuotaExceeded):
        wait_s = RETRY_QUOTA_S if error.retry_after_s is None else error.retry_after_s
        return {"Retry-After": str(max(1, math.ceil(wait_s)))}
    if status == 503 or isinstance(error, Busy):
        return {"Retry-After": str(RETRY_AFTER_S)}
    return {}


async def _unreadable(request: Request, error: Exception) -> JSONResponse:
    """A body, parameter or header that is not what the route takes: each with its place and what is wrong."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 -- what the handler is registered for
    wrong = wrong_lines(error.errors())
    return problem(request, 422, in_a_sentence(wrong), code="InvalidRequest", members={"errors": wrong})


async def _refused(request: Request, error: Exception) -> JSONResponse:
    """What the framework itself refuses: no such path, another method, a body that is no JSON, too large."""
    assert isinstance(error, HTTPException)  # noqa: S101 -- what the handler is registered for
    detail, headers = str(error.detail), dict(error.headers or {})
    if error.status_code == 413 and detail == TOO_LARGE:
        return too_large(request)
    if error.status_code == 404:
        detail = f"there is nothing at {request.url.path}: /openapi.json describes what there is"
    if error.status_code == 405:
        allowed = ", ".join(methods_at(request))
        detail, headers["Allow"] = f"{request.method} is not possible at {request.url.path}, but {allowed}", allowed
    code = "".join(word.title() for word in TITLES.get(error.status_code, "Error").split())
    return problem(request, error.status_code, detail, code=code, headers=headers)


def methods_at(request: Request) -> list[str]:
    """What can be done at the path of a request: the framework names the methods of the first route alone."""
    found: set[str] = set()
    for context in iter_route_contexts(request.app.routes):
        route = context.original_route
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return sorted(found)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    """A defect. What happened is in the log, under the request's id; the answer gives nothing away."""
    logger.error("unexpected %s", type(error).__name__, exc_info=error)
    detail = "something went wrong here that should not; the log tells it under this request_id"
    return problem(request, 500, detail, code="InternalError")
