"""When a request is sent again: a table of numbers."""

import httpx
import pytest

from service.client.retrying import Retrying

LONGEST = Retrying(attempts=4, base_s=1.0, most_s=5.0, uniform=lambda _, most: most)


@pytest.mark.parametrize(("attempt", "pause"), [(1, 1.0), (2, 2.0), (3, 4.0), (4, None)])
def test_pauses_grow_up_to_the_last_attempt(attempt, pause):
    assert LONGEST.after_error(httpx.ReadError("cut"), attempt=attempt, repeatable=True) == pause


def test_a_pause_has_a_longest():
    assert Retrying(attempts=9, base_s=1.0, most_s=5.0, uniform=lambda _, most: most).after_error(
        httpx.ReadError("cut"), attempt=8, repeatable=True
    ) == pytest.approx(5.0)


def test_a_pause_is_anything_from_nothing_on():
    seen = []
    Retrying(uniform=lambda low, high: seen.append((low, high)) or 0.0).after_error(
        httpx.ReadError("cut"), attempt=2, repeatable=True
    )
    assert seen == [(0.0, 1.0)]


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (httpx.ConnectError("refused"), True),
        (httpx.ConnectTimeout("late"), True),
        (httpx.ReadTimeout("late"), False),
        (httpx.RemoteProtocolError("cut"), False),
    ],
)
def test_what_may_have_arrived_is_not_sent_twice(error, again):
    assert (LONGEST.after_error(error, attempt=1, repeatable=False) is not None) is again


@pytest.mark.parametrize(
    ("status", "options", "pause"),
    [
        (200, {}, None),
        (404, {}, None),
        (500, {"repeatable": True}, None),
        (503, {"repeatable": True}, 1.0),
        (502, {"repeatable": True}, 1.0),
        (504, {"repeatable": True}, 1.0),
        (503, {"repeatable": True, "retry_after_s": 2.0}, 3.0),
        (503, {"repeatable": True, "retry_after_s": 60.0}, None),
        (503, {"repeatable": False}, None),
        (429, {"repeatable": False, "retry_after_s": 2.0}, 3.0),
        (429, {"repeatable": True}, None),
        (409, {"repeatable": True, "code": "LeaseHeld"}, None),
        (409, {"repeatable": True, "code": "RequestInFlight"}, None),
        (409, {"repeatable": True, "code": "RequestInFlight", "attempt": 2}, 2.0),
        (503, {"repeatable": True, "attempt": 4}, None),
    ],
)
def test_answers_after_which_it_is_tried_again(status, options, pause):
    given = {"attempt": 1, "repeatable": False, **options}
    assert LONGEST.after_answer(status, **given) == pause


def test_patience_is_minutes_and_nothing_for_who_repeats_nothing():
    longest = Retrying(uniform=lambda _, most: most).patient()
    pauses = [longest.after_error(httpx.ConnectError("gone"), attempt=n, repeatable=True) for n in range(1, 41)]
    assert pauses[-1] is None
    assert 300 < sum(pauses[:-1]) / 2 < 1200  # half of the longest, in the mean
    assert longest.after_answer(429, attempt=1, repeatable=True, retry_after_s=30.0) is not None
    assert Retrying(attempts=1).patient().attempts == 1
