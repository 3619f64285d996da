import subprocess
import sys
import threading
import time

import pytest

from service.ports import RunOptimise, Sweep
from workers import interruptible
from workers.interruptible import Interruptible


@pytest.fixture
def tasks(monkeypatch):
    """Interruptible tasks whose work is to call the message."""
    monkeypatch.setattr(interruptible, "carry_out", lambda context, message: message())
    return Interruptible()


def begin(tasks, work):
    """Run `work` as a task in a thread; returns once it is at it."""
    at_it = threading.Event()

    def message():
        at_it.set()
        work()

    thread = threading.Thread(target=tasks.run, args=(None, message))
    thread.start()
    assert at_it.wait(10)
    return thread


def spin():
    while True:
        time.sleep(0.001)


def test_a_task_that_ends_by_itself_is_let_end(tasks):
    done = []
    thread = begin(tasks, lambda: (time.sleep(0.2), done.append(True)))
    assert tasks.stop(10, 10)
    thread.join(10)
    assert done == [True]


def test_a_task_that_does_not_is_interrupted(tasks):
    let_go = []

    def work():
        try:
            spin()
        finally:
            let_go.append(True)

    thread = begin(tasks, work)
    assert tasks.stop(0.05, 10)
    thread.join(10)
    assert let_go == [True]
    assert not thread.is_alive()


def test_handlers_of_failures_do_not_take_it_for_one(tasks):
    def work():
        while True:
            try:
                spin()
            except Exception:  # noqa: BLE001 -- as a use case might
                continue

    thread = begin(tasks, work)
    assert tasks.stop(0.05, 10)
    thread.join(10)


def test_a_task_that_cannot_be_interrupted_is_told_of_and_left(tasks, caplog):
    release = threading.Event()
    thread = begin(tasks, lambda: release.wait(60))  # one call into C, as long as it likes
    assert not tasks.stop(0.05, 0.05)
    assert "still runs" in caplog.text
    release.set()
    thread.join(10)
    assert not thread.is_alive()


def test_nothing_begins_after_the_stop(tasks):
    assert tasks.stop(0, 0)
    tasks.run(None, lambda: pytest.fail("begun"))


def test_a_failing_task_is_not_at_it_any_more(tasks):
    def fail():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        tasks.run(None, fail)
    assert tasks.stop(0, 0)


def test_messages_reach_the_use_cases(context, caplog):
    caplog.set_level("INFO")
    tasks = Interruptible()
    tasks.run(context, Sweep())
    tasks.run(context, RunOptimise("no such job"))
    assert "nothing to do for RunOptimise(job_id='no such job')" in caplog.text


def test_a_profiled_process_goes_on_when_tasks_end_by_themselves():
    """Such as one of `python -m cProfile`."""
    code = """
import sys
from workers import interruptible
interruptible.carry_out = lambda context, message: None
tasks = interruptible.Interruptible()
sys.setprofile(lambda *told: None)
tasks.run(None, None)
print(tasks.stop(1, 1))
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert said.stdout == "True\n"
