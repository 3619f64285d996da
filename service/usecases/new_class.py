"""A label that makes a class by being given: meant so, or a slip of the pen beside a name that is there."""

from __future__ import annotations

from difflib import get_close_matches

from service.usecases.context import Context
from service.usecases.labels import checked_label

MOST_CLOSE = 3


def new_class(context: Context, tenant: str, name: str, label: str) -> tuple[str, ...] | None:
    """None for a class that has pictures or words; else the known classes whose names are close, closest first.

    Upper and lower case are alike here. At most `MOST_CLOSE`; none where no name is close.

    Raises:
        CatalogueNotFound: there is none.
        InvalidInput: the label cannot be one.
    """
    catalogue = context.registry.catalogue(tenant, name)
    checked = checked_label(label)
    known = set(context.registry.example_counts(catalogue.id)[1])
    known.update(one.label for one in context.registry.prompts(catalogue.id))
    if checked in known:
        return None
    spelt: dict[str, list[str]] = {}
    for one in sorted(known):
        spelt.setdefault(one.casefold(), []).append(one)
    near = get_close_matches(checked.casefold(), spelt, MOST_CLOSE)
    return tuple([one for spelling in near for one in spelt[spelling]][:MOST_CLOSE])
