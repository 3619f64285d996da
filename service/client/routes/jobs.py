"""Requests about jobs, what starts them, and webhooks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from service.client.calls import Call, ParameterValue, Part, delete, get, model, new_key, params_of, path_of
from service.client.models.answers import Classified
from service.client.models.base import Page
from service.client.models.jobs import Delivery, Item, Job, Webhook
from service.client.routes.catalogues import of

UPLOAD_S = 300.0
"""A server answers when it has stored what was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture to hand over.

    Attributes:
        source: what reports call it; its first folder is its label where `label` is None.
        content: its bytes.
        label: None for pictures to be classified, or labelled by their source.
        split: "auto", "support", "tuning" or "holdout".
        metadata: the user's own texts by name.
        box: "x,y,width,height" in pixels of the upright picture, where only that part counts.
        mask: the bytes of a mask that says so instead: black where nothing counts.
        keep_aspect: keep the part's proportions instead of stretching it.
    """

    source: str
    content: bytes
    label: str | None = None
    split: str = "auto"
    metadata: Mapping[str, str] = field(default_factory=dict)
    box: str | None = None
    mask: bytes | None = None
    keep_aspect: bool = False


def start_ingest(
    name: str,
    pictures: Sequence[Picture] = (),
    *,
    classify: bool = False,
    top: int | None = None,
    max_error: float | None = None,
    more_follow: bool = False,
) -> Call[Job]:
    """A job that stores labelled pictures, or answers them in bulk; with `more_follow` it waits for `seal`."""
    fields = {"purpose": "classify" if classify else "store", "open": "true" if more_follow else "false"}
    fields |= {key: str(value) for key, value in params_of(top=top, max_error=max_error).items()}
    return _uploading(of(name, "ingests"), pictures, fields, headers=new_key(), classify=classify)


def start_url_ingest(name: str, items: Sequence[Mapping[str, Any]], **options: ParameterValue | None) -> Call[Job]:
    """A job whose pictures the workers fetch; each item is {url, label, split, metadata}."""
    body = {"items": [dict(item) for item in items], **params_of(**options)}
    return Call(
        method="POST",
        path=of(name, "ingests"),
        json=body,
        headers=new_key(),
        read=model(Job),
        repeatable=True,
        timeout_s=UPLOAD_S,
    )


def add_pictures(job: str, pictures: Sequence[Picture], *, classify: bool = False) -> Call[Job]:
    """Pictures for an open job. One that it has already is not added again, so this may be repeated."""
    return _uploading(path_of("v1", "jobs", job, "pictures"), pictures, {}, headers={}, classify=classify)


def seal(job: str) -> Call[Job]:
    """All pictures are there: the job begins. Doing it again changes nothing."""
    return Call(method="POST", path=path_of("v1", "jobs", f"{job}:seal"), read=model(Job), repeatable=True)


def optimise(name: str, options: Mapping[str, Any] | None = None) -> Call[Job]:
    """A job that chooses references; `options` as `holotype optimise` has them."""
    given = {key: value for key, value in (options or {}).items() if value is not None}
    return Call(
        method="POST",
        path=of(f"{name}:optimise"),
        json=given,
        headers=new_key(),
        read=model(Job),
        repeatable=True,
    )


def list_jobs(
    *,
    state: Sequence[str] | None = None,
    kind: str | None = None,
    catalogue: str | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> Call[Page[Job]]:
    """A page of jobs, newest first."""
    return get("/v1/jobs", model(Page[Job]), state=state, kind=kind, catalogue=catalogue, cursor=cursor, limit=limit)


def show_job(job: str) -> Call[Job]:
    """One job."""
    return get(path_of("v1", "jobs", job), model(Job))


def list_items(
    job: str, *, state: Sequence[str] | None = None, cursor: str | None = None, limit: int = 500
) -> Call[Page[Item]]:
    """A page of a job's pictures."""
    return get(path_of("v1", "jobs", job, "items"), model(Page[Item]), state=state, cursor=cursor, limit=limit)


def job_events(job: str, last_event_id: str | None = None) -> Call[bytes]:
    """A job's progress as server-sent events, from behind the last one seen."""
    headers = {"Accept": "text/event-stream"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    path = path_of("v1", "jobs", job, "events")
    return Call(method="GET", path=path, headers=headers, read=_bytes, repeatable=True, timeout_s=60.0)


def job_results(job: str, *, partial: bool = False) -> Call[list[Classified]]:
    """The answers of a classify job, in order; with `partial` those that are there while it works."""
    return get(path_of("v1", "jobs", job, "results"), _lines, partial=partial)


def pause_job(job: str) -> Call[Job]:
    """A job that waits for `resume_job`."""
    return _asked(job, "pause")


def resume_job(job: str) -> Call[Job]:
    """A paused job that goes on."""
    return _asked(job, "resume")


def cancel_job(job: str) -> Call[Job]:
    """A job that ends; what it has done stays."""
    return _asked(job, "cancel")


def retry_job(job: str) -> Call[Job]:
    """A job of the failed and cancelled pictures of another; asked again, the same one."""
    return _asked(job, "retry")


def create_webhook(url: str, events: Sequence[str] | None = None) -> Call[Webhook]:
    """A webhook, with the secret by which its receiver knows us."""
    body = {"url": url} | ({} if events is None else {"events": list(events)})
    return Call(method="POST", path="/v1/webhooks", json=body, read=model(Webhook))


def list_webhooks() -> Call[Page[Webhook]]:
    """All webhooks, oldest first."""
    return get("/v1/webhooks", model(Page[Webhook]))


def show_webhook(webhook: str) -> Call[Webhook]:
    """One webhook."""
    return get(path_of("v1", "webhooks", webhook), model(Webhook))


def delete_webhook(webhook: str) -> Call[None]:
    """A webhook less."""
    return delete(path_of("v1", "webhooks", webhook))


def list_deliveries(webhook: str, cursor: str | None = None, limit: int = 100) -> Call[Page[Delivery]]:
    """A page of what was sent to a webhook, newest first."""
    return get(path_of("v1", "webhooks", webhook, "deliveries"), model(Page[Delivery]), cursor=cursor, limit=limit)


def test_webhook(webhook: str) -> Call[Delivery]:
    """A message to a webhook, to see whether it arrives."""
    return Call(method="POST", path=path_of("v1", "webhooks", f"{webhook}:test"), read=model(Delivery))


def _asked(job: str, what: str) -> Call[Job]:
    return Call(method="POST", path=path_of("v1", "jobs", f"{job}:{what}"), read=model(Job), repeatable=True)


def _uploading(
    path: str, pictures: Sequence[Picture], fields: dict[str, str], *, headers: Mapping[str, str], classify: bool
) -> Call[Job]:
    """Names go in `paths`, which keeps them as they are; labels, splits and metadata in a manifest that names them."""
    masks = [] if classify else [(mask_name(row), one.mask) for row, one in enumerate(pictures) if one.mask is not None]
    parts = [Part("pictures", "picture", one.content) for one in pictures]
    parts += [Part("pictures", "mask", mask) for _, mask in masks]
    if not classify and pictures:
        parts.append(Part("manifest", "manifest.jsonl", manifest_of(pictures), "application/x-ndjson"))
    return Call(
        method="POST",
        path=path,
        fields=fields,
        repeated={"paths": [one.source for one in pictures] + [name for name, _ in masks]} if pictures else {},
        parts=parts,
        headers=headers,
        read=model(Job),
        repeatable=True,
        timeout_s=UPLOAD_S,
    )


def mask_name(row: int) -> str:
    """What the mask of the picture in this row of a request is called in it."""
    return f".masks/{row}"


def manifest_of(pictures: Sequence[Picture]) -> bytes:
    """A line for each picture that says something about it, as a server's manifest is read."""
    lines = []
    for row, one in enumerate(pictures):
        line: dict[str, object] = {**one.metadata, "path": one.source, "split": one.split}
        if one.box is not None:
            line["box"] = one.box
        if one.mask is not None:
            line["mask"] = mask_name(row)
        if one.keep_aspect:
            line["keep_aspect"] = True
        lines.append(json.dumps(line if one.label is None else {**line, "label": one.label}))
    return ("\n".join(lines) + "\n").encode()


def _lines(response: httpx.Response) -> list[Classified]:
    return [Classified.model_validate_json(line) for line in response.iter_lines() if line]


def _bytes(response: httpx.Response) -> bytes:
    return response.content
