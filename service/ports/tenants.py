"""The registry: tenants, their keys and quotas."""

from __future__ import annotations

from typing import Protocol

from service.records import ApiKey, Quotas, Tenant


class TenantRegistry(Protocol):
    """Tenants and their keys."""

    def ensure_tenant(self, name: str) -> Tenant:
        """The tenant, made without quotas when it is not there."""
        ...

    def create_tenant(self, name: str, quotas: Quotas) -> Tenant:
        """Raises AlreadyExists."""
        ...

    def tenant(self, name: str) -> Tenant:
        """Raises TenantNotFound."""
        ...

    def tenants(self) -> list[Tenant]:
        """By name."""
        ...

    def set_quotas(self, name: str, quotas: Quotas) -> Tenant:
        """Raises TenantNotFound."""
        ...

    def delete_tenant(self, name: str) -> None:
        """The row with its keys and webhooks; its catalogues must be gone before. Raises TenantNotFound."""
        ...

    def add_key(self, key: ApiKey) -> None:
        """Raises TenantNotFound."""
        ...

    def key(self, key_id: str) -> ApiKey:
        """Raises NotFound."""
        ...

    def keys(self, tenant: str) -> list[ApiKey]:
        """Oldest first, revoked and expired ones too."""
        ...

    def any_admin_key(self) -> bool:
        """Is there a key with scope ADMIN that still works, of any tenant?"""
        ...

    def expire_key(self, key_id: str, at: float) -> None:
        """The key ends then, unless it ends sooner already."""
        ...

    def revoke_key(self, key_id: str) -> None:
        """The key ends now."""
        ...
