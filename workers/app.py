"""Celery for workers: what they need beyond what producers know, and the entry point of a worker process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from service.bootstrap import celery_app, continued_trace, start_logging
from service.errors import InvalidInput
from service.ports import QUEUES, Sweep
from service.settings import Settings, check_settings

if TYPE_CHECKING:
    from celery import Celery

    from workers.tasks import Perform

WORKER_SETTINGS = {
    # A task is acknowledged when it is done, so that what a lost process was at comes back; after the third loss not
    # any more (without that limit a picture that ends its process did so 41 times in 8 seconds).
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "task_retry_on_worker_lost": True,
    "worker_prefetch_multiplier": 1,
    # A replacement child gets this long to start; Celery's 4 s kill each one that loads a network.
    "worker_proc_alive_timeout": 120.0,
    # On SIGTERM tasks may finish for so long, then they go back to the queue: less than the 10 s of `docker stop`.
    "worker_soft_shutdown_timeout": 5.0,
    "worker_enable_soft_shutdown_on_idle": True,
    "worker_redirect_stdouts": False,
    "worker_send_task_events": False,
}


@contextmanager
def worker_app(settings: Settings, queue: str, perform: Perform) -> Iterator[Celery]:
    """The Celery application of one worker, for the length of the block.

    Args:
        settings: where the broker is; without one it is in this process.
        queue: "embed", "optimise" or "maintenance"; the last also sweeps every `sweep_interval_s`.
        perform: what carries out a message.
    """
    from workers.sweeper import sweep_every
    from workers.tasks import add_tasks

    with celery_app(settings) as app:
        app.conf.update(WORKER_SETTINGS)
        add_tasks(app, perform, partial(continued_trace, settings))
        if queue == QUEUES[Sweep]:
            app.steps["worker"].add(sweep_every(settings.sweep_interval_s))
        app.finalize()
        yield app


def run_worker(settings: Settings, queue: str, concurrency: int = 1) -> int:
    """Work on one queue until a signal ends it: SIGTERM lets tasks finish. Returns the exit code.

    Children are forked and open their own context at their first task: a network loaded, or a store opened, before the
    fork would hang them.

    Raises:
        InvalidInput: unknown queue, no broker, or settings that do not go together.
    """
    _check(settings, queue, concurrency)
    threads = max(1, _cores() // concurrency)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    # Celery reads this when it is imported: SIGTERM then hands unfinished tasks back instead of waiting for them.
    os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")

    from workers.process import WorkerProcess

    _keep_our_log(settings)
    process = WorkerProcess(settings, queue, threads)
    process.follow_signals()
    with worker_app(settings, queue, process.perform) as app:
        app.set_current()
        worker = app.Worker(
            hostname=process.name,
            queues=[queue],
            concurrency=concurrency,
            pool="prefork",
            loglevel=settings.log_level,
            quiet=True,
            without_gossip=True,
            without_mingle=True,
        )
        worker.start()
        return int(worker.exitcode or 0)


def _keep_our_log(settings: Settings) -> None:
    """Celery sets up a log of its own unless somebody takes this signal; children inherit ours."""
    from celery.signals import setup_logging

    def ours(**_: object) -> None:
        start_logging(settings)

    setup_logging.connect(ours, weak=False)


def _check(settings: Settings, queue: str, concurrency: int) -> None:
    known = sorted({*QUEUES.values()})
    if queue not in known:
        raise InvalidInput(f"there is no queue {queue!r}: take one of {', '.join(known)}", queue=queue, known=known)
    if concurrency < 1:
        raise InvalidInput(f"a worker needs at least one process, got {concurrency}", concurrency=concurrency)
    if not settings.distributed:
        raise InvalidInput(
            "a worker needs a broker: set HOLOTYPE_BROKER_URL, or leave workers away; without it every command does "
            "its own work"
        )
    check_settings(settings)


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
