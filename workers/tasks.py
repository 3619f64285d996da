"""The Celery tasks, one a message: parse it, call the use case. What an error means is decided in `carry_out`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_info, threadpool_limits

from service.errors import LeaseHeld, NotFound, Unavailable
from service.ports import QUEUES, DeliverWebhook, EmbedChunk, FinishIngest, Message, RunFinetune, RunOptimise, Sweep
from service.usecases.context import Context
from service.usecases.finetuning import run_finetune
from service.usecases.finish_ingest import finish_ingest
from service.usecases.jobs import fail_job
from service.usecases.log_context import log_ids
from service.usecases.next_chunk import work_on_next_chunk
from service.usecases.optimise import run_optimise
from service.usecases.sweep import sweep
from service.usecases.webhooks import deliver_webhook

if TYPE_CHECKING:
    from celery import Celery

logger = logging.getLogger(__name__)

RETRIES: dict[str, Any] = {
    "autoretry_for": (LeaseHeld, Unavailable),
    "max_retries": 3,
    "retry_backoff": 1,
    "retry_backoff_max": 30,
    "retry_jitter": True,
    # Celery waits three minutes before it tries a task again whose process was lost.
    "default_retry_delay": 2,
}
"""Tried again are outages and tasks whose process was lost; what still fails then, the sweeper finds."""

Perform = Callable[[Message], None]
Trace = Callable[[Mapping[str, Any], str], AbstractContextManager[None]]
"""Given a message's headers and its name: what its task runs in, as a part of the trace that it was sent in."""


def no_trace(_headers: Mapping[str, Any], _name: str) -> AbstractContextManager[None]:
    """Nobody asks for traces."""
    return nullcontext()


def add_tasks(app: Celery, perform: Perform, trace: Trace = no_trace) -> None:
    """Register one task for each kind of message, named after its class, with the fields as keywords.

    Not shared: Celery would hand the tasks to every other application of the process, too, and there may be several.
    """
    for kind in QUEUES:
        app.task(_task(kind, perform, trace), bind=True, name=kind.__name__, shared=False, **RETRIES)


def _task(kind: type[Message], perform: Perform, trace: Trace) -> Callable[..., None]:
    def task(self: Any, **fields: Any) -> None:  # noqa: ANN401 -- the fields of the message, as JSON had them
        with trace(self.request.headers or {}, kind.__name__):
            perform(kind(**fields))

    return task


def blas_threads() -> int:
    """Threads that this process was given: OMP_NUM_THREADS, or its cores."""
    return max((library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"), default=1)


def carry_out(context: Context, message: Message) -> None:
    """Do what the message asks.

    A message is a hint: work that is gone (deleted meanwhile) or in other hands is no error. An error that trying again
    would not mend ends the job with that sentence, or somebody would wait for it without end.

    Raises:
        Unavailable: an outside system does not answer; Celery tries the task again.
        LeaseHeld: for a FinishIngest, whose turn comes as soon as the catalogue's other job has ended; tried again too.
    """
    with log_ids({"task": type(message).__name__, "job": asdict(message).get("job_id")}):
        _carry_out(context, message)


def _carry_out(context: Context, message: Message) -> None:
    try:
        _call_use_case(context, message)
    except Unavailable:
        raise
    except (LeaseHeld, NotFound) as error:
        if isinstance(error, LeaseHeld) and isinstance(message, FinishIngest):
            raise
        logger.info("nothing to do for %s: %s", message, error)
    except Exception as error:
        logger.exception("%s failed", message)
        if job_id := asdict(message).get("job_id"):
            fail_job(context, job_id, error)


def _call_use_case(context: Context, message: Message) -> None:
    match message:
        case EmbedChunk():
            work_on_next_chunk(context)  # the message is a token: whose turn it is, the registry knows
        case FinishIngest(job_id):
            finish_ingest(context, job_id)
        case RunOptimise(job_id):
            # Many small products: a second BLAS thread mostly spins (measured: 0.33 against 1.6 CPU seconds a trial).
            # Threads that this process was given run folds side by side instead, where pictures are many.
            threads = blas_threads()
            with threadpool_limits(1, user_api="blas"):
                run_optimise(context, job_id, threads)
        case RunFinetune(job_id):
            run_finetune(context, job_id)
        case DeliverWebhook(delivery_id):
            deliver_webhook(context, delivery_id)
        case Sweep():
            sweep(context)
