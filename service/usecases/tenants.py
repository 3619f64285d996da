"""Tenants: make, list, show with what they use, set quotas, delete."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

from service.errors import CatalogueNotFound, InvalidInput
from service.records import Quotas, Tenant, Usage
from service.usecases.catalogues import delete_catalogue
from service.usecases.context import Context
from service.usecases.keys import ADMIN_FOR_S
from service.usecases.labels import checked_name

LARGEST_QUOTA = 10**12


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantUsage:
    """A tenant with what it uses of its quotas now."""

    tenant: Tenant
    usage: Usage


def create_tenant(context: Context, name: str, quotas: Quotas) -> Tenant:
    """A tenant without keys or catalogues, of exactly these quotas.

    Raises:
        InvalidInput: the name or a quota cannot be used.
        AlreadyExists: there is one of that name.
    """
    checked_name(name, "tenant")
    _check(asdict(quotas))
    return context.registry.create_tenant(name, quotas)


def create_tenant_from_defaults(context: Context, name: str, given: Mapping[str, int | None]) -> Tenant:
    """A tenant with the quotas given; of those not given, the service's for new tenants. Raises as `create_tenant`."""
    return create_tenant(context, name, replace(context.limits.new_tenant, **given))


def list_tenants(context: Context, after: str | None = None, limit: int | None = None) -> list[Tenant]:
    """By name; those behind `after`, at most `limit`, where given."""
    return context.registry.tenants(after, limit)


def show_tenant(context: Context, name: str) -> TenantUsage:
    """Raises TenantNotFound."""
    return TenantUsage(tenant=context.registry.tenant(name), usage=context.registry.usage(name))


def change_quotas(context: Context, name: str, changes: Mapping[str, int | None]) -> TenantUsage:
    """Change the quotas named, None lifts one; the others stay. What is above a new quota stays, no more is taken.

    Raises TenantNotFound, InvalidInput.
    """
    _check(changes)
    tenant = context.registry.change_quotas(name, changes)
    return TenantUsage(tenant=tenant, usage=context.registry.usage(name))


def delete_tenant(context: Context, name: str) -> None:
    """The tenant with all its catalogues, pictures, keys and webhooks, for good.

    Its keys end first, so nobody adds to what is being deleted. Broken off in the middle it may be asked again.

    Raises:
        TenantNotFound: there is no such tenant.
        LastAdminKey: without its keys nobody could rule over tenants and keys; then nothing was deleted.
        Busy: a command line made a catalogue meanwhile; all others are gone.
        Unavailable: an outside system does not answer.
    """
    context.registry.tenant(name)
    own = [key.id for key in context.registry.keys(name)]
    context.registry.revoke_keys(own, context.clock() + ADMIN_FOR_S)
    for catalogue in context.registry.catalogues(name):
        with suppress(CatalogueNotFound):  # somebody else deletes the tenant too
            delete_catalogue(context, name, catalogue.name)
    context.blobs.delete(context.blobs.keys(f"{name}/"))
    context.registry.delete_tenant(name)


def _check(quotas: Mapping[str, int | None]) -> None:
    for name, value in quotas.items():
        if value is not None and not 0 <= value <= LARGEST_QUOTA:
            raise InvalidInput(
                f"quota {name} is {value}; it must be 0 to {LARGEST_QUOTA}, or null for none", quota=name, given=value
            )
