"""Pictures that a person has dropped: those that there are, and handed over again or asked for, how they come back.

Only a decision of hygiene is remembered; what is merely deleted may be handed over again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from service.core.crop import hash_and_crop
from service.errors import ExampleNotFound, quoted
from service.records import Catalogue, Chunk, Dropped, Example, FailedItem, ItemState
from service.usecases.context import Context, example_id_of
from service.usecases.hints import to_keep

MOST_NAMED = 5


def list_dropped(context: Context, tenant: str, name: str) -> list[Dropped]:
    """All pictures of a catalogue that are dropped, by id. Raises CatalogueNotFound."""
    return context.registry.dropped(context.registry.catalogue(tenant, name).id)


def known_ids(context: Context, tenant: str, name: str) -> list[str]:
    """Ids of a catalogue's examples, and of those that are dropped. Raises CatalogueNotFound."""
    catalogue = context.registry.catalogue(tenant, name)
    gone = [one.example_id for one in context.registry.dropped(catalogue.id)]
    return [*context.registry.example_labels(catalogue.id), *gone]


def dropped_page(context: Context, tenant: str, name: str, after: str | None, limit: int) -> list[Dropped]:
    """At most `limit` of them behind the id `after`, None for the first page. Raises CatalogueNotFound."""
    return context.registry.dropped_page(context.registry.catalogue(tenant, name).id, after, limit)


def as_dict(one: Dropped) -> dict[str, Any]:
    """The JSON of a line of `holotype dropped`."""
    content_hash, crop = hash_and_crop(one.picture)
    return {"id": one.example_id, "labels": list(one.labels), "content_hash": content_hash, "crop": crop}


def example_there(context: Context, catalogue: Catalogue, example_id: str) -> Example:
    """The example. Raises ExampleNotFound, which says so where it was dropped."""
    found = context.registry.examples_by_id(catalogue.id, [example_id])
    if example_id not in found:
        raise no_examples(context, catalogue, [example_id], 1)
    return found[example_id]


def no_examples(context: Context, catalogue: Catalogue, ids: Sequence[str], asked: int) -> ExampleNotFound:
    """That of `asked` examples these are none: up to MOST_NAMED in the message, all in the details.

    Those that were dropped are `dropped` in the details, and the message says how the first of them comes back.
    """
    dropped = [one.example_id for one in context.registry.dropped(catalogue.id, ids)]
    back = f"; {to_keep(catalogue.name, dropped[0])} takes that back" if dropped else ""
    told = {"dropped": dropped} if dropped else {}
    if asked == 1:
        if dropped:
            return ExampleNotFound(f"the example {quoted(ids[0])} was dropped{back}", example=ids[0], **told)
        return ExampleNotFound(f"the catalogue has no example {quoted(ids[0])}", example=ids[0])
    named = ", ".join(quoted(one) for one in ids[:MOST_NAMED])
    more = f" and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else ""
    gone = f"; {len(dropped)} of them {'was' if len(dropped) == 1 else 'were'} dropped{back}" if dropped else ""
    return ExampleNotFound(
        f"the catalogue does not have {len(ids)} of the {asked} examples: {named}{more}; nothing was changed{gone}",
        examples=list(ids),
        **told,
    )


def undropped_chunk(context: Context, catalogue: Catalogue, chunk: Chunk) -> tuple[Chunk, list[FailedItem]]:
    """The chunk without the pictures that were dropped under their label, and those, with the reason.

    Raises Unavailable.
    """
    ids = {item.id: example_id_of(catalogue, item.content_hash, item.crop) for item in chunk.items}
    labels = {one.example_id: one.labels for one in context.registry.dropped(catalogue.id, sorted(set(ids.values())))}
    dropped = [item for item in chunk.items if item.label in labels.get(ids[item.id], ())]
    skipped = [
        FailedItem(item_id=item.id, reason=_reason(catalogue, ids[item.id]), state=ItemState.SKIPPED)
        for item in dropped
    ]
    return replace(chunk, items=tuple(item for item in chunk.items if item not in dropped)), skipped


def _reason(catalogue: Catalogue, example_id: str) -> str:
    return (
        f"it was dropped: {to_keep(catalogue.name, example_id)} takes that back, and it is stored when it is handed "
        "over again"
    )
