"""When to ask a Qdrant server again, and how long to wait before: a pure decision, and the loop that follows it.

Every call that the store makes may be repeated: writes set what they set before, inserts leave alone what is there.
The client's own upload helpers are not used, since they repeat a 429 without end.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, ParamSpec, TypeVar

import httpx
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from service.errors import InvalidInput, NotFound, Unavailable

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with a call. `status` is the HTTP status of an answer; `retry_after_s` what the server asked."""

    kind: Literal["connection", "timeout", "status"]
    detail: str
    status: int = 0
    retry_after_s: float = 0.0

    @property
    def passing(self) -> bool:
        """Could the same call succeed later?"""
        return self.kind != "status" or self.status == httpx.codes.TOO_MANY_REQUESTS or self.status >= 500


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Up to `tries` calls; before try n + 1 a random wait of up to base * 2^(n-1) seconds, at most `longest_s`."""

    tries: int = 5
    base_s: float = 0.25
    longest_s: float = 4.0


def wait_before_retry(failure: Failure, attempt: int, policy: RetryPolicy, chance: float) -> float | None:
    """Seconds to wait before trying again; None to give up.

    Args:
        failure: what went wrong.
        attempt: number of calls made so far, from 1.
        policy: the bounds.
        chance: a random number in [0, 1): full jitter, so that workers that failed together do not return together.
    """
    if not failure.passing or attempt >= policy.tries:
        return None
    ceiling = min(policy.longest_s, policy.base_s * 2.0 ** (attempt - 1))
    return max(chance * ceiling, min(failure.retry_after_s, policy.longest_s))


def failure_of(error: Exception) -> Failure | None:
    """The client's exception as a Failure; None when it is none of the network's or the server's."""
    if isinstance(error, ResourceExhaustedResponse):
        return Failure("status", str(error), status=429, retry_after_s=float(error.retry_after_s))
    if isinstance(error, UnexpectedResponse):
        return Failure("status", _text(error.content), status=error.status_code or 0)
    if isinstance(error, ResponseHandlingException):
        source = error.source
        if isinstance(source, httpx.TimeoutException):
            return Failure("timeout", f"no answer in time ({type(source).__name__})")
        if isinstance(source, httpx.TransportError):
            return Failure("connection", str(source) or type(source).__name__)
    return None


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls a server by a policy and turns its failures into Holotype's errors. `place` is how a person knows it."""

    place: str
    policy: RetryPolicy = RetryPolicy()
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random

    def __call__(
        self, call: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs
    ) -> Result:
        """The result of `call(*arguments, **named)`.

        Raises:
            Unavailable: when every try failed in a passing way.
            NotFound: when the server has no such collection or point.
            InvalidInput: when it refused the call or the key.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                return call(*arguments, **named)
            except Exception as error:
                failure = failure_of(error)
                if failure is None:
                    raise
                wait = wait_before_retry(failure, attempt, self.policy, self.chance())
                if wait is None:
                    raise self._giving_up(failure, attempt) from error
            self.sleep(wait)

    def _giving_up(self, failure: Failure, attempts: int) -> Exception:
        said = f"HTTP {failure.status}: {failure.detail}" if failure.kind == "status" else failure.detail
        if failure.passing:
            return Unavailable(
                f"Qdrant at {self.place} gave no answer in {attempts} tries ({said}): is it running and reachable?",
                tries=attempts,
            )
        if failure.status == httpx.codes.NOT_FOUND:
            return NotFound(f"Qdrant at {self.place} has no such thing ({said})")
        if failure.status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            return InvalidInput(f"Qdrant at {self.place} refused the key ({said}): set HOLOTYPE_QDRANT_API_KEY")
        return InvalidInput(f"Qdrant at {self.place} refused a request ({said})")


def _text(content: bytes, longest: int = 300) -> str:
    return content.decode("utf-8", errors="replace")[:longest].strip()
