"""The tables. `migrations/` makes them; a test compares the two.

Names start with `holotype_` because the database may be shared with something else. Ids of items are never used twice
(AUTOINCREMENT), so a worker that wakes up late cannot settle somebody else's item.
"""

from __future__ import annotations

from service.adapters.registry_sql.schema.base import REVISION, VERSION_TABLE, metadata
from service.adapters.registry_sql.schema.catalogues import (
    catalogues,
    deleted,
    dropped,
    examples,
    kept_findings,
    prompts,
    relabelled,
)
from service.adapters.registry_sql.schema.jobs import (
    chunks,
    items,
    jobs,
)
from service.adapters.registry_sql.schema.selections import (
    leases,
    members,
    selections,
    trials,
)
from service.adapters.registry_sql.schema.tenants import (
    api_keys,
    deliveries,
    idempotency,
    tenants,
    webhooks,
)

__all__ = [
    "REVISION",
    "VERSION_TABLE",
    "api_keys",
    "catalogues",
    "chunks",
    "deleted",
    "deliveries",
    "dropped",
    "examples",
    "idempotency",
    "items",
    "jobs",
    "kept_findings",
    "leases",
    "members",
    "metadata",
    "prompts",
    "relabelled",
    "selections",
    "tenants",
    "trials",
    "webhooks",
]
