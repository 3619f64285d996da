"""Who asks, and what its tenant may use and uses."""

from __future__ import annotations

from pydantic import BaseModel, Field

from service.api.access import Anyone, ContextOf, scoped_router
from service.api.routes.tenants import QuotasBody, UsageBody
from service.records import Scope
from service.usecases.tenants import show_tenant

router = scoped_router("me")


class Me(BaseModel):
    """The key that was sent, and its tenant."""

    tenant: str = Field(examples=["acme"])
    key_id: str = Field(examples=["0123456789abcdef"])
    scopes: list[Scope] = Field(examples=[["read", "write"]])
    quotas: QuotasBody
    usage: UsageBody


@router.get("/me")
def show_me(who: Anyone, context: ContextOf) -> Me:
    """The key that is asking, its tenant, and what that may use and uses."""
    found = show_tenant(context, who.tenant)
    return Me(
        tenant=who.tenant,
        key_id=who.key_id,
        scopes=[scope for scope in Scope if scope in who.scopes],
        quotas=QuotasBody.of(found.tenant.quotas),
        usage=UsageBody.of(found.usage),
    )
