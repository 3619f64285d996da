"""The registry: tenants, their keys and quotas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from service.records import ApiKey, Quotas, Tenant, Usage


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

    def tenants(self, after: str | None = None, limit: int | None = None) -> list[Tenant]:
        """By name; those behind the name `after`, at most `limit`, where given."""
        ...

    def change_quotas(self, name: str, changes: Mapping[str, int | None]) -> Tenant:
        """Those named change, the others stay, in one transaction. Raises TenantNotFound."""
        ...

    def usage(self, tenant: str) -> Usage:
        """What the tenant uses now; nothing for a tenant that is not there."""
        ...

    def delete_tenant(self, name: str) -> None:
        """The row with its keys, webhooks and remembered requests. Raises TenantNotFound; Busy while it has catalogues.

        Raises LastAdminKey as `revoke_keys` does, of a time that is now.
        """
        ...

    def add_key(self, key: ApiKey) -> None:
        """Raises TenantNotFound."""
        ...

    def key(self, key_id: str) -> ApiKey:
        """Raises NotFound."""
        ...

    def keys(self, tenant: str, after: tuple[float, str] | None = None, limit: int | None = None) -> list[ApiKey]:
        """Oldest first, revoked and expired ones too; those behind (created_at, id), at most `limit`, where given."""
        ...

    def any_admin_key(self) -> bool:
        """Is there a key with scope ADMIN that still works, of any tenant?"""
        ...

    def replace_key(self, key_id: str, successor: ApiKey, ends_at: float) -> None:
        """Add the successor and let the key end at `ends_at`, unless it ends sooner already: both or neither.

        Raises NotFound; WrongState where it has a successor, which `successor` in the details names.
        """
        ...

    def revoke_keys(self, key_ids: Sequence[str], admin_until: float) -> None:
        """The keys end now, all or none. Ended ones stay as they are.

        Raises LastAdminKey where one of them has scope ADMIN and works, and no other such key works until
        `admin_until` (or as long as the longest of them). Of two that revoke each other's at once, one is refused.
        """
        ...
