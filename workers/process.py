"""What a worker's child process holds: one context, opened after the fork, at the first task."""

from __future__ import annotations

import logging
import os
import socket
import uuid
from contextlib import ExitStack
from dataclasses import replace

from service.bootstrap import open_context, start_tracing
from service.ports import Message
from service.settings import Settings
from service.usecases.context import Context
from workers.tasks import carry_out


class WorkerProcess:
    """Carries out messages in a child process. Made in the parent, which opens nothing."""

    def __init__(self, settings: Settings, queue: str, threads: int) -> None:
        """`threads` is how many threads numeric libraries may use in one child."""
        self.name = f"{queue}-{uuid.uuid4().hex[:8]}@{socket.gethostname()}"
        self._settings = settings
        self._threads = threads
        self._stack = ExitStack()
        self._context: Context | None = None
        self._pid = os.getpid()

    def perform(self, message: Message) -> None:
        """Carry out one message with this process's own context."""
        carry_out(self.context(), message)

    def context(self) -> Context:
        """The context of this process, opened on first use."""
        if self._context is None or self._pid != os.getpid():
            self._pid = os.getpid()
            self._stack = ExitStack()
            opened = self._stack.enter_context(open_context(self._settings))
            self._context = replace(opened, owner=self._owner())
        return self._context

    def follow_signals(self) -> None:
        """Set up each child after the fork, and let go of its context at its end."""
        from celery.signals import worker_process_init, worker_process_shutdown

        worker_process_init.connect(self._on_start, weak=False)
        worker_process_shutdown.connect(self._on_end, weak=False)

    def _on_start(self, **_: object) -> None:
        """Libraries that the parent had imported read OMP_NUM_THREADS then: tell them again."""
        from threadpoolctl import threadpool_limits

        threadpool_limits(self._threads)
        start_tracing(self._settings)  # before the first task, whose span it is
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it would tell of every request to the vector store

    def _on_end(self, **_: object) -> None:
        self._stack.close()

    def _owner(self) -> str:
        """Who holds leases: the worker and the child's place in its pool.

        A child that replaces one that died has the same place, so it may go on with that one's chunk at once.
        """
        from billiard import current_process

        return f"{self.name}/{getattr(current_process(), 'index', 0)}"
