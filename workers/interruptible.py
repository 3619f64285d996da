"""Tasks in threads that can be stopped: they are asked to end, and an exception is raised in those that do not."""

from __future__ import annotations

import ctypes
import logging
import threading

from service.ports import Message
from service.usecases.context import Context
from workers.tasks import carry_out

logger = logging.getLogger(__name__)


class Stopped(BaseException):
    """Raised inside a task's thread to end it. No Exception: nothing that handles failures must take it for one."""


class Interruptible:
    """Carries out messages and knows which threads are at it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: set[int] = set()
        self._interrupted: set[int] = set()
        self._closing = False

    def run(self, context: Context, message: Message) -> None:
        """Carry out one message; nothing at all once stopping has begun."""
        thread = threading.get_ident()
        with self._changed:
            if self._closing:
                return
            self._running.add(thread)
        try:
            carry_out(context, message)
        except Stopped:
            logger.info("%s was interrupted; the next run goes on with it", message)
        finally:
            with self._changed:
                self._running.discard(thread)
                if thread in self._interrupted:
                    _raise_in(thread, None)
                self._changed.notify_all()

    def stop(self, grace_s: float, stop_s: float) -> bool:
        """Begin nothing any more; wait, interrupt what still runs, wait again. True when all have ended."""
        with self._changed:
            self._closing = True
            if self._changed.wait_for(self._idle, grace_s):
                return True
            self._interrupted = set(self._running)
            for thread in self._interrupted:
                _raise_in(thread, Stopped)
            if self._changed.wait_for(self._idle, stop_s):
                return True
        logger.warning("a task still runs %.0f s after it was interrupted; leaving it behind", grace_s + stop_s)
        return False

    def _idle(self) -> bool:
        return not self._running


def _raise_in(thread: int, exception: type[BaseException] | None) -> None:
    """Raise in another thread, at its next step of Python code; None takes back what was not raised yet.

    Taking back where nothing was raised makes every profiled thread of CPython 3.11 stand still for ever.
    """
    value = ctypes.py_object(exception) if exception is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), value)
