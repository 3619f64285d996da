"""Who asks: the key of each request, what it may do, and the context that a route works with.

Every route under /v1 is made on a router of `scoped_router` and takes a `Reader`, `Writer` or `Admin`; a test
looks at every route for it (`app.open_routes`), so one that nobody thought about does not stay open.

A tenant's requests a minute are counted here. What an admin key does on routes for admins is not: a quota that was set
too low by mistake can be lifted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from service.api.json_bodies import JsonRoute
from service.api.problems import responses
from service.api.queries import refuse_wrong_query
from service.errors import NotAuthenticated, NotPermitted
from service.ports import RateLimiter
from service.records import Scope
from service.settings import Settings
from service.usecases.context import Context
from service.usecases.keys import authenticate
from service.usecases.quotas import check_requests_quota

COOKIE = "holotype_key"
"""Set by the web page's login: HttpOnly, SameSite=Strict."""

WITHOUT_KEY = frozenset({"open_session", "close_session"})
"""Routes that ask for no key: one takes it from the body, the other forgets it."""

JSON_BYTES = 1024 * 1024
"""Largest body of a route that sets no limit of its own: it is read, and parsed at one go, before anybody is asked who
it is from."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
bearer = HTTPBearer(auto_error=False, scheme_name="key", description="A key, `holo_...`, as a bearer token.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks. `tenant` comes from the credential alone."""

    tenant: str
    key_id: str
    scopes: frozenset[Scope]


def context_of(request: Request) -> Context:
    """The wired ports of this application."""
    return cast("Context", request.app.state.context)


def settings_of(request: Request) -> Settings:
    """The settings of this application."""
    return cast("Settings", request.app.state.settings)


ContextOf = Annotated[Context, Depends(context_of)]
SettingsOf = Annotated[Settings, Depends(settings_of)]


def principal(
    request: Request,
    context: ContextOf,
    needed: SecurityScopes,
    sent: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
) -> Principal:
    """Who asks, by bearer token or the page's cookie.

    Raises:
        NotAuthenticated: no key, or none that works.
        NotPermitted: the key lacks a scope, or another site's page sent the cookie.
        QuotaExceeded: the tenant asks more often than it may.
        RequestValidationError: the request has a query parameter that its route does not know, or one twice.
    """
    credential = sent.credentials if sent is not None else _from_cookie(request)
    if not credential:
        raise NotAuthenticated("no key was sent: send one as `Authorization: Bearer holo_...`")
    key = authenticate(context, credential)
    found = Principal(tenant=key.tenant, key_id=key.id, scopes=frozenset(key.scopes))
    request.state.tenant, request.state.key_id = found.tenant, found.key_id
    if Scope.ADMIN not in found.scopes.intersection(needed.scopes):
        check_requests_quota(context, rates_of(request), found.tenant)
    missing = [scope for scope in needed.scopes if Scope(scope) not in found.scopes]
    if missing:
        raise NotPermitted(
            f"this needs a key with scope {', '.join(missing)}; yours has {', '.join(sorted(found.scopes))}",
            needed=missing,
        )
    refuse_wrong_query(request)
    return found


def rates_of(request: Request) -> RateLimiter:
    """What counts the requests a minute of this application."""
    return cast("RateLimiter", request.app.state.rates)


def refuse_other_sites(request: Request) -> None:
    """Raises NotPermitted for a change that another site's page asks a browser for: only our own page may.

    Browsers say so in Sec-Fetch-Site; where they do not (plain http to another machine) the Origin must be this host.
    What is no browser sends neither, and no cookie of somebody else's.
    """
    if request.method in SAFE_METHODS:
        return
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        ours = site in {"same-origin", "none"}
    else:
        ours = origin is None or urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
    if not ours:
        raise NotPermitted("the request comes from another site's page: use the page that this service serves itself")


def _from_cookie(request: Request) -> str | None:
    """The page's cookie, which a browser also sends when another site's page makes it ask."""
    credential = request.cookies.get(COOKIE)
    if credential:
        refuse_other_sites(request)
    return credential


Anyone = Annotated[Principal, Security(principal, scopes=[])]
Reader = Annotated[Principal, Security(principal, scopes=[Scope.READ.value])]
Writer = Annotated[Principal, Security(principal, scopes=[Scope.WRITE.value])]
Admin = Annotated[Principal, Security(principal, scopes=[Scope.ADMIN.value])]


def scoped_router(tag: str, needed: Scope | None = None) -> APIRouter:
    """A router under /v1. Its routes take `Reader`, `Writer` or `Admin` as a parameter; a test holds each to it.

    `needed` is a scope that all of them need, for routes that do not care who asks with it.
    """
    return APIRouter(
        prefix="/v1",
        tags=[tag],
        responses=responses(401, 403, 404, 413, 422, 429, 503),
        dependencies=[] if needed is None else [Security(principal, scopes=[needed.value])],
        max_body_size=JSON_BYTES,
        route_class=JsonRoute,
    )
