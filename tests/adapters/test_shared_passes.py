from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from service.adapters.shared_passes import TURN, SharedPasses
from service.errors import Unavailable

PATIENCE_S = 20.0


class Network:
    """Embeds a number n as (n, 1), writes down its passes, and stands still before the passes it is told to."""

    def __init__(self) -> None:
        self.passes: list[list[Any]] = []
        self.kinds: list[str] = []
        self.entered = threading.Semaphore(0)
        self._go = threading.Semaphore(0)
        self.held = True

    def __call__(self, kind: str, inputs: Sequence[Any]) -> np.ndarray:
        self.passes.append(list(inputs))
        self.kinds.append(kind)
        self.entered.release()
        if self.held:
            assert self._go.acquire(timeout=PATIENCE_S)
        for one in inputs:
            if isinstance(one, Exception):
                raise one
        return np.array([[one, 1] for one in inputs], dtype=np.float32)

    def go(self) -> None:
        self.held = False
        self._go.release(1000)


def waiting_calls(passes: SharedPasses) -> int:
    with passes._changed:
        return sum(map(len, passes._waiting.values()))


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.002)


class Bench:
    """Passes with a network that stands still, and callers that come one after the other."""

    def __init__(self, passes: SharedPasses, network: Network, pool: ThreadPoolExecutor) -> None:
        self.passes, self.network, self.pool = passes, network, pool

    def call(self, *inputs: Any, kind: str = "pictures", bulk: bool = False) -> Future[np.ndarray]:
        """A call from another thread; back when it waits (or, for the first one, is in its pass)."""
        before = waiting_calls(self.passes)
        first = not self.network.passes
        future = self.pool.submit(self.passes.ask, kind, list(inputs), bulk=bulk)
        if first:
            assert self.network.entered.acquire(timeout=PATIENCE_S)
        else:
            until(lambda: waiting_calls(self.passes) == before + 1)
        return future


@contextmanager
def benched(largest: int = 8, largest_bulk: int = 2):
    network = Network()
    passes = SharedPasses(network, largest=largest, largest_bulk=largest_bulk)
    with ThreadPoolExecutor(64) as pool:
        try:
            yield Bench(passes, network, pool)
        finally:
            network.go()
            passes.close()


def answered(future: Future[np.ndarray]) -> list[float]:
    return future.result(PATIENCE_S)[:, 0].tolist()


def test_what_waits_while_a_pass_runs_goes_into_the_next_one_together_and_each_gets_its_own():
    with benched() as bench:
        calls = [bench.call(n, n + 0.5) for n in range(4)]
        bench.network.go()
        assert [answered(one) for one in calls] == [[n, n + 0.5] for n in range(4)]
        assert bench.network.passes == [[0, 0.5], [1, 1.5, 2, 2.5, 3, 3.5]]


def test_an_idle_network_starts_at_once_with_a_single_input():
    with benched() as bench:
        bench.network.go()
        assert answered(bench.call(7)) == [7]
        assert bench.network.passes == [[7]]


def test_calls_are_served_in_the_order_in_which_they_came_and_long_ones_in_pieces():
    with benched(largest=4) as bench:
        first = bench.call(0)
        long, short = bench.call(*range(10, 20)), bench.call(1)
        bench.network.go()
        assert answered(long) == list(range(10, 20))
        assert [answered(first), answered(short)] == [[0], [1]]
        assert bench.network.passes == [[0], [10, 11, 12, 13], [14, 15, 16, 17], [18, 19, 1]]


def test_an_error_reaches_exactly_the_callers_concerned():
    with benched() as bench:
        first = bench.call(0)
        calls = [bench.call(1), bench.call(2, ValueError("not this one")), bench.call(3)]
        bench.network.go()
        assert [answered(one) for one in (first, calls[0], calls[2])] == [[0], [1], [3]]
        with pytest.raises(ValueError, match="not this one"):
            calls[1].result(PATIENCE_S)
        assert answered(bench.pool.submit(bench.passes.ask, "pictures", [4], bulk=False)) == [4]


def test_a_long_call_that_failed_asks_for_no_further_pass():
    with benched(largest=2) as bench:
        bad = bench.call(ValueError("bad"), 1, 2, 3, 4, 5)
        bench.network.go()
        with pytest.raises(ValueError, match="bad"):
            bad.result(PATIENCE_S)
        assert answered(bench.pool.submit(bench.passes.ask, "pictures", [9], bulk=False)) == [9]
        assert bench.network.passes[1:] == [[9]]


def test_an_encoder_that_answers_too_little_is_found_out():
    passes = SharedPasses(lambda _kind, inputs: np.zeros((len(inputs) - 1, 2), np.float32), largest=8, largest_bulk=2)
    with pytest.raises(RuntimeError, match="1 embeddings for 2 inputs"):
        passes.ask("pictures", [1, 2], bulk=False)
    passes.close()


def test_texts_and_pictures_do_not_share_a_pass():
    with benched() as bench:
        calls = [bench.call(0), bench.call(1), bench.call(2, kind="texts"), bench.call(3, kind="texts"), bench.call(4)]
        bench.network.go()
        assert [answered(one) for one in calls] == [[n] for n in range(5)]
        assert bench.network.passes == [[0], [1], [2, 3], [4]]
        assert bench.network.kinds == ["pictures", "pictures", "texts", "pictures"]


def test_who_asks_waits_for_one_piece_of_bulk_work_at_most():
    with benched() as bench:
        bulk = bench.call(*range(100, 106), bulk=True)
        asked = bench.call(1)
        bench.network.go()
        assert answered(asked) == [1]
        assert answered(bulk) == list(range(100, 106))
        assert bench.network.passes == [[100, 101], [1], [102, 103], [104, 105]]


def test_bulk_work_has_its_turn_however_many_ask():
    with benched(largest=1) as bench:
        calls = [bench.call(0), bench.call(100, 101, 102, bulk=True), *(bench.call(n) for n in range(1, 3 * TURN))]
        bench.network.go()
        for one in calls:
            one.result(PATIENCE_S)
        passes = bench.network.passes
        turns = [number for number, inputs in enumerate(passes) if inputs[0] >= 100]
        assert [passes[turn] for turn in turns] == [[100, 101], [102]]
        assert turns == [TURN, 2 * TURN + 1]


def test_a_caller_that_is_ended_takes_its_call_back():
    class Ended(BaseException):
        pass

    with benched() as bench:
        bench.call(0)
        outcome: list[BaseException] = []

        def caller() -> None:
            try:
                bench.passes.ask("pictures", [1], bulk=True)
            except Ended as error:
                outcome.append(error)

        thread = threading.Thread(target=caller)
        thread.start()
        until(lambda: waiting_calls(bench.passes) == 1)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Ended))
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
        assert len(outcome) == 1
        assert waiting_calls(bench.passes) == 0
        bench.network.go()
        assert answered(bench.pool.submit(bench.passes.ask, "pictures", [2], bulk=False)) == [2]
        assert [1] not in bench.network.passes


def test_closing_ends_the_pass_that_runs_and_lets_nobody_hang():
    with benched() as bench:
        running, waiting, bulk = bench.call(0), bench.call(1), bench.call(2, bulk=True)
        closing = bench.pool.submit(bench.passes.close)
        for one in (waiting, bulk):
            with pytest.raises(Unavailable, match="stopping"):
                one.result(PATIENCE_S)
        assert not closing.done()
        bench.network.go()
        assert answered(running) == [0]
        closing.result(PATIENCE_S)
        with pytest.raises(Unavailable, match="stopping"):
            bench.passes.ask("pictures", [3], bulk=False)
        bench.passes.close()


def test_many_threads_at_once_all_get_their_own_in_few_passes():
    network = Network()
    network.held = False

    def slow(kind: Any, inputs: Sequence[Any]) -> np.ndarray:
        time.sleep(0.005)
        return network(kind, inputs)

    passes = SharedPasses(slow, largest=32, largest_bulk=8)
    sizes = [1 + n % 3 for n in range(200)]
    with ThreadPoolExecutor(32) as pool:
        asked = [
            pool.submit(passes.ask, "pictures", [n + i / 10 for i in range(size)], bulk=n % 7 == 0)
            for n, size in enumerate(sizes)
        ]
        for n, (future, size) in enumerate(zip(asked, sizes, strict=True)):
            np.testing.assert_allclose(answered(future), [n + i / 10 for i in range(size)], rtol=1e-6)
    passes.close()
    assert sum(map(len, network.passes)) == sum(sizes)
    assert max(map(len, network.passes)) <= 32
    assert len(network.passes) < len(sizes) / 2
