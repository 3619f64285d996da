"""The routes, one module a group; `service.api.app` puts them together."""

from __future__ import annotations

from fastapi import APIRouter

from service.api.routes import (
    archives,
    catalogues,
    classify,
    evaluate,
    examples,
    health,
    hygiene,
    ingests,
    job_events,
    jobs,
    judgements,
    keys,
    labels,
    maps,
    me,
    optimise,
    pictures,
    preview,
    results,
    search,
    selections,
    session,
    tenants,
    verify,
    web,
    webhooks,
)

ROUTERS: tuple[APIRouter, ...] = (
    health.router,
    session.router,
    me.router,
    tenants.router,
    keys.router,
    catalogues.router,
    archives.router,
    labels.router,
    examples.router,
    pictures.router,
    selections.router,
    judgements.router,
    hygiene.router,
    maps.router,
    ingests.router,
    results.router,
    classify.router,
    verify.router,
    search.router,
    evaluate.router,
    preview.router,
    optimise.router,
    jobs.router,
    job_events.router,
    webhooks.router,
    web.router,
)
"""In the order in which they are looked at and described."""
