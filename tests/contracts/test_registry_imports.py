"""Catalogues that are being imported: the contract of `ports.ArchiveRegistry`, on the fake too."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

from service.errors import AlreadyExists, CatalogueNotFound, LeaseHeld
from service.ports import Registry
from service.records import Catalogue, Example, ExampleState, Fingerprint, Relabelling, Split
from tests.registry_rows import Clock

FINGERPRINT = Fingerprint("ab" * 32, "pixel", "Pixel", {"rows": 4}, 49)
OWNER, LEASE = "importer", "import:1"


@pytest.fixture
def registry(rows: Registry) -> Registry:
    """The contract's, and the fake that tests of use cases stand on."""
    return rows


def opened(registry: Registry, tenant: str = "acme") -> Catalogue:
    registry.take_lease(LEASE, OWNER, 60.0)
    return registry.open_import(str(uuid.uuid4()), tenant, "pixel", FINGERPRINT, pictures=2)


def example(catalogue: Catalogue, name: str) -> Example:
    return Example(
        id=str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
        catalogue_id=catalogue.id,
        label="owl",
        split=Split.HOLDOUT,
        state=ExampleState.CONFLICT,
        content_hash=name * 64,
        source=f"owl/{name}.jpg",
        width_px=640,
        height_px=480,
        perceptual_hash="0123456789abcdef",
        created_at=12.5,
        conflict_labels=("owl", "hawk"),
        settled_labels=("kite",),
        metadata={"camera": "x"},
    )


def test_it_is_in_no_list_and_found_by_no_name_until_it_is_finished(registry: Registry) -> None:
    half = opened(registry)
    assert (half.fingerprint, half.encoder, half.active_selection) == (FINGERPRINT, "pixel", None)
    assert registry.catalogues("acme") == registry.all_catalogues() == []
    with pytest.raises(CatalogueNotFound):
        registry.catalogue("acme", half.name)
    assert registry.imports() == [half]
    assert registry.catalogue_by_id(half.id) == half
    registry.finish_import(half.id, "birds", LEASE, OWNER)
    whole = replace(half, name="birds")
    assert registry.catalogue("acme", "birds") == whole
    assert registry.catalogues("acme") == registry.all_catalogues() == [whole]
    assert registry.imports() == []


def test_examples_are_kept_as_they_are(registry: Registry) -> None:
    half = opened(registry)
    rows = sorted((example(half, name) for name in "abc"), key=lambda one: one.id)
    registry.add_examples(half.id, rows)
    registry.add_examples(half.id, [])
    assert registry.examples(half.id) == rows
    assert registry.pictures_in_use("acme", ["a" * 64, "d" * 64]) == {"a" * 64}


def test_relabellings_are_kept_as_they_are(registry: Registry) -> None:
    half = opened(registry)
    rows = [replace(example(half, name), state=ExampleState.ACTIVE) for name in "abc"]
    registry.add_examples(half.id, rows)
    registry.add_relabellings(half.id, {})
    assert registry.relabellings(half.id) == {}
    moved = {
        rows[0].id: [Relabelling("kite", 10.0), Relabelling("hawk", 30.0)],
        rows[1].id: [Relabelling("kite", 20.5)],
    }
    registry.add_relabellings(half.id, moved)
    assert registry.relabellings(half.id) == moved
    assert registry.relabelled_counts(half.id, 25.0) == {("hawk", "owl"): 1}
    registry.delete_examples(half.id, [rows[0].id])
    assert registry.relabellings(half.id) == {rows[1].id: moved[rows[1].id]}


def test_examples_of_a_catalogue_that_is_gone_are_refused(registry: Registry) -> None:
    half = opened(registry)
    registry.delete_catalogue(half.id)
    with pytest.raises(CatalogueNotFound):
        registry.add_examples(half.id, [example(half, "a")])
    registry.take_lease(LEASE, OWNER, 60.0)
    with pytest.raises(CatalogueNotFound):
        registry.finish_import(half.id, "birds", LEASE, OWNER)


def test_a_name_that_is_taken_is_refused_and_it_stays_unseen(registry: Registry) -> None:
    taken = registry.create_catalogue("acme", "birds", "pixel")
    half = opened(registry)
    with pytest.raises(AlreadyExists, match="birds"):
        registry.finish_import(half.id, "birds", LEASE, OWNER)
    assert registry.imports() == [half]
    assert registry.catalogue("acme", "birds") == taken
    other = opened(registry, "bolt")
    registry.finish_import(other.id, "birds", LEASE, OWNER)
    assert registry.catalogue("bolt", "birds").id == other.id


def test_without_the_lease_it_is_not_finished(registry: Registry, clock: Clock) -> None:
    half = opened(registry)
    with pytest.raises(LeaseHeld):
        registry.finish_import(half.id, "birds", LEASE, "somebody else")
    clock.now += 61.0
    with pytest.raises(LeaseHeld):
        registry.finish_import(half.id, "birds", LEASE, OWNER)
    assert registry.imports() == [half]
