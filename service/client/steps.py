"""Conversations with a server as generators that do no I/O: each yields a step and is sent what came of it.

One conversation serves both clients: `transport` carries out the steps, blocking or awaiting.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import IO, Any, TypeAlias, TypeVar

import httpx

from service.client.calls import Call
from service.client.problems import problem_of, retry_after_s
from service.client.retrying import Retrying
from service.errors import HolotypeError, Unavailable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request; the answer is the `httpx.Response`, read to its end."""

    call: Call[Any]


@dataclass(frozen=True, slots=True)
class Open:
    """Send a request; the answer is the `httpx.Response`, its body still to be read unless it is a refusal."""

    call: Call[Any]


@dataclass(frozen=True, slots=True)
class Read:
    """The next bytes of an opened answer, b"" at its end."""

    response: httpx.Response


@dataclass(frozen=True, slots=True)
class Close:
    """Let go of an opened answer."""

    response: httpx.Response


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait so many seconds."""

    seconds: float


Step: TypeAlias = Send | Open | Read | Close | Sleep
Flow: TypeAlias = Generator[Step, Any, T]


def ask(call: Call[T], retrying: Retrying) -> Flow[T]:
    """One request with its repetitions; the value of its answer.

    Raises:
        ApiProblem: the server refused.
        Unavailable: it did not answer.
        HolotypeError: its answer cannot be read.
    """
    response = yield from _answered(Send(call), retrying)
    try:
        return call.read(response)
    except (ValueError, KeyError, TypeError) as error:
        raise HolotypeError(
            f"the answer to {call.method} {call.path} is not what this client knows: the server is of another version "
            f"({str(error).splitlines()[0]})"
        ) from error


def opened(call: Call[Any], retrying: Retrying) -> Flow[httpx.Response]:
    """The same, the answer's body still to be read."""
    return (yield from _answered(Open(call), retrying))


def download(call: Call[Any], retrying: Retrying, file: IO[bytes]) -> Flow[int]:
    """The answer's body into a file; its length in bytes. A connection that is cut is not taken up again."""
    response = yield from opened(call, retrying)
    length = 0
    while chunk := (yield from _read(response, call)):
        length += file.write(chunk)
    yield Close(response)
    return length


def _read(response: httpx.Response, call: Call[Any]) -> Flow[bytes]:
    try:
        chunk: bytes = yield Read(response)
    except httpx.TransportError as error:
        raise _silent(call, error) from error
    return chunk


def _answered(step: Send | Open, retrying: Retrying) -> Flow[httpx.Response]:
    """The first answer that stands: a success, or raised as its problem."""
    call, attempt = step.call, 0
    while True:
        attempt += 1
        try:
            response: httpx.Response = yield step
        except httpx.TransportError as error:
            pause = retrying.after_error(error, attempt=attempt, repeatable=call.repeatable)
            if pause is None:
                raise _silent(call, error) from error
        else:
            if response.is_success or response.status_code in call.also_answers:
                return response
            problem = problem_of(response)
            pause = retrying.after_answer(
                response.status_code,
                attempt=attempt,
                repeatable=call.repeatable,
                retry_after_s=retry_after_s(response),
                code=problem.code,
            )
            if pause is None:
                raise problem
        yield Sleep(pause)


def _silent(call: Call[Any], error: httpx.TransportError) -> Unavailable:
    try:
        where = str(error.request.url.copy_with(query=None))
    except RuntimeError:  # it failed before there was a request
        where = call.path
    said = str(error) or type(error).__name__
    return Unavailable(f"{where} does not answer: {said}", url=where)
