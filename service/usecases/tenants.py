"""Tenants: make, list, show, set quotas, delete."""

from __future__ import annotations

from service.errors import InvalidInput
from service.records import Quotas, Tenant
from service.usecases.catalogues import delete_catalogue
from service.usecases.context import Context
from service.usecases.labels import checked_name


def create_tenant(context: Context, name: str, quotas: Quotas) -> Tenant:
    """A tenant without keys or catalogues.

    Raises:
        InvalidInput: the name or a quota cannot be used.
        AlreadyExists: there is one of that name.
    """
    checked_name(name, "tenant")
    return context.registry.create_tenant(name, _checked(quotas))


def set_quotas(context: Context, name: str, quotas: Quotas) -> Tenant:
    """New quotas; what is above them already stays, and no more is taken. Raises TenantNotFound, InvalidInput."""
    return context.registry.set_quotas(name, _checked(quotas))


def delete_tenant(context: Context, name: str) -> None:
    """The tenant with all its catalogues, pictures, keys and webhooks, for good. Raises TenantNotFound."""
    context.registry.tenant(name)
    for key in context.registry.keys(name):
        context.registry.revoke_key(key.id)
    for catalogue in context.registry.catalogues(name):
        delete_catalogue(context, name, catalogue.name)
    context.registry.delete_tenant(name)


def _checked(quotas: Quotas) -> Quotas:
    given = {
        "catalogues": quotas.catalogues,
        "examples": quotas.examples,
        "requests_per_minute": quotas.requests_per_minute,
        "inflight_items": quotas.inflight_items,
    }
    for name, value in given.items():
        if value is not None and value < 0:
            raise InvalidInput(f"quota {name} is {value}; it must be 0 or more, or null for none", quota=name)
    return quotas
