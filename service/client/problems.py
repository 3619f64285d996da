"""A server's problems as exceptions: of the same kinds as without a server, with what the problem said."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import httpx

from service import errors
from service.errors import HolotypeError

OWN_MEMBERS = frozenset({"type", "title", "status", "detail", "code", "request_id"})
"""What every problem has; the rest are the numbers and names behind its detail."""

_BY_STATUS: Mapping[int, type[HolotypeError]] = {
    400: errors.InvalidInput,
    401: errors.NotAuthenticated,
    403: errors.NotPermitted,
    404: errors.NotFound,
    405: errors.InvalidInput,
    408: errors.Unavailable,
    409: errors.Busy,
    413: errors.InvalidInput,
    415: errors.InvalidInput,
    422: errors.InvalidInput,
    429: errors.QuotaExceeded,
    502: errors.Unavailable,
    503: errors.Unavailable,
    504: errors.Unavailable,
}
"""For codes that are no error of the service itself, such as what the framework refuses."""


class ApiProblem(HolotypeError):
    """What a server answered instead of a result (RFC 9457).

    It is also an instance of the error of `service.errors` that its code names: `except CatalogueNotFound` works with a
    server as it does without.

    Attributes:
        status: of HTTP.
        code: name of the kind, stable.
        detail: what is wrong and what to do, for a person; also `message`.
        members: the numbers and names behind it; also `details`.
        request_id: names the request in the server's log; None where the server gave none.
        retry_after_s: when trying again may help; None where the server does not say.
    """

    def __init__(
        self,
        *,
        status: int,
        code: str,
        detail: str,
        members: Mapping[str, Any],
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        HolotypeError.__init__(self, detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.members = dict(members)
        self.details = dict(members)
        self.request_id = request_id
        self.retry_after_s = retry_after_s


def problem_of(response: httpx.Response) -> ApiProblem:
    """The exception for an answer that is no success; its body has been read."""
    body = _problem_body(response)
    if body is None:
        reason = f"{response.status_code} {response.reason_phrase}".strip()
        body = {"code": "HttpError", "detail": f"{response.url} answered {reason}, which is no answer of Holotype"}
    code = str(body["code"])
    return _kind(code, response.status_code)(
        status=response.status_code,
        code=code,
        detail=str(body["detail"]),
        members={name: value for name, value in body.items() if name not in OWN_MEMBERS},
        request_id=body.get("request_id"),
        retry_after_s=retry_after_s(response),
    )


def retry_after_s(response: httpx.Response) -> float | None:
    """The answer's `Retry-After`, seconds; a date there is not read, Holotype sends none."""
    sent = response.headers.get("retry-after", "")
    return float(sent) if sent.isascii() and sent.isdigit() else None


def _problem_body(response: httpx.Response) -> dict[str, Any] | None:
    try:
        body = response.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) and {"code", "detail"} <= set(body) else None


@functools.cache
def _kind(code: str, status: int) -> type[ApiProblem]:
    """A class named by the code, of the service's error of that name or of the one that the status means."""
    known = getattr(errors, code, None)
    if not (isinstance(known, type) and issubclass(known, HolotypeError)):
        known = _BY_STATUS.get(status)
    name = code if code.isidentifier() else ApiProblem.__name__
    bases = (ApiProblem,) if known in (None, HolotypeError) else (ApiProblem, known)
    return type(name, bases, {"__doc__": f"Problem {name} of a server.", "__module__": __name__})
