"""Examples as a person looks through them: each with its place in the selection that serves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.records import Catalogue, Example, ExampleState, SelectionMember, Split
from service.usecases.context import Context
from service.usecases.dropped import example_there
from service.usecases.labels import label_asked_for


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenExample:
    """An example, and what it is in the active selection: None where it is no reference."""

    example: Example
    reference: SelectionMember | None


def list_examples(
    context: Context,
    tenant: str,
    name: str,
    after: str | None,
    limit: int,
    *,
    label: str | None = None,
    split: Split | None = None,
    state: ExampleState | None = None,
    references: bool = False,
) -> list[SeenExample]:
    """At most `limit` examples behind the id `after`, by id.

    Args:
        context: the ports.
        tenant: whose catalogue.
        name: the catalogue.
        after: id of the last example of the page before, None for the first page.
        limit: examples a page.
        label: only examples of this class.
        split: only of this split.
        state: only in this state.
        references: only those of the active selection; none before the first optimisation.

    Raises:
        CatalogueNotFound: there is none.
        InvalidInput: the label cannot be one.
    """
    catalogue = context.registry.catalogue(tenant, name)
    active = catalogue.active_selection
    if references and active is None:
        return []
    found = context.registry.examples_page(
        catalogue.id,
        after,
        limit,
        label=None if label is None else label_asked_for(label),
        split=split,
        state=state,
        selection=active if references else None,
    )
    return seen(context, catalogue, found)


def show_example(context: Context, tenant: str, name: str, example_id: str) -> SeenExample:
    """Raises CatalogueNotFound, ExampleNotFound."""
    catalogue = context.registry.catalogue(tenant, name)
    return seen(context, catalogue, [example_there(context, catalogue, example_id)])[0]


def seen(context: Context, catalogue: Catalogue, examples: Sequence[Example]) -> list[SeenExample]:
    """The examples with their place in the active selection, in the order given."""
    active = catalogue.active_selection
    members = {} if active is None else context.registry.members_among(active, [one.id for one in examples])
    return [SeenExample(example=one, reference=members.get(one.id)) for one in examples]
