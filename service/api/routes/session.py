"""The page's login: the key goes into a cookie that scripts cannot read and other sites cannot use."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from service.api.access import COOKIE, ContextOf, refuse_other_sites, scoped_router
from service.records import Scope
from service.usecases.keys import authenticate

router = scoped_router("session")

NotFromOtherSites = Annotated[None, Depends(refuse_other_sites)]


class Login(BaseModel):
    """The key to log in with."""

    model_config = ConfigDict(extra="forbid")

    key: SecretStr = Field(max_length=500, examples=["holo_0123456789abcdef_..."])


class Session(BaseModel):
    """Who is logged in. The key itself is in the cookie alone."""

    tenant: str = Field(examples=["acme"])
    key_id: str = Field(examples=["0123456789abcdef"])
    scopes: list[Scope] = Field(examples=[["read", "write"]])
    expires_at: float | None = Field(description="When the key ends; null: it does not.", examples=[None])


@router.post("/session")
def open_session(
    body: Login, request: Request, response: Response, context: ContextOf, _: NotFromOtherSites
) -> Session:
    """Log the page in: sets the cookie that stands for the key. It lasts as long as the browser or the key."""
    key = authenticate(context, body.key.get_secret_value())
    response.set_cookie(
        COOKIE,
        body.key.get_secret_value(),
        max_age=None if key.expires_at is None else max(0, int(key.expires_at - context.clock())),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return Session(tenant=key.tenant, key_id=key.id, scopes=list(key.scopes), expires_at=key.expires_at)


@router.delete("/session", status_code=204)
def close_session(request: Request, response: Response, _: NotFromOtherSites) -> None:
    """Log the page out: forgets the cookie. The key itself goes on working."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=request.url.scheme == "https")
