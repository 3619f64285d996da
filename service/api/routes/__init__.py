"""The routes, one module a group; `service.api.app` puts them together."""

from __future__ import annotations

from fastapi import APIRouter

from service.api.routes import catalogues, examples, health, jobs, pictures, web

ROUTERS: tuple[APIRouter, ...] = (
    health.router,
    catalogues.router,
    examples.router,
    pictures.router,
    jobs.router,
    web.router,
)
"""In the order in which they are looked at and described."""
