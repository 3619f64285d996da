"""Examples whose bytes are to be forgotten: the contract of `ports.DeletedRegistry`, on the fake too."""

from __future__ import annotations

import pytest

from service.ports import Registry
from service.records import Catalogue, Deleted
from tests.registry_rows import example_id, ingested, picture


@pytest.fixture
def registry(rows: Registry) -> Registry:
    """The contract's, and the fake that tests of use cases stand on."""
    return rows


def gone(catalogue: Catalogue, name: str) -> Deleted:
    given = picture(name)
    return Deleted(catalogue.id, example_id(catalogue, given.content_hash), given.content_hash)


def test_what_is_deleted_or_dropped_is_noted_until_it_is_forgotten(registry: Registry, catalogue: Catalogue) -> None:
    other = registry.create_catalogue("tenant", "other", "pixel")
    for one in (catalogue, other):
        ingested(registry, one, [picture(name) for name in "abc"])
    assert registry.deleted(10) == []
    registry.delete_examples(catalogue.id, [gone(catalogue, "a").example_id, "unknown"])
    registry.drop_examples(catalogue.id, [gone(catalogue, "b").example_id])
    registry.delete_examples(other.id, [gone(other, "c").example_id])
    both = sorted([gone(catalogue, "a"), gone(catalogue, "b")])
    assert registry.deleted(10, catalogue.id) == both
    assert registry.deleted(10) == sorted([*both, gone(other, "c")])
    assert registry.deleted(1, catalogue.id) == both[:1]
    registry.forgot_deleted(catalogue.id, [gone(other, "c").example_id, gone(catalogue, "a").example_id, "unknown"])
    assert registry.deleted(10, catalogue.id) == [gone(catalogue, "b")]
    assert registry.deleted(10, other.id) == [gone(other, "c")]


def test_the_same_picture_may_come_and_go_again(registry: Registry, catalogue: Catalogue) -> None:
    for _ in range(2):
        ingested(registry, catalogue, [picture("a")])
        registry.delete_examples(catalogue.id, [gone(catalogue, "a").example_id])
        assert registry.deleted(10) == [gone(catalogue, "a")]


def test_a_catalogues_go_with_it(registry: Registry, catalogue: Catalogue) -> None:
    ingested(registry, catalogue, [picture("a")])
    registry.delete_examples(catalogue.id, [gone(catalogue, "a").example_id])
    registry.delete_catalogue(catalogue.id)
    assert registry.deleted(10) == []
