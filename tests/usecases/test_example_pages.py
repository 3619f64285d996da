"""All examples page by page: all of them, once, in order, and no more than are asked for."""

import pytest

from service.records import ExampleState, Split
from service.usecases import example_pages as pages
from tests.fakes import fake_context, fruit, ingested, write_pictures


@pytest.mark.parametrize("size", [1, 5, 12, 13])
def test_every_example_is_on_one_page(tmp_path, monkeypatch, size):
    monkeypatch.setattr(pages, "PAGE", size)
    context = fake_context()
    ingested(context, write_pictures(tmp_path, fruit(6)))
    catalogue = context.registry.catalogue("acme", "fruit")
    every = context.registry.examples(catalogue.id)
    found = list(pages.example_pages(context.registry, catalogue))
    assert [example for page in found for example in page] == every
    assert max(map(len, found)) == min(size, 12)
    support = context.registry.examples(catalogue.id, Split.SUPPORT)
    chosen = pages.example_pages(context.registry, catalogue, split=Split.SUPPORT, state=ExampleState.ACTIVE)
    assert [example for page in chosen for example in page] == support
    held = pages.example_pages(context.registry, catalogue, state=ExampleState.CONFLICT)
    assert list(held) == []
