"""Liveness, readiness and numbers, for whatever keeps the process running and whoever watches it: by GET or HEAD."""

from __future__ import annotations

import hmac
import ipaddress
import logging
from typing import Annotated, Literal, cast

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from service.api import metrics
from service.api.access import SettingsOf
from service.api.problems import responses
from service.errors import NotAuthenticated, NotPermitted
from service.usecases.readiness import FINE, Readiness

logger = logging.getLogger(__name__)

router = APIRouter(tags=["health"])

State = Literal["ok", "down"]
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


class Alive(BaseModel):
    """The process answers."""

    status: str = Field(examples=["alive"])


class Ready(BaseModel):
    """Whether requests can be answered, and what is there for it. What is wrong is in the log."""

    status: Literal["ready", "not ready"]
    parts: dict[str, State] = Field(
        examples=[{"database": "ok", "vector store": "ok", "blob store": "ok", "queue": "ok"}]
    )


def readiness_of(request: Request) -> Readiness:
    """What asks the outside systems of this application."""
    return cast("Readiness", request.app.state.readiness)


def metrics_of(request: Request) -> metrics.Metrics:
    """The numbers of this application."""
    return cast("metrics.Metrics", request.app.state.metrics)


@router.head("/livez", include_in_schema=False)
@router.get("/livez")
async def livez() -> Alive:
    """Looks at nothing: the process answers."""
    return Alive(status="alive")


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", responses={503: {"model": Ready, "description": "Something is down."}})
def readyz(response: Response, readiness: Annotated[Readiness, Depends(readiness_of)]) -> Ready:
    """Asks database, vector store, blob store and queue, for a second at most. The encoder may come later."""
    found = readiness.check()
    for name, said in found.items():
        if said != FINE:
            logger.warning("the %s is down: %s", name, said)
    parts: dict[str, State] = {name: "ok" if said == FINE else "down" for name, said in found.items()}
    ready = all(state == "ok" for state in parts.values())
    response.status_code = 200 if ready else 503
    return Ready(status="ready" if ready else "not ready", parts=parts)


@router.head("/metrics", include_in_schema=False)
@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"description": "Prometheus' text format.", "content": {"text/plain": {}}}, **responses(401, 403)},
)
def prometheus_metrics(
    request: Request, settings: SettingsOf, numbers: Annotated[metrics.Metrics, Depends(metrics_of)]
) -> Response:
    """Numbers for Prometheus, with HOLOTYPE_METRICS_KEY as bearer token; without that setting for this machine only."""
    key = settings.metrics_key
    _check_asker(request, None if key is None else key.get_secret_value())
    return Response(numbers.exposition(), media_type=metrics.CONTENT_TYPE)


def _check_asker(request: Request, key: str | None) -> None:
    if key is not None:
        sent = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(sent, f"Bearer {key}".encode()):
            raise NotAuthenticated("send HOLOTYPE_METRICS_KEY as `Authorization: Bearer ...`")
    elif not _is_local(request):
        raise NotPermitted(
            "the numbers are for this machine alone as long as HOLOTYPE_METRICS_KEY is not set, and not through a proxy"
        )


def _is_local(request: Request) -> bool:
    """From this machine, and not on behalf of somebody else, which a proxy on it would say."""
    if request.client is None or any(name in request.headers for name in FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
