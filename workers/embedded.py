"""Workers inside the process that asks: Celery's own worker in threads, on a broker in memory.

What is lost with the process is only hints: job rows are the truth, and whoever opens the data directory next starts
with a sweep. So stopping is quick: tasks get a moment to end, then they are interrupted, and the next run resumes them.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from celery import Celery
from celery.concurrency.thread import TaskPool

from service.errors import Unavailable
from service.ports import QUEUES, EmbedChunk, Message, Sweep
from service.settings import Settings
from service.usecases.context import Context, for_worker
from workers.app import worker_app
from workers.interruptible import Interruptible

logger = logging.getLogger(__name__)

EMBED_THREADS = 2
"""While one chunk is in the network, the next is decoded and the one before is stored: the network never waits."""
START_S = 30.0
GRACE_S = 1.0
"""What running tasks get to end by themselves: most take less."""
STOP_S = 20.0
"""What interrupted tasks get to reach Python code; one forward pass of a large network on a CPU is the longest."""


@contextmanager
def embedded_workers(context: Context, settings: Settings) -> Iterator[None]:
    """Work on all queues in threads of this process for the length of the block.

    In a distributed set-up this does nothing: worker processes do the work. Installs no signal handler and writes
    nothing to standard output. Unfinished jobs of an earlier run are taken up first.

    Raises:
        Unavailable: a worker did not start.
    """
    if settings.distributed:
        yield
        return
    # Each worker warns of being shut down from outside, which here is how it is meant.
    logging.getLogger("celery.worker.control").setLevel(logging.ERROR)
    tasks = Interruptible()
    context.queue.enqueue(Sweep())
    with ExitStack() as stack:
        decoders = ThreadPoolExecutor(settings.decode_threads, thread_name_prefix="decode")
        stack.callback(decoders.shutdown, wait=False, cancel_futures=True)
        context = replace(context, decoders=decoders)
        for queue in sorted({*QUEUES.values()}):
            stack.enter_context(_worker(context, settings, queue, tasks))
        stack.callback(tasks.stop, GRACE_S, STOP_S)
        yield


@contextmanager
def _worker(context: Context, settings: Settings, queue: str, tasks: Interruptible) -> Iterator[None]:
    """One Celery worker with its task threads, in a thread of its own.

    Each queue has its own application, because a worker narrows its application's queues to its own.
    """
    name = f"{queue}@embedded-{uuid.uuid4().hex[:8]}"

    def perform(message: Message) -> None:
        # Each thread is an owner of its own: the chunk of one is not the other's to go on with.
        tasks.run(for_worker(context, f"{context.owner}/{queue}/{threading.get_ident()}"), message)

    with worker_app(settings, queue, perform) as app:
        thread = _started(app, queue, name)
        try:
            yield
        finally:
            app.control.shutdown(destination=[name])  # read by the worker's own thread: nothing stops in mid-air
            thread.join(STOP_S)


def _started(app: Celery, queue: str, name: str) -> threading.Thread:
    """A thread that runs a worker, once it takes tasks. Raises Unavailable when it does not come to that."""
    ready = threading.Event()
    worker = app.WorkController(
        hostname=name,
        queues=[app.conf.task_routes[kind.__name__]["queue"] for kind in QUEUES if QUEUES[kind] == queue],
        concurrency=EMBED_THREADS if queue == QUEUES[EmbedChunk] else 1,
        prefetch_multiplier=4,  # the broker is polled: the next message is here already when a task ends
        pool=AppThreads,
        ready_callback=lambda _: ready.set(),
        without_heartbeat=True,
        without_mingle=True,
        without_gossip=True,
    )
    thread = threading.Thread(target=worker.start, name=name, daemon=True)
    thread.start()
    if not ready.wait(START_S):
        raise Unavailable(f"the worker of queue {queue!r} did not start within {START_S:.0f} s")
    return thread


class AppThreads(TaskPool):  # type: ignore[misc]  # Celery has no types
    """Celery's thread pool, for several applications in one process, and without waiting at its end.

    Celery's tracer takes the application from the thread it runs in; a new thread would have the default one.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self.executor = ThreadPoolExecutor(max_workers=self.limit, initializer=self.app.set_current)

    def on_stop(self) -> None:
        """Tasks have ended or were interrupted before; whichever is still in a C call is not waited for here."""
        self.executor.shutdown(wait=False, cancel_futures=True)
