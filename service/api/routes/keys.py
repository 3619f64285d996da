"""The keys of a tenant, by an admin. A credential is in the answer that makes it, and nowhere else ever again."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Response
from pydantic import BaseModel, ConfigDict, Field

from service.api.access import ContextOf, scoped_router
from service.api.paging import Cursor, Limit, Page, decode_cursor, encode_cursor
from service.api.problems import responses
from service.api.routes.tenants import TenantName
from service.records import ApiKey, Scope
from service.usecases import keys

router = scoped_router("tenants", Scope.ADMIN)

KeyId = Annotated[str, Path(alias="key", description="The key's id.", examples=["0123456789abcdef"], max_length=64)]


class NewKey(BaseModel):
    """A key to make."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=keys.MAX_KEY_NAME, examples=["till in the shop"])
    scopes: list[Scope] = Field(
        min_length=1,
        max_length=len(Scope),
        examples=[["read", "write"]],
        description="`read` asks, `write` changes, `admin` rules over tenants and keys; none contains another.",
    )
    expires_at: float | None = Field(
        default=None,
        allow_inf_nan=False,
        examples=[None],
        description="When it ends, seconds since 1970; null or absent: it does not.",
    )


class Rotation(BaseModel):
    """How to replace a key."""

    model_config = ConfigDict(extra="forbid")

    grace_s: float = Field(
        default=keys.ROTATION_GRACE_S,
        ge=0,
        le=keys.MAX_GRACE_S,
        allow_inf_nan=False,
        examples=[3600],
        description="Seconds that the key which is replaced goes on working.",
    )


class ListedKey(BaseModel):
    """A key, without its credential."""

    id: str = Field(examples=["0123456789abcdef"])
    tenant: str = Field(examples=["acme"])
    name: str = Field(examples=["till in the shop"])
    scopes: list[Scope] = Field(examples=[["read", "write"]])
    works: bool = Field(description="Neither revoked nor expired.", examples=[True])
    created_at: float = Field(description="Seconds since 1970.", examples=[1790000000.0])
    expires_at: float | None = Field(description="When it ends (or ended); null: it does not.", examples=[None])
    revoked_at: float | None = Field(description="When it was revoked; null: it was not.", examples=[None])
    replaced_by: str | None = Field(description="Id of the successor that a rotation made.", examples=[None])


class MadeKey(ListedKey):
    """A key just made, with its credential: keep it now, nobody can be shown it again."""

    key: str = Field(description="What to send as a bearer token.", examples=["holo_0123456789abcdef_..."])


@router.post("/tenants/{tenant}/keys", status_code=201)
def create_key(name: TenantName, body: NewKey, response: Response, context: ContextOf) -> MadeKey:
    """Make a key of a tenant. Its credential is in this answer alone."""
    made = keys.create_key(context, name, body.name, body.scopes, body.expires_at)
    response.headers["Location"] = _place(made.key)
    return _made(made, context.clock())


@router.get("/tenants/{tenant}/keys")
def list_keys(name: TenantName, context: ContextOf, limit: Limit = 100, cursor: Cursor = None) -> Page[ListedKey]:
    """The keys of a tenant, oldest first, with those that ended."""
    after = decode_cursor(cursor, float, str)
    place = None if after is None else (float(str(after[0])), str(after[1]))
    found = keys.list_keys(context, name, place, limit + 1)
    page = found[:limit]
    more = encode_cursor(float(page[-1].created_at), page[-1].id) if len(found) > limit else None
    return Page(items=[_listed(one, context.clock()) for one in page], next_cursor=more)


@router.get("/tenants/{tenant}/keys/{key}")
def show_key(name: TenantName, key: KeyId, context: ContextOf) -> ListedKey:
    """One key, without its credential."""
    return _listed(keys.show_key(context, name, key), context.clock())


@router.post("/tenants/{tenant}/keys/{key}:rotate", status_code=201, responses=responses(409))
def rotate_key(
    name: TenantName, key: KeyId, response: Response, context: ContextOf, body: Rotation | None = None
) -> MadeKey:
    """Make a successor with the same name, scopes and length of life; both work for `grace_s` seconds.

    A key has one successor: 409, with its id, where there is one. Where the answer with its credential was lost, rotate
    the successor.
    """
    made = keys.rotate_key(context, name, key, (body or Rotation()).grace_s)
    response.headers["Location"] = _place(made.key)
    return _made(made, context.clock())


@router.delete("/tenants/{tenant}/keys/{key}", status_code=204, responses=responses(409))
def revoke_key(name: TenantName, key: KeyId, context: ContextOf) -> None:
    """End a key now. Refused for the last key with scope admin, in which case another has to be made before."""
    keys.revoke_key(context, name, key)


def _place(key: ApiKey) -> str:
    return f"/v1/tenants/{key.tenant}/keys/{key.id}"


def _listed(key: ApiKey, now: float) -> ListedKey:
    return ListedKey(
        id=key.id,
        tenant=key.tenant,
        name=key.name,
        scopes=list(key.scopes),
        works=keys.works(key, now),
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        replaced_by=key.replaced_by,
    )


def _made(made: keys.NewKey, now: float) -> MadeKey:
    return MadeKey(**_listed(made.key, now).model_dump(), key=made.credential)
