"""Quotas: what a tenant may use, and the sentence for what goes beyond it.

`check_catalogue_quota` and `check_pictures_quota` answer early, before bytes are read; they promise nothing, because
others ask at the same time. What holds is that the registry counts and refuses in the transaction that adds a catalogue
or items (`refuse_beyond`), under a lock on the tenant's row: of two requests at once that would both just fit, one is
refused. A job's pictures are added in batches, each counted by itself, so a job may be refused in its middle: then
nothing of it is taken. A picture that turns out to be a duplicate counted until it was settled. Those of a job that is
open for more wait for nobody: they are in flight from its seal on.
"""

from __future__ import annotations

import math

from service.errors import QuotaExceeded, TenantNotFound, counted
from service.ports import RateLimiter, Registry
from service.records import JobKind, Quotas, Tenant, Usage
from service.usecases.context import Context

RETRY_ITEMS_S = 30.0
"""When to ask again after too many pictures in flight: a worker settles some hundred in that time."""


def check_catalogue_quota(context: Context, tenant: str) -> None:
    """May the tenant make another catalogue? Raises QuotaExceeded."""
    _check(context.registry, tenant, Usage(catalogues=1))


def check_pictures_quota(
    context: Context, tenant: str, pictures: int, kind: JobKind = JobKind.INGEST, *, unsealed: bool = False
) -> None:
    """May the tenant hand over so many pictures more, to be stored (INGEST) or only answered (CLASSIFY)?

    Pictures on their way count as examples too: each may become one. `unsealed`: they wait for their seal, not for a
    worker. Raises QuotaExceeded.
    """
    _check(context.registry, tenant, pictures_asked(pictures, kind, unsealed=unsealed))


def check_requests_quota(context: Context, rates: RateLimiter, tenant: str) -> None:
    """Count a request of the tenant. Raises QuotaExceeded, with the time to wait, when it is one too many."""
    try:
        allowed = context.registry.tenant(tenant).quotas.requests_per_minute
    except TenantNotFound:  # deleted since its key was looked at; whoever goes on finds nothing
        return
    wait_s = None if allowed is None else rates.take(tenant, allowed)
    if wait_s is not None:
        raise QuotaExceeded(
            f"tenant {tenant!r} may ask {counted(allowed or 0, 'time')} a minute: wait {max(1, math.ceil(wait_s))} s",
            retry_after_s=wait_s,
            quota="requests_per_minute",
            limit=allowed,
        )


def pictures_asked(pictures: int, kind: JobKind, *, unsealed: bool = False) -> Usage:
    """What a job's pictures take up: those of an ingest job may all become examples."""
    return Usage(examples=pictures if kind is JobKind.INGEST else 0, inflight_items=0 if unsealed else pictures)


def sealed_asked(quotas: Quotas, pictures: int) -> Usage:
    """What an open job takes up when it is sealed: its examples were counted as they came.

    One that is larger than the quota waits until nothing else is in flight: waiting always helps, or its tenant could
    never hand it over.
    """
    limit = quotas.inflight_items
    return Usage(inflight_items=pictures if limit is None else min(pictures, max(1, limit)))


def limits_anything(quotas: Quotas, asked: Usage) -> bool:
    """Could these quotas refuse what is asked, whatever is used already? Else nothing has to be counted."""
    return any(
        limit is not None and wanted > 0
        for limit, wanted in (
            (quotas.catalogues, asked.catalogues),
            (quotas.examples, asked.examples),
            (quotas.inflight_items, asked.inflight_items),
        )
    )


def refuse_beyond(tenant: Tenant, used: Usage, asked: Usage) -> None:
    """Raises QuotaExceeded when what is used and what is asked for together are more than the tenant may use."""
    quotas = tenant.quotas
    if _beyond(quotas.catalogues, used.catalogues, asked.catalogues):
        raise _exceeded(tenant, "catalogues", quotas.catalogues, used.catalogues, asked.catalogues)
    if _beyond(quotas.inflight_items, used.inflight_items, asked.inflight_items):
        fits_later = asked.inflight_items <= (quotas.inflight_items or 0)
        raise _exceeded(
            tenant,
            "inflight_items",
            quotas.inflight_items,
            used.inflight_items,
            asked.inflight_items,
            retry_after_s=RETRY_ITEMS_S if fits_later else None,
        )
    stored = used.examples + used.inflight_items + used.unsealed_items
    if _beyond(quotas.examples, stored, asked.examples):
        raise _exceeded(tenant, "examples", quotas.examples, stored, asked.examples)


_TOLD = {
    "catalogues": "catalogues are there: delete one, or ask for a larger quota",
    "examples": "examples are stored or on their way: delete some, or ask for a larger quota",
    "inflight_items": "pictures were handed over and wait for a worker: hand over fewer at once, or wait",
}


def _exceeded(
    tenant: Tenant, quota: str, limit: int | None, used: int, asked: int, retry_after_s: float | None = None
) -> QuotaExceeded:
    return QuotaExceeded(
        f"{asked} more would be beyond the quota of tenant {tenant.name!r}: {used} of {limit} {_TOLD[quota]}",
        retry_after_s=retry_after_s,
        quota=quota,
        limit=limit,
        used=used,
        asked=asked,
    )


def _beyond(limit: int | None, used: int, asked: int) -> bool:
    return limit is not None and asked > 0 and used + asked > limit


def _check(registry: Registry, tenant: str, asked: Usage) -> None:
    found = registry.tenant(tenant)
    if limits_anything(found.quotas, asked):
        refuse_beyond(found, registry.usage(tenant), asked)
