"""Bytes of pictures that failed or were cancelled: kept for a day, so that they can be tried again, then forgotten."""

from __future__ import annotations

from service.errors import CatalogueNotFound
from service.records import ItemState, Job, JobKind
from service.usecases.classify_results import forget_uploads
from service.usecases.context import Context
from service.usecases.forgetting import forget_pictures
from service.usecases.splitting import BATCH

NOT_DONE = (ItemState.FAILED, ItemState.CANCELLED, ItemState.PENDING)
JOBS_AT_ONCE = 20


def forget_leftovers(context: Context) -> int:
    """Forget what was kept long enough, of a few jobs; how many jobs that were. Broken off, it is done again.

    Raises:
        Unavailable: an outside system does not answer.
    """
    due = context.registry.jobs_to_forget(JOBS_AT_ONCE)
    for job in due:
        if job.kind is JobKind.CLASSIFY:
            forget_uploads(context, job)
        else:
            _forget(context, job)
        context.registry.forgot_job(job.id)
    return len(due)


def _forget(context: Context, job: Job) -> None:
    """Pictures that an example, or a job that tries them again, needs are left alone."""
    try:
        catalogue = context.registry.catalogue_by_id(job.catalogue_id)
    except CatalogueNotFound:  # its deletion forgets them
        return
    after = None
    while items := context.registry.items_page(job.id, states=NOT_DONE, after=after, limit=BATCH):
        forget_pictures(context, catalogue, [item.picture for item in items if item.content_hash])
        after = items[-1].id
