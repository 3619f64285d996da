"""What stays of deleted examples, after their rows have gone: points, bytes, cached embeddings, findings and maps.

The rows' transaction notes them, so that what is broken off, by an outage or a kill, is done by the next sweep.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from service.errors import CatalogueNotFound
from service.records import Catalogue, Deleted
from service.usecases.context import Context
from service.usecases.derived import forget_examples
from service.usecases.forgetting import forget_pictures
from service.usecases.lone_points import forget_returned_points
from service.usecases.splitting import BATCH


def forget_deleted(context: Context, catalogue: Catalogue, deleted: Sequence[Deleted]) -> None:
    """What nobody else needs of them; then no more is noted. Raises Unavailable."""
    ids = [one.example_id for one in deleted]
    forget_returned_points(context, catalogue, ids)
    forget_pictures(context, catalogue, [one.picture for one in deleted])
    forget_examples(context, catalogue, ids)
    context.registry.forgot_deleted(catalogue.id, ids)


def forget_all_deleted(context: Context, catalogue: Catalogue) -> None:
    """The same for all that is noted of a catalogue. Raises Unavailable."""
    while deleted := context.registry.deleted(BATCH, catalogue.id):
        forget_deleted(context, catalogue, deleted)


def sweep_deleted(context: Context) -> int:
    """Do what was broken off, or is being done by others just now, which harms nobody; how many examples.

    Raises:
        Unavailable: an outside system does not answer.
    """
    by_catalogue: defaultdict[str, list[Deleted]] = defaultdict(list)
    for one in context.registry.deleted(BATCH):
        by_catalogue[one.catalogue_id].append(one)
    for catalogue_id, deleted in by_catalogue.items():
        try:
            catalogue = context.registry.catalogue_by_id(catalogue_id)
        except CatalogueNotFound:  # its deletion forgets them
            continue
        forget_deleted(context, catalogue, deleted)
    return sum(map(len, by_catalogue.values()))
