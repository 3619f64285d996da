"""When a call to Qdrant is repeated: a table."""

from __future__ import annotations

import httpx
import pytest
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from service.adapters.qdrant_retry import Caller, Failure, RetryPolicy, failure_of, wait_before_retry
from service.errors import InvalidInput, NotFound, Unavailable

POLICY = RetryPolicy(tries=5, base_s=0.25, longest_s=4.0)


@pytest.mark.parametrize(
    ("failure", "attempt", "chance", "expected"),
    [
        (Failure("connection", ""), 1, 1.0, 0.25),
        (Failure("connection", ""), 2, 1.0, 0.5),
        (Failure("timeout", ""), 3, 1.0, 1.0),
        (Failure("timeout", ""), 4, 1.0, 2.0),
        (Failure("timeout", ""), 4, 0.5, 1.0),
        (Failure("timeout", ""), 4, 0.0, 0.0),
        (Failure("timeout", ""), 5, 0.5, None),
        (Failure("timeout", ""), 6, 0.5, None),
        (Failure("status", "", status=429), 1, 1.0, 0.25),
        (Failure("status", "", status=429, retry_after_s=3.0), 1, 1.0, 3.0),
        (Failure("status", "", status=429, retry_after_s=600.0), 1, 1.0, 4.0),
        (Failure("status", "", status=429, retry_after_s=3.0), 5, 1.0, None),
        (Failure("status", "", status=500), 1, 1.0, 0.25),
        (Failure("status", "", status=503), 2, 1.0, 0.5),
        (Failure("status", "", status=400), 1, 1.0, None),
        (Failure("status", "", status=401), 1, 1.0, None),
        (Failure("status", "", status=404), 1, 1.0, None),
        (Failure("status", "", status=409), 1, 1.0, None),
    ],
)
def test_the_decision(failure, attempt, chance, expected):
    assert wait_before_retry(failure, attempt, POLICY, chance) == expected


def test_the_wait_never_exceeds_the_longest():
    patient = RetryPolicy(tries=50)
    assert wait_before_retry(Failure("timeout", ""), 40, patient, 1.0) == patient.longest_s


def answered(status: int) -> UnexpectedResponse:
    return UnexpectedResponse(status, "", b'{"status": {"error": "why"}}', httpx.Headers())


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        (ResponseHandlingException(httpx.ConnectError("refused")), "connection", 0),
        (ResponseHandlingException(httpx.RemoteProtocolError("cut off")), "connection", 0),
        (ResponseHandlingException(httpx.ReadTimeout("slow")), "timeout", 0),
        (ResponseHandlingException(httpx.ConnectTimeout("slow")), "timeout", 0),
        (answered(503), "status", 503),
        (ResourceExhaustedResponse("later", 7), "status", 429),
    ],
)
def test_what_the_client_raises_is_understood(error, kind, status):
    failure = failure_of(error)
    assert failure is not None
    assert (failure.kind, failure.status) == (kind, status)


def test_what_is_not_the_networks_fault_is_none_of_ours():
    assert failure_of(ResponseHandlingException(ValueError("cannot parse"))) is None
    assert failure_of(KeyError("x")) is None


class Flaky:
    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def __call__(self, value: int, *, more: int) -> int:
        if self.errors:
            raise self.errors.pop(0)
        return value + more


def caller(waits: list[float]) -> Caller:
    return Caller("http://qdrant", POLICY, sleep=waits.append, chance=lambda: 0.5)


def test_passing_failures_are_waited_out():
    waits: list[float] = []
    assert (
        caller(waits)(Flaky(answered(500), answered(429), ResponseHandlingException(httpx.ReadTimeout(""))), 1, more=2)
        == 3
    )
    assert waits == [0.125, 0.25, 0.5]


def test_after_the_last_try_it_is_unavailable_with_place_number_and_cause():
    waits: list[float] = []
    with pytest.raises(Unavailable, match=r"http://qdrant gave no answer in 5 tries \(HTTP 503: .*why"):
        caller(waits)(Flaky(*[answered(503)] * 9), 1, more=2)
    assert len(waits) == 4


@pytest.mark.parametrize(
    ("status", "error"), [(404, NotFound), (401, InvalidInput), (403, InvalidInput), (400, InvalidInput)]
)
def test_a_refusal_is_not_repeated(status, error):
    waits: list[float] = []
    with pytest.raises(error, match="why"):
        caller(waits)(Flaky(answered(status)), 1, more=2)
    assert waits == []


def test_errors_of_the_program_come_through():
    with pytest.raises(KeyError):
        caller([])(Flaky(KeyError("bug")), 1, more=2)
