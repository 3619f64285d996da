"""Requests a minute, in this process and in a real Valkey."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.adapters import rate_limits
from service.adapters.rate_limits import MINUTE_S, MovingWindow
from tests.processes import running_valkey


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    with running_valkey() as url:
        yield url


@pytest.fixture(params=["memory", "valkey"])
def limiter(request: pytest.FixtureRequest) -> MovingWindow:
    return MovingWindow(None if request.param == "memory" else request.getfixturevalue("broker"))


def test_so_many_pass_and_the_next_is_told_how_long_to_wait(limiter: MovingWindow) -> None:
    assert [limiter.take("acme", 3) for _ in range(3)] == [None, None, None]
    wait_s = limiter.take("acme", 3)
    assert wait_s is not None
    assert MINUTE_S - 10 < wait_s <= MINUTE_S
    assert limiter.take("globex", 3) is None


def test_a_minute_later_they_pass_again(limiter: MovingWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [limiter.take("later", 2) for _ in range(3)][:2] == [None, None]
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + MINUTE_S + 1)
    assert limiter.take("later", 2) is None


def test_no_more_pass_than_may_when_many_ask_at_once(limiter: MovingWindow) -> None:
    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(lambda _: limiter.take("crowd", 20), range(60)))
    assert taken.count(None) == 20


def test_none_may_pass(limiter: MovingWindow) -> None:
    assert limiter.take("nobody", 0) == MINUTE_S


def test_processes_that_share_a_broker_share_the_count(broker: str) -> None:
    one, other = MovingWindow(broker), MovingWindow(broker)
    assert (one.take("shared", 2), other.take("shared", 2)) == (None, None)
    assert one.take("shared", 2) is not None


def test_a_broker_that_is_down_lets_pass_and_is_told_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "REST_S", 0.0)
    limiter = MovingWindow("redis://:secret@127.0.0.1:1/0")
    with caplog.at_level(logging.WARNING):
        assert [limiter.take("acme", 1) for _ in range(3)] == [None, None, None]
    assert [record.message.split(":")[0] for record in caplog.records] == ["requests a minute are not limited"]
    assert "secret" not in caplog.text


def test_while_it_rests_a_broker_that_failed_is_not_asked() -> None:
    limiter = MovingWindow("redis://127.0.0.1:1/0")
    limiter.take("acme", 1)
    started = time.monotonic()
    assert [limiter.take("acme", 1) for _ in range(1000)] == [None] * 1000
    assert time.monotonic() - started < 1.0


def test_a_broker_that_is_back_limits_again(
    broker: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "REST_S", 0.0)
    limiter = MovingWindow(broker)
    working = limiter._limiter
    limiter._limiter = MovingWindow("redis://127.0.0.1:1/0")._limiter
    limiter.take("back", 1)
    limiter._limiter = working
    with caplog.at_level(logging.WARNING):
        assert limiter.take("back", 1) is None
        assert limiter.take("back", 1) is not None
    assert any("limited again" in record.message for record in caplog.records)
