"""What a person decides about examples: their label, or that they go."""

from __future__ import annotations

from collections.abc import Sequence

from service.records import Catalogue, Deleted, Example, ExampleState, Split
from service.usecases import provisional
from service.usecases.context import Context, partition_of
from service.usecases.deleted import forget_deleted
from service.usecases.dropped import example_there, no_examples
from service.usecases.labels import checked_label
from service.usecases.leases import kept_lease
from service.usecases.points import payload_split
from service.usecases.splitting import align_payloads, assign_open_splits, batches, splits_lease


def relabel(context: Context, tenant: str, name: str, example_id: str, label: str) -> Example:
    """Give an example its label, which settles a conflict; it is flagged no longer where its label changed.

    It keeps its split, where it has one; in a class that has no support example yet it becomes support, for nothing
    else could answer for that class. As support it answers at once, beside chosen references too. Asked twice, the
    second time finishes what the first did not.

    Raises:
        CatalogueNotFound, ExampleNotFound: there is none.
        InvalidInput: the label cannot be one.
        LeaseHeld: splits are being assigned (an ingest job ends); try again.
    """
    catalogue = context.registry.catalogue(tenant, name)
    checked = checked_label(label)
    example = example_there(context, catalogue, example_id)
    moves = example.state is ExampleState.CONFLICT or example.label != checked
    with provisional.going(context, catalogue, [example.id] if moves else []):
        if moves:
            provisional.unflag(context, catalogue, [example.id])
        return _under(context, catalogue, example, checked)


def _under(context: Context, catalogue: Catalogue, example: Example, checked: str) -> Example:
    """Row, split and payload of the example say its label."""
    split = _split_under(context, catalogue, example, checked)
    changed = context.registry.relabel_example(catalogue.id, example.id, checked, split)
    if changed.split is Split.UNASSIGNED:
        with kept_lease(context, splits_lease(catalogue), context.limits.job_lease_s):
            assign_open_splits(context, catalogue)
            align_payloads(context, catalogue)
        changed = context.registry.example(catalogue.id, example.id)
    payload = {"label": changed.label, "split": payload_split(changed)}
    context.store.set_payload(partition_of(catalogue), {changed.id: payload})
    return changed


def drop(context: Context, tenant: str, name: str, example_ids: Sequence[str], *, remember: bool = False) -> list[str]:
    """Take examples out for good: point, row, place in selections, cached embedding, and bytes that nobody else needs.

    Points go first: a query must not name what the registry no longer knows, and a drop that was broken off can be
    asked again as long as the rows are there. With `remember` the pictures are passed over when they are handed over
    again under the labels that they had, until `hygiene.keep` takes that back.

    Returns:
        The ids, each once, in the order asked.

    Raises:
        CatalogueNotFound: there is none.
        ExampleNotFound: some of the ids, which it names, are unknown; nothing was changed.
        LeaseHeld: somebody is publishing, for longer than is waited for; ask again.
    """
    catalogue = context.registry.catalogue(tenant, name)
    wanted = list(dict.fromkeys(example_ids))
    found = context.registry.examples_by_id(catalogue.id, wanted)
    unknown = [example_id for example_id in wanted if example_id not in found]
    if unknown:
        raise no_examples(context, catalogue, unknown, len(wanted))
    examples = [found[example_id] for example_id in wanted]
    for batch in batches(examples):
        with provisional.going(context, catalogue, wanted):
            take_out(context, catalogue, batch, remember=remember)
    return wanted


def take_out(context: Context, catalogue: Catalogue, examples: Sequence[Example], *, remember: bool = False) -> None:
    """The part of `drop` that is done for some examples at a time; the rest is its callers'. Raises Unavailable."""
    ids = [example.id for example in examples]
    context.store.delete(partition_of(catalogue), ids)
    if remember:
        context.registry.drop_examples(catalogue.id, ids)
    else:
        context.registry.delete_examples(catalogue.id, ids)
    forget_deleted(context, catalogue, [Deleted(catalogue.id, one.id, one.picture) for one in examples])


def _split_under(context: Context, catalogue: Catalogue, example: Example, label: str) -> Split:
    """The split of the example under its new label; UNASSIGNED leaves it to the rule."""
    if example.split is Split.UNASSIGNED or example.label == label:
        return example.split
    support = context.registry.examples(catalogue.id, Split.SUPPORT, ExampleState.ACTIVE, [label])
    served = any(one.id != example.id for one in support)
    return example.split if served else Split.SUPPORT
