"""Whether a request is sent again, and when: decided from numbers alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import httpx

NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""Errors after which the server has certainly not seen the request."""

PASSING = frozenset({502, 503, 504})
TOO_MANY = 429
IN_FLIGHT = "RequestInFlight"

PATIENT_ATTEMPTS = 40
PATIENT_MOST_S = 30.0
"""Together some ten minutes: a server that is replaced needs one, and a job goes on without its listeners."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying:
    """Full jitter: the n-th pause is anything from 0 to `base_s * 2**(n - 1)`, at most `most_s`.

    Attributes:
        attempts: tries in all; 1: none is repeated.
        base_s: upper end of the first pause.
        most_s: longest pause; a server that asks for a longer one is not asked again.
        uniform: `random.uniform`, another one in tests.
    """

    attempts: int = 5
    base_s: float = 0.5
    most_s: float = 20.0
    uniform: Callable[[float, float], float] = random.uniform

    def after_error(self, error: Exception, *, attempt: int, repeatable: bool) -> float | None:
        """Seconds until the next try after no answer came; None: give up. `attempt` counts from 1."""
        if attempt >= self.attempts or not (repeatable or isinstance(error, NEVER_SENT)):
            return None
        return self._pause(attempt)

    def after_answer(
        self, status: int, *, attempt: int, repeatable: bool, retry_after_s: float | None = None, code: str = ""
    ) -> float | None:
        """Seconds until the next try after this answer; None: it is the answer.

        A 429 that asks for longer than `most_s`, or for no time at all, is a quota that waiting does not free. A key in
        use belongs to an earlier try of the same request, which is still at work.
        """
        if attempt >= self.attempts:
            return None
        again = (
            (status == TOO_MANY and retry_after_s is not None)
            or (status in PASSING and repeatable)
            or (code == IN_FLIGHT and attempt > 1)
        )
        if not again or (retry_after_s or 0.0) > self.most_s:
            return None
        return (retry_after_s or 0.0) + self._pause(attempt)

    def patient(self) -> Self:
        """The same for what is worth waiting minutes for; who repeats nothing does not begin to."""
        if self.attempts == 1:
            return self
        attempts, most_s = max(self.attempts, PATIENT_ATTEMPTS), max(self.most_s, PATIENT_MOST_S)
        return replace(self, attempts=attempts, most_s=most_s)

    def _pause(self, attempt: int) -> float:
        return self.uniform(0.0, min(self.most_s, self.base_s * 2.0 ** (attempt - 1)))
