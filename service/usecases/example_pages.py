"""All examples of a catalogue without all of them in memory."""

from __future__ import annotations

from collections.abc import Iterator

from service.ports import Registry
from service.records import Catalogue, Example, ExampleState, Split

PAGE = 1000


def example_pages(
    registry: Registry, catalogue: Catalogue, *, split: Split | None = None, state: ExampleState | None = None
) -> Iterator[list[Example]]:
    """The examples by id, at most PAGE at a time, read as they are asked for.

    What comes meanwhile is found where its id is behind those read; ids are hashes. Raises Unavailable.
    """
    after: str | None = None
    while page := registry.examples_page(catalogue.id, after, PAGE, split=split, state=state):
        yield page
        after = page[-1].id
