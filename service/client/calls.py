"""A request as a value, without any I/O: what is sent, how its answer is read, and whether it may be sent twice."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from service.errors import InvalidInput

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

IDEMPOTENCY_KEY = "Idempotency-Key"
REPEATABLE_METHODS = frozenset({"GET", "HEAD", "PUT", "DELETE"})
ParameterValue = str | int | float | bool | Sequence[str]


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a multipart body: the field's name, the file's, and its bytes or where they are read from."""

    field: str
    name: str
    content: bytes | Path
    media_type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """One request.

    Attributes:
        method: of HTTP.
        path: from the server's root, quoted.
        read: makes the answer's value; called for 2xx only.
        params: of the query.
        json: the body, where there is one and the next three are empty.
        fields: text fields of a multipart body.
        repeated: text fields that come several times.
        parts: files of a multipart body.
        headers: beside the client's own.
        repeatable: may be sent again when nobody knows what became of it.
        timeout_s: until the answer begins; None for the client's own.
        also_answers: statuses beside 2xx that are answers and no problems.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    params: Mapping[str, ParameterValue] = field(default_factory=dict)
    json: object = None
    fields: Mapping[str, str] = field(default_factory=dict)
    repeated: Mapping[str, Sequence[str]] = field(default_factory=dict)
    parts: Sequence[Part] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False
    timeout_s: float | None = None
    also_answers: frozenset[int] = frozenset()


def path_of(*segments: str) -> str:
    """A path of these segments, quoted. Raises InvalidInput for one that would lead elsewhere ("", "." or "..")."""
    for segment in segments:
        if segment in {"", ".", ".."}:
            raise InvalidInput(f"{segment!r} is no name that a server could know")
    return "/" + "/".join(quote(segment, safe=":", errors="replace") for segment in segments)


def params_of(**values: ParameterValue | None) -> dict[str, ParameterValue]:
    """The parameters that are given."""
    return {name: value for name, value in values.items() if value is not None}


def get(path: str, read: Callable[[httpx.Response], T], **params: ParameterValue | None) -> Call[T]:
    """A GET."""
    return Call(method="GET", path=path, read=read, params=params_of(**params), repeatable=True)


def delete(path: str) -> Call[None]:
    """A DELETE, whose answer has no body."""
    return Call(method="DELETE", path=path, read=nothing, repeatable=True)


def model(kind: type[M]) -> Callable[[httpx.Response], M]:
    """Reads one object."""
    return lambda response: kind.model_validate_json(response.content)


def nothing(_: httpx.Response) -> None:
    """Reads no answer."""


def new_key() -> dict[str, str]:
    """The header by which a server knows a POST that it has seen before."""
    return {IDEMPOTENCY_KEY: uuid.uuid4().hex}
