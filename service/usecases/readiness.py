"""Is everything there that requests need? Each outside system is asked at once, and given a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from service.errors import HolotypeError
from service.usecases.context import Context

PATIENCE_S = 1.0
FINE = "ok"


class Readiness:
    """Asks database, vector store, blob store and queue. One an application; safe for several threads.

    A system that hangs keeps one thread, however often it is asked about: while that waits, the system counts as down.
    """

    def __init__(self, context: Context, patience_s: float = PATIENCE_S) -> None:
        """`patience_s` is how long all of them together have to answer, in seconds."""
        parts: Mapping[str, Callable[[], None]] = {
            "database": context.registry.ping,
            "vector store": context.store.ping,
            "blob store": context.blobs.ping,
            "queue": context.queue.ping,
        }
        self._questions = {name: _Question(name, ask) for name, ask in parts.items()}
        self._patience_s = patience_s

    def check(self) -> dict[str, str]:
        """For each system "ok", or a sentence about what is wrong."""
        until = time.monotonic() + self._patience_s
        asked = {name: question.ask() for name, question in self._questions.items()}
        found = {}
        for name, answer in asked.items():
            answered = answer.done.wait(max(0.0, until - time.monotonic()))
            found[name] = answer.said if answered else f"does not answer within {self._patience_s:g} s"
        return found


class _Answer:
    def __init__(self) -> None:
        self.done = threading.Event()
        self.said = FINE


class _Question:
    """One system; asked by one thread at a time."""

    def __init__(self, name: str, ask: Callable[[], None]) -> None:
        self._name = name
        self._ask = ask
        self._lock = threading.Lock()
        self._answer: _Answer | None = None

    def ask(self) -> _Answer:
        """The answer, or the one that is still waited for."""
        with self._lock:
            if self._answer is None or self._answer.done.is_set():
                self._answer = _Answer()
                threading.Thread(
                    target=self._run, args=(self._answer,), name=f"ready {self._name}", daemon=True
                ).start()
            return self._answer

    def _run(self, answer: _Answer) -> None:
        try:
            self._ask()
        except HolotypeError as error:
            answer.said = error.message
        except Exception as error:  # noqa: BLE001 -- whatever it is, the system is not ready
            answer.said = f"{type(error).__name__}: {error}"
        finally:
            answer.done.set()
