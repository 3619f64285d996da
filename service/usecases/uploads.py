"""Pictures that are sent to the service, to be stored under labels or only answered: in one request or in several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.errors import CatalogueNotFound, HolotypeError, InvalidInput, WrongState
from service.records import Catalogue, Job, JobKind, JobState
from service.usecases.context import Context, partition_of
from service.usecases.giving_up import give_up_filling
from service.usecases.handing_over import Picture, add_pictures, filled_job, seal
from service.usecases.hints import to_create
from service.usecases.jobs import tenant_job
from service.usecases.quotas import check_pictures_quota
from service.usecases.rejecting import policy_of
from service.usecases.resolver import Resolver

MOST_PICTURES = 10_000
"""A request. An open ingest takes any number, in several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """What pictures are sent for.

    Attributes:
        kind: INGEST stores them as examples, CLASSIFY answers them and forgets them.
        open: more follows; the job begins when it is sealed.
        top: labels that each answer names.
        max_error: 0..1; answers that cannot be trusted enough for it are rejected. None accepts all.
        fetches: True when the pictures are URLs that workers fetch.
        label: of pictures that follow without one of their own (INGEST).
        split: of pictures that follow without one of their own (INGEST).
    """

    kind: JobKind
    open: bool = False
    top: int = 5
    max_error: float | None = None
    fetches: bool = False
    label: str | None = None
    split: str = "auto"

    def as_parameters(self) -> dict[str, object]:
        """What the job keeps."""
        kept: dict[str, object] = {"open": self.open, "fetches": self.fetches}
        if self.kind is JobKind.CLASSIFY:
            kept |= {"top": self.top, "max_error": self.max_error}
        elif self.open:
            kept |= {"label": self.label, "split": self.split}
        return kept


def catalogue_for_upload(context: Context, tenant: str, name: str) -> Catalogue:
    """The catalogue. Raises CatalogueNotFound, saying how to make it."""
    try:
        return context.registry.catalogue(tenant, name)
    except CatalogueNotFound as error:
        raise CatalogueNotFound(f"{error.message}: make it first, {to_create(name)}", catalogue=name) from None


def start_upload(context: Context, tenant: str, name: str, pictures: Sequence[Picture], purpose: Purpose) -> Job:
    """A job with these pictures: queued, or still open for more.

    Raises:
        CatalogueNotFound: the tenant has no such catalogue.
        InvalidInput: there is no picture, or the purpose cannot be met; nothing was taken.
        NothingToServe: the catalogue holds no example that could answer.
        QuotaExceeded: they are too many for the tenant.
        Unavailable: an outside system does not answer.
    """
    catalogue = catalogue_for_upload(context, tenant, name)
    if purpose.kind is JobKind.CLASSIFY:
        _check_answerable(context, catalogue, purpose)
    if not pictures and not purpose.open:
        raise InvalidInput("no picture was sent: send each as a file part named `pictures`")
    _check_quota(context, tenant, purpose.kind, pictures, unsealed=purpose.open)
    if not purpose.open:
        return filled_job(context, catalogue, purpose.kind, purpose.as_parameters(), pictures, once=True)
    job = context.registry.open_job(catalogue, purpose.kind, purpose.as_parameters())
    try:
        add_pictures(context, job, pictures, once=True)
    except HolotypeError as error:  # nobody would ever learn the job's id
        give_up_filling(context, job, f"its first pictures were not taken: {error.message}")
        raise
    return context.registry.job(job.id)


def open_upload(context: Context, tenant: str, job_id: str) -> Job:
    """The open job, which has heard of its sender now.

    Raises:
        NotFound: the tenant has no such job.
        WrongState: it takes no pictures (any more).
    """
    job = tenant_job(context, tenant, job_id)
    if job.state is not JobState.OPENING or not job.parameters.get("open"):
        raise WrongState(_sealed(job), job=job.id, state=job.state.value)
    context.registry.add_items(job.id, [])
    return job


def add_to_upload(context: Context, tenant: str, job_id: str, pictures: Sequence[Picture], *, fetches: bool) -> Job:
    """The open job with these pictures more; one that it has already, by name, content and label, is not added again.

    Raises:
        NotFound, WrongState: as `open_upload`.
        InvalidInput: there is no picture, or the job was opened for the other kind: files or URLs.
        QuotaExceeded: they are too many for the tenant; some may have been added, and the job stays open.
        Unavailable: an outside system does not answer.
    """
    job = open_upload(context, tenant, job_id)
    if not pictures:
        raise InvalidInput("no picture was sent: send each as a file part named `pictures`")
    if bool(job.parameters.get("fetches")) is not fetches:
        wanted = "URLs" if job.parameters.get("fetches") else "files"
        raise InvalidInput(f"job {job_id} was opened for {wanted}: open another one for the rest", job=job_id)
    _check_quota(context, tenant, job.kind, pictures, unsealed=True)
    try:
        add_pictures(context, job, pictures, once=True)
    except InvalidInput as error:
        now = context.registry.job(job.id)
        if now.state is JobState.OPENING:
            raise
        raise WrongState(_sealed(now), job=job.id, state=now.state.value) from error  # somebody was quicker
    return context.registry.job(job.id)


def seal_upload(context: Context, tenant: str, job_id: str) -> Job:
    """Let an open job begin; one that has begun already is answered as it is.

    Raises:
        NotFound: the tenant has no such job.
        WrongState: it never took pictures.
        JobFailed: it was given up or cancelled.
        QuotaExceeded: so many others are in flight that it cannot begin yet; the job stays open.
    """
    job = tenant_job(context, tenant, job_id)
    if not job.parameters.get("open"):
        raise WrongState(_sealed(job), job=job.id, state=job.state.value)
    return seal(context, job)


def _sealed(job: Job) -> str:
    if not job.parameters.get("open"):
        return f"job {job.id} takes no further pictures: it was not opened with open=true; start another one"
    return f"job {job.id} is {job.state.value} and takes no further pictures: start another one"


def _check_answerable(context: Context, catalogue: Catalogue, purpose: Purpose) -> None:
    partition_of(catalogue)
    serving = Resolver(context).serving(catalogue)
    if purpose.max_error is not None:
        policy_of(serving, catalogue.name, purpose.max_error)


def _check_quota(context: Context, tenant: str, kind: JobKind, pictures: Sequence[Picture], *, unsealed: bool) -> None:
    wanted = sum(one.failure is None for one in pictures)
    check_pictures_quota(context, tenant, wanted, kind, unsealed=unsealed)
