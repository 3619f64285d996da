"""Forward passes that several callers share: what waits goes into the next pass together.

One thread runs the passes of one encoder. When it is idle a call begins at once, alone; while a pass runs, calls
collect, and the next pass takes them in the order in which they came. Nobody ever waits for a batch to fill. That it
is always the same thread also spares memory: each would keep what its passes need.

Calls in bulk (pictures of an ingest) go when nobody is asking, a few inputs at a time, so that who asks waits for one
such piece at most. They have their turn after `TURN` passes for others, or a busy service would let a worker's lease on
its chunk run out.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from service.core.model import Float32Array
from service.errors import Unavailable

Kind = Literal["pictures", "texts"]
Run = Callable[[Kind, Sequence[Any]], Float32Array]
"""A forward pass: inputs of one kind to embeddings, a row each."""

TURN = 2
POLL_S = 0.25
"""How long a waiting caller stays deaf: an exception that is to end its thread is seen only between two waits."""
STOP_S = 20.0
"""How long closing waits for the pass that runs; of a large network on a CPU it takes seconds."""


@dataclass(eq=False, slots=True)
class _Call:
    """What a caller waits for. `taken` inputs are in passes or through them; `rows` are the answers so far."""

    kind: Kind
    inputs: Sequence[Any]
    taken: int = 0
    rows: list[Float32Array] = field(default_factory=list)
    error: BaseException | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    def end(self, error: BaseException | None = None) -> None:
        if not self.ended.is_set():
            self.error = error
            self.ended.set()


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some inputs of a call, in one pass."""

    call: _Call
    inputs: Sequence[Any]


class SharedPasses:
    """Runs an encoder's forward passes for many threads."""

    def __init__(self, run: Run, *, largest: int, largest_bulk: int) -> None:
        """Nothing runs before the first call. `largest`, `largest_bulk`: inputs a pass at most."""
        self._run = run
        self._most = {False: largest, True: largest_bulk}
        self._waiting: dict[bool, deque[_Call]] = {False: deque(), True: deque()}
        self._changed = threading.Condition()
        self._since_bulk = 0
        self._closed = False
        self._thread: threading.Thread | None = None

    def ask(self, kind: Kind, inputs: Sequence[Any], *, bulk: bool) -> Float32Array:
        """Embeddings of the inputs, at least one, a row each, in order.

        An exception that is raised in the waiting thread (it is to stop) takes the call back.

        Raises:
            Unavailable: the service is stopping.
            Exception: whatever the encoder raised for these inputs; other callers are not concerned.
        """
        call = _Call(kind, inputs)
        try:
            self._enqueue(call, bulk=bulk)
            while not call.ended.wait(POLL_S):
                pass
        except BaseException:
            self._take_back(call)
            raise
        if call.error is not None:
            raise call.error
        return np.concatenate(call.rows)

    def close(self) -> None:
        """Waiting calls fail, the pass that runs ends. Closing again is fine."""
        with self._changed:
            self._closed = True
            for calls in self._waiting.values():
                for call in calls:
                    call.end(_stopping())
                calls.clear()
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(STOP_S)

    def _enqueue(self, call: _Call, *, bulk: bool) -> None:
        with self._changed:
            if self._closed:
                raise _stopping()
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="forward-passes", daemon=True)
                self._thread.start()
            self._waiting[bulk].append(call)
            self._changed.notify_all()

    def _take_back(self, call: _Call) -> None:
        with self._changed:
            call.end(_stopping())
            for calls in self._waiting.values():
                if call in calls:
                    calls.remove(call)

    def _serve(self) -> None:
        while pieces := self._next():
            self._pass(pieces)

    def _next(self) -> list[_Piece]:
        """The pieces of the next pass, waited for; none when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or any(self._waiting.values()))
            if self._closed:
                return []
            bulk = bool(self._waiting[True]) and (not self._waiting[False] or self._since_bulk >= TURN)
            self._since_bulk = 0 if bulk else self._since_bulk + 1
            return _taken(self._waiting[bulk], self._most[bulk])

    def _pass(self, pieces: Sequence[_Piece]) -> None:
        """One pass. When a shared one fails, each call has one of its own, so that the error reaches its owner."""
        wanted = [piece for piece in pieces if not piece.call.ended.is_set()]
        if not wanted:
            return
        try:
            rows = self._rows(wanted)
        except BaseException as error:  # noqa: BLE001 -- it is the callers', and this thread must go on for others
            if len(wanted) == 1:
                self._fail(wanted[0].call, error)
            else:
                for piece in wanted:
                    self._pass([piece])
            return
        start = 0
        for piece in wanted:
            stop = start + len(piece.inputs)
            _answered(piece.call, rows[start:stop])
            start = stop

    def _rows(self, pieces: Sequence[_Piece]) -> Float32Array:
        inputs = [one for piece in pieces for one in piece.inputs]
        rows = self._run(pieces[0].call.kind, inputs)
        if len(rows) != len(inputs):
            raise RuntimeError(f"the encoder gave {len(rows)} embeddings for {len(inputs)} inputs")
        return rows

    def _fail(self, call: _Call, error: BaseException) -> None:
        """The call's other inputs need no pass any more."""
        with self._changed:
            call.end(error)
            for calls in self._waiting.values():
                if call in calls:
                    calls.remove(call)


def _taken(calls: deque[_Call], most: int) -> list[_Piece]:
    """Up to `most` inputs of one kind from the head of the queue; a call that is too long stays there with its rest."""
    pieces: list[_Piece] = []
    kind = calls[0].kind
    while most and calls and calls[0].kind == kind:
        call = calls[0]
        inputs = call.inputs[call.taken : call.taken + most]
        pieces.append(_Piece(call, inputs))
        call.taken += len(inputs)
        most -= len(inputs)
        if call.taken == len(call.inputs):
            calls.popleft()
    return pieces


def _answered(call: _Call, rows: Float32Array) -> None:
    call.rows.append(rows)
    if sum(map(len, call.rows)) == len(call.inputs):
        call.end()


def _stopping() -> Unavailable:
    return Unavailable("the service is stopping: try again in a moment")
