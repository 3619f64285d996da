"""Handing pictures over: to be stored under labels or to be answered in bulk, in one request or in several."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Response

from service.api.access import ContextOf, Writer, scoped_router
from service.api.idempotency import REPEATABLE, Answered, once
from service.api.problems import responses
from service.api.routes.catalogues import CatalogueName
from service.api.routes.jobs import JobBody, JobId, job_body
from service.api.upload_forms import (
    MoreForm,
    MoreUrls,
    UploadForm,
    UrlIngest,
    UrlItem,
    pictures_of,
    read_form,
    read_json,
    request_body,
)
from service.api.uploads import ANY_SIZE, Sent, SentParts
from service.errors import InvalidInput
from service.records import Job, JobKind
from service.usecases import uploads
from service.usecases.context import Context
from service.usecases.handing_over import Picture
from service.usecases.url_pictures import NamedPicture, by_url

router = scoped_router("ingests")

EXAMPLE = {"items": [{"url": "https://pictures.example/apple-1.jpg", "label": "apple"}]}


def _catalogue_is_there(name: CatalogueName, who: Writer, context: ContextOf) -> None:
    """Before the body is read."""
    uploads.catalogue_for_upload(context, who.tenant, name)


def _job_is_open(job_id: JobId, who: Writer, context: ContextOf) -> Job:
    """Before the body is read; the job has heard of its sender from now on."""
    return uploads.open_upload(context, who.tenant, job_id)


OpenJob = Annotated[Job, Depends(_job_is_open)]


@router.post(
    "/catalogues/{catalogue}/ingests",
    status_code=202,
    response_model=JobBody,
    dependencies=[*REPEATABLE, Depends(_catalogue_is_there)],
    responses=responses(400, 409, 413, 415),
    openapi_extra=request_body(UploadForm, UrlIngest, EXAMPLE),
    max_body_size=ANY_SIZE,
)
def start_ingest(name: CatalogueName, request: Request, who: Writer, context: ContextOf, sent: SentParts) -> Response:
    """Hand pictures over as files or URLs: a job stores them under their labels, or answers them in bulk."""

    def start() -> Answered:
        job = _started(context, who.tenant, name, sent)
        return Answered(body=job_body(context, job), status=202, location=f"/v1/jobs/{job.id}")

    return once(request, context, who, sent.sha256, start)


@router.post(
    "/jobs/{job}/pictures",
    status_code=202,
    responses=responses(400, 409, 413, 415),
    openapi_extra=request_body(MoreForm, MoreUrls, EXAMPLE),
    max_body_size=ANY_SIZE,
)
def add_to_ingest(job: OpenJob, who: Writer, context: ContextOf, sent: SentParts) -> JobBody:
    """Add pictures to an open ingest. Those that it has already, by name, content and label, are not added again.

    `label` and `split` that this request leaves out are those of the request that opened the ingest.
    """
    fetches = sent.body is not None
    if sent.body is not None:
        more = read_json(MoreUrls, sent.body).over(job.parameters)
        pictures = _by_url(context, more, more.items, labels=job.kind is JobKind.INGEST)
    else:
        pictures = pictures_of(sent, _labelling(read_form(MoreForm, sent), job), job.kind)
    return job_body(context, uploads.add_to_upload(context, who.tenant, job.id, pictures, fetches=fetches))


@router.post("/jobs/{job}:seal", status_code=202, responses=responses(409))
def seal_ingest(job_id: JobId, who: Writer, context: ContextOf) -> JobBody:
    """Let an open ingest begin: all pictures are there. Doing it again changes nothing."""
    return job_body(context, uploads.seal_upload(context, who.tenant, job_id))


def _started(context: Context, tenant: str, name: str, sent: Sent) -> Job:
    if sent.body is None:
        form = read_form(UploadForm, sent)
        purpose = form.as_purpose(fetches=False)
        pictures = pictures_of(sent, form, purpose.kind)
    else:
        urls = read_json(UrlIngest, sent.body)
        purpose = urls.as_purpose(fetches=True)
        pictures = _by_url(context, urls, urls.items, labels=purpose.kind is JobKind.INGEST)
    return uploads.start_upload(context, tenant, name, pictures, purpose)


def _labelling(form: MoreForm, job: Job) -> MoreForm:
    if job.kind is JobKind.CLASSIFY and (form.label is not None or form.split != "auto"):
        raise InvalidInput("the job classifies: its pictures have neither label nor split")
    return form.over(job.parameters)


def _by_url(context: Context, body: UrlIngest | MoreUrls, items: list[UrlItem], *, labels: bool) -> list[Picture]:
    if not labels and any(item.label is not None or item.split is not None for item in items):
        raise InvalidInput("pictures to be classified have neither label nor split")
    named = [
        NamedPicture(
            url=item.url,
            label=item.label or body.label,
            split=item.split or body.split,
            box=item.box,
            keep_aspect=item.keep_aspect,
            metadata=item.metadata,
        )
        for item in items
    ]
    return by_url(context, named, labels=labels)
