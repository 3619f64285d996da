"""The application: routes, problems, security headers and request ids, put together."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.telemetry import TelemetryConfig

from service import __version__
from service.api import problems
from service.api.access import WITHOUT_KEY, principal
from service.api.metrics import Metrics
from service.api.observing import QUIET, Observing
from service.api.openapi import describe
from service.api.requests import RequestIds, SecurityHeaders, SizeProblems
from service.api.routes import ROUTERS
from service.bootstrap import rate_limiter, start_tracing
from service.settings import Settings
from service.usecases.context import Context
from service.usecases.readiness import Readiness


def create_app(context: Context, settings: Settings) -> FastAPI:
    """The HTTP application over the wired ports, which stay the caller's to close."""
    app = FastAPI(
        title="Holotype",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        separate_input_output_schemas=False,
        # Clients cut `labels/..` down to the catalogue with a slash behind: a DELETE of that must find nothing.
        redirect_slashes=False,
        telemetry=_telemetry(settings),
    )
    app.state.context = context
    app.state.settings = settings
    app.state.rates = rate_limiter(settings)
    app.state.metrics = Metrics(context)
    app.state.readiness = Readiness(context)
    problems.install(app)
    app.add_middleware(SizeProblems)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(Observing, metrics=app.state.metrics)
    app.add_middleware(RequestIds)
    for router in ROUTERS:
        app.include_router(router)
    describe(app)
    return app


def _telemetry(settings: Settings) -> TelemetryConfig:
    """FastAPI's own spans, where the settings ask for traces; its numbers and logs never, there are ours."""
    config: TelemetryConfig = {"tracing": settings.otel, "metrics": False, "logs": False, "auto_configure": False}
    if settings.otel:
        config["tracer_provider"] = start_tracing(settings)
        config["exclude"] = lambda scope: scope.get("path") in QUIET
    return config


def open_routes(app: FastAPI) -> list[str]:
    """Paths under /v1 that somebody without a key could call: there must be none."""
    return [
        route.path
        for route in routes_of_the_api(app)
        if route.name not in WITHOUT_KEY and not _asks_who(route.dependant)
    ]


def routes_of_the_api(app: FastAPI) -> list[APIRoute]:
    """All routes under /v1, those of included routers too: `app.routes` itself has only the routers."""
    found = (context.original_route for context in iter_route_contexts(app.routes))
    return [route for route in found if isinstance(route, APIRoute) and route.path.startswith("/v1")]


def _asks_who(dependant: Dependant) -> bool:
    return any(one.call is principal for one in _all_of(dependant))


def _all_of(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for one in dependant.dependencies:
        yield from _all_of(one)
