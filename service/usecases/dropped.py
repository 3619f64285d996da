"""Pictures that a person has dropped, handed over again: they are passed over, and it is said how they come back.

Only a decision of hygiene is remembered; what is merely deleted may be handed over again.
"""

from __future__ import annotations

from dataclasses import replace

from service.records import Catalogue, Chunk, FailedItem, ItemState
from service.usecases.context import Context, example_id_of


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
        f"it was dropped: `holotype keep {catalogue.name} {example_id}` takes that back, and it is stored when it is "
        "handed over again"
    )
