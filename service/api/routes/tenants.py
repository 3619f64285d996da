"""Tenants, by an admin. Their keys: `keys.py`. An admin rules over all of them, and sees no pictures of any other."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import Path, Response
from pydantic import BaseModel, ConfigDict, Field

from service.api.access import ContextOf, scoped_router
from service.api.paging import Cursor, Limit, Page, decode_cursor, encode_cursor
from service.api.problems import responses
from service.records import Quotas, Scope, Tenant, Usage
from service.usecases import tenants
from service.usecases.tenants import LARGEST_QUOTA, TenantUsage

router = scoped_router("tenants", Scope.ADMIN)

TenantName = Annotated[str, Path(alias="tenant", description="The tenant's name.", examples=["acme"], max_length=100)]
Quota = Annotated[int | None, Field(strict=True, ge=0, le=LARGEST_QUOTA, examples=[1000])]


class QuotasBody(BaseModel):
    """What a tenant may use; null is as much as there is."""

    model_config = ConfigDict(extra="forbid")

    catalogues: Quota = Field(default=None, description="Catalogues at once.")
    examples: Quota = Field(default=None, description="Stored examples over all catalogues.")
    requests_per_minute: Quota = Field(default=None, description="Requests a minute over all keys.")
    inflight_items: Quota = Field(default=None, description="Pictures handed over and not settled yet, over all jobs.")

    @classmethod
    def of(cls, quotas: Quotas) -> QuotasBody:
        """As it is told."""
        return cls.model_validate(asdict(quotas))

    def given(self) -> dict[str, int | None]:
        """Those that the request names: a quota left out is not null."""
        return self.model_dump(exclude_unset=True)


class UsageBody(BaseModel):
    """What a tenant uses now."""

    catalogues: int = Field(examples=[2])
    examples: int = Field(examples=[640])
    inflight_items: int = Field(examples=[0])

    @classmethod
    def of(cls, usage: Usage) -> UsageBody:
        """As it is told."""
        return cls.model_validate(asdict(usage))


class NewTenant(BaseModel):
    """A tenant to make. Quotas that are left out are the service's for new tenants."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=100, examples=["acme"], description="Letters, digits, '-', '_' and '.'.")
    quotas: QuotasBody = Field(default_factory=QuotasBody)


class TenantChange(BaseModel):
    """What to change of a tenant. A quota that is left out stays, null lifts it."""

    model_config = ConfigDict(extra="forbid")

    quotas: QuotasBody = Field(examples=[{"examples": 100_000, "requests_per_minute": None}])


class ListedTenant(BaseModel):
    """A tenant and what it may use."""

    name: str = Field(examples=["acme"])
    created_at: float = Field(description="Seconds since 1970.", examples=[1790000000.0])
    quotas: QuotasBody


class ShownTenant(ListedTenant):
    """A tenant, what it may use and what it uses."""

    usage: UsageBody


@router.post("/tenants", status_code=201, responses=responses(409))
def create_tenant(body: NewTenant, response: Response, context: ContextOf) -> ShownTenant:
    """Make a tenant, without keys or catalogues."""
    made = tenants.create_tenant_from_defaults(context, body.name, body.quotas.given())
    response.headers["Location"] = f"/v1/tenants/{body.name}"
    return _shown(TenantUsage(tenant=made, usage=Usage()))


@router.get("/tenants")
def list_tenants(context: ContextOf, limit: Limit = 100, cursor: Cursor = None) -> Page[ListedTenant]:
    """All tenants, by name."""
    after = decode_cursor(cursor, str)
    found = tenants.list_tenants(context, None if after is None else str(after[0]), limit + 1)
    page = found[:limit]
    more = encode_cursor(page[-1].name) if len(found) > limit else None
    return Page(items=[_listed(one) for one in page], next_cursor=more)


@router.get("/tenants/{tenant}")
def show_tenant(name: TenantName, context: ContextOf) -> ShownTenant:
    """One tenant, with what it uses."""
    return _shown(tenants.show_tenant(context, name))


@router.patch("/tenants/{tenant}")
def change_tenant(name: TenantName, body: TenantChange, context: ContextOf) -> ShownTenant:
    """Change quotas. What is above a new one stays; no more is taken."""
    return _shown(tenants.change_quotas(context, name, body.quotas.given()))


@router.delete("/tenants/{tenant}", status_code=204, responses=responses(409))
def delete_tenant(name: TenantName, context: ContextOf) -> None:
    """Delete a tenant with its catalogues, pictures, keys and webhooks, for good.

    Refused where its keys are the last ones with scope admin.
    """
    tenants.delete_tenant(context, name)


def _listed(tenant: Tenant) -> ListedTenant:
    return ListedTenant(name=tenant.name, created_at=tenant.created_at, quotas=QuotasBody.of(tenant.quotas))


def _shown(found: TenantUsage) -> ShownTenant:
    return ShownTenant(**_listed(found.tenant).model_dump(), usage=UsageBody.of(found.usage))
