"""Jobs whose pictures were never all handed over: nothing of them was accepted, and nothing of them stays."""

from __future__ import annotations

from service.records import Job, JobKind
from service.usecases.classify_results import forget_uploads
from service.usecases.context import Context
from service.usecases.jobs import end_job


def give_up_filling(context: Context, job: Job, reason: str) -> None:
    """End an open job with that sentence, and let go of the bytes that it alone was to answer.

    Pictures to be stored keep their bytes, under the name of what they hold: whoever hands them over again, as one does
    whose job was given up, may be doing so just now.

    Raises:
        Unavailable: an outside system does not answer; the next sweep, or that of a day later, does what is left.
    """
    end_job(context, job.id, None, reason)
    if job.kind is JobKind.CLASSIFY:
        forget_uploads(context, job)
