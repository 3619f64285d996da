"""What a person has accepted about examples: the contract of `keep_findings` and `kept_findings`, on the fake too."""

from __future__ import annotations

import pytest

from service.ports import Registry
from service.records import Catalogue, Split
from tests.registry_rows import example_id, ingested, picture


@pytest.fixture
def registry(rows: Registry) -> Registry:
    """The contract's, and the fake that tests of use cases stand on."""
    return rows


def stored(registry: Registry, catalogue: Catalogue, names: str = "ab") -> list[str]:
    """Ids of pictures in the catalogue."""
    ingested(registry, catalogue, [picture(name) for name in names])
    return [example_id(catalogue, picture(name).content_hash) for name in names]


def test_nothing_is_kept_at_first(registry: Registry, catalogue: Catalogue) -> None:
    stored(registry, catalogue)
    assert registry.kept_findings(catalogue.id) == {}
    assert registry.kept_findings("x") == {}


def test_kinds_add_up_and_unknown_examples_are_passed_over(registry: Registry, catalogue: Catalogue) -> None:
    first, second = stored(registry, catalogue)
    registry.keep_findings(catalogue.id, {first: ["outlier", "outlier"], "x": ["outlier"], second: []})
    registry.keep_findings(catalogue.id, {first: ["label", "outlier"]})
    registry.keep_findings(catalogue.id, {})
    registry.keep_findings("x", {first: ["leak"]})
    assert registry.kept_findings(catalogue.id) == {first: frozenset({"outlier", "label"})}


def test_each_catalogue_keeps_its_own(registry: Registry, catalogue: Catalogue) -> None:
    other = registry.create_catalogue("tenant", "other", "pixel")
    (here,), (there,) = stored(registry, catalogue, "a"), stored(registry, other, "a")
    registry.keep_findings(catalogue.id, {here: ["small"], there: ["small"]})
    registry.keep_findings(other.id, {there: ["blank"]})
    assert registry.kept_findings(catalogue.id) == {here: frozenset({"small"})}
    assert registry.kept_findings(other.id) == {there: frozenset({"blank"})}


def test_another_label_forgets_what_was_kept_and_the_same_one_does_not(
    registry: Registry, catalogue: Catalogue
) -> None:
    first, second = stored(registry, catalogue)
    registry.keep_findings(catalogue.id, {first: ["label"], second: ["label"]})
    registry.relabel_example(catalogue.id, first, "rook", Split.SUPPORT)
    registry.relabel_example(catalogue.id, second, "owl", Split.SUPPORT)
    assert registry.kept_findings(catalogue.id) == {second: frozenset({"label"})}


def test_what_was_kept_goes_with_its_example_and_its_catalogue(registry: Registry, catalogue: Catalogue) -> None:
    first, second = stored(registry, catalogue)
    registry.keep_findings(catalogue.id, {first: ["label"], second: ["label"]})
    registry.delete_examples(catalogue.id, [first])
    assert registry.kept_findings(catalogue.id) == {second: frozenset({"label"})}
    stored(registry, catalogue)
    assert first not in registry.kept_findings(catalogue.id), "the same picture comes back without what was accepted"
    registry.delete_catalogue(catalogue.id)
    assert registry.kept_findings(catalogue.id) == {}


def test_many_examples_at_once(registry: Registry, catalogue: Catalogue) -> None:
    ids = stored(registry, catalogue, "abcdefgh")
    unknown = {f"unknown-{number}": ["label"] for number in range(2500)}
    registry.keep_findings(catalogue.id, {**unknown, **dict.fromkeys(ids, ("label", "leak"))})
    assert registry.kept_findings(catalogue.id) == dict.fromkeys(ids, frozenset({"label", "leak"}))
