"""The rows that the registry keeps, as frozen values. What they mean is in the glossary of the README."""

from __future__ import annotations

from service.records.catalogues import (
    Catalogue,
    ClassPrompts,
    Deleted,
    Dropped,
    Example,
    ExampleState,
    Fingerprint,
    Relabelling,
    Split,
)
from service.records.jobs import (
    FINAL_STATES,
    KINDS_OF_ITEMS,
    AnsweredItem,
    Chunk,
    EmbeddedItem,
    FailedItem,
    Item,
    ItemState,
    Job,
    JobKind,
    JobState,
    NewItem,
    Settlement,
)
from service.records.selections import (
    SLOTS,
    Selection,
    SelectionMember,
    SelectionState,
    Slot,
    Trial,
)
from service.records.tenants import (
    ApiKey,
    Quotas,
    RememberedRequest,
    Scope,
    Tenant,
    Usage,
)
from service.records.webhooks import (
    Delivery,
    Webhook,
)

__all__ = [
    "FINAL_STATES",
    "KINDS_OF_ITEMS",
    "SLOTS",
    "AnsweredItem",
    "ApiKey",
    "Catalogue",
    "Chunk",
    "ClassPrompts",
    "Deleted",
    "Delivery",
    "Dropped",
    "EmbeddedItem",
    "Example",
    "ExampleState",
    "FailedItem",
    "Fingerprint",
    "Item",
    "ItemState",
    "Job",
    "JobKind",
    "JobState",
    "NewItem",
    "Quotas",
    "Relabelling",
    "RememberedRequest",
    "Scope",
    "Selection",
    "SelectionMember",
    "SelectionState",
    "Settlement",
    "Slot",
    "Split",
    "Tenant",
    "Trial",
    "Usage",
    "Webhook",
]
