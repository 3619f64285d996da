"""What a person has dropped: the contract of `ports.DroppedRegistry`, on the fake too."""

from __future__ import annotations

import threading

import pytest

from service.errors import CatalogueNotFound
from service.ports import Registry
from service.records import Catalogue, Dropped, ExampleState, FailedItem, ItemState, Split
from tests.registry_rows import claimed, embedded, example_id, ingested, picture, sealed, settled


@pytest.fixture
def registry(rows: Registry) -> Registry:
    """The contract's, and the fake that tests of use cases stand on."""
    return rows


def id_of(catalogue: Catalogue, name: str) -> str:
    return example_id(catalogue, picture(name).content_hash)


def states(registry: Registry, job_id: str) -> list[ItemState]:
    return [item.state for item in registry.items(job_id)]


def dropped_of(catalogue: Catalogue, name: str, *labels: str) -> Dropped:
    return Dropped(id_of(catalogue, name), picture(name).content_hash, labels)


def test_dropping_takes_the_row_and_remembers_the_labels(registry: Registry, catalogue: Catalogue) -> None:
    ingested(registry, catalogue, [picture("a"), picture("b"), picture("c")])
    registry.relabel_example(catalogue.id, id_of(catalogue, "a"), "rook", Split.SUPPORT)
    ingested(registry, catalogue, [picture("b", "jay")])
    both = [id_of(catalogue, "a"), id_of(catalogue, "b")]
    registry.drop_examples(catalogue.id, [*both, "unknown"])
    assert [one.id for one in registry.examples(catalogue.id)] == [id_of(catalogue, "c")]
    expected = [dropped_of(catalogue, "a", "owl", "rook"), dropped_of(catalogue, "b", "jay", "owl")]
    assert registry.dropped(catalogue.id) == sorted(expected)
    assert registry.dropped(catalogue.id, [both[0], "unknown"]) == [expected[0]]
    assert registry.dropped(catalogue.id, []) == []
    other = registry.create_catalogue("tenant", "other", "pixel")
    assert registry.dropped(other.id) == []
    registry.delete_catalogue(catalogue.id)
    assert registry.dropped(catalogue.id) == []
    with pytest.raises(CatalogueNotFound):
        registry.drop_examples(catalogue.id, both)


def test_a_deleted_example_is_not_dropped(registry: Registry, catalogue: Catalogue) -> None:
    ingested(registry, catalogue, [picture("a")])
    registry.delete_examples(catalogue.id, [id_of(catalogue, "a")])
    assert registry.dropped(catalogue.id) == []
    assert states(registry, ingested(registry, catalogue, [picture("a")])) == [ItemState.STORED]


def test_what_was_dropped_while_it_was_embedded_is_not_stored(registry: Registry, catalogue: Catalogue) -> None:
    ingested(registry, catalogue, [picture("a")])
    job_id = sealed(registry, catalogue, [picture("a"), picture("b")])
    chunk = claimed(registry, job_id)
    registry.drop_examples(catalogue.id, [id_of(catalogue, "a")])
    assert not settled(registry, catalogue, chunk).job_settled
    assert states(registry, job_id) == [ItemState.PENDING, ItemState.STORED]
    assert registry.open_chunks() == [(job_id, 0)], "whoever claims it again looks again"
    again = claimed(registry, job_id)
    skipped = [FailedItem(item_id=again.items[0].id, reason="it was dropped", state=ItemState.SKIPPED)]
    assert registry.settle_chunk(again, "worker", [], skipped).job_settled
    assert [(item.state, item.reason) for item in registry.items(job_id)] == [
        (ItemState.SKIPPED, "it was dropped"),
        (ItemState.STORED, None),
    ]


def test_under_a_new_label_it_is_stored_and_the_old_ones_are_settled(registry: Registry, catalogue: Catalogue) -> None:
    ingested(registry, catalogue, [picture("a")])
    registry.drop_examples(catalogue.id, [id_of(catalogue, "a")])
    job_id = sealed(registry, catalogue, [picture("a", "jay")])
    assert settled(registry, catalogue, claimed(registry, job_id)).job_settled
    example = registry.example(catalogue.id, id_of(catalogue, "a"))
    assert (example.label, example.state, example.settled_labels) == ("jay", ExampleState.ACTIVE, ("owl",))
    assert registry.dropped(catalogue.id) == []
    assert states(registry, ingested(registry, catalogue, [picture("a")])) == [ItemState.DUPLICATE]


def test_of_two_labels_in_one_chunk_only_the_dropped_one_waits(registry: Registry, catalogue: Catalogue) -> None:
    ingested(registry, catalogue, [picture("a")])
    registry.drop_examples(catalogue.id, [id_of(catalogue, "a")])
    job_id = sealed(registry, catalogue, [picture("a"), picture("a", "jay")])
    chunk = claimed(registry, job_id)
    registry.settle_chunk(chunk, "worker", [embedded(catalogue, item) for item in chunk.items], [])
    assert states(registry, job_id) == [ItemState.PENDING, ItemState.STORED]


def test_taken_back_it_is_stored_again(registry: Registry, catalogue: Catalogue) -> None:
    ingested(registry, catalogue, [picture("a"), picture("b")])
    registry.drop_examples(catalogue.id, [id_of(catalogue, "a"), id_of(catalogue, "b")])
    registry.take_back(catalogue.id, [id_of(catalogue, "a"), "unknown"])
    assert registry.dropped(catalogue.id) == [dropped_of(catalogue, "b", "owl")]
    job_id = sealed(registry, catalogue, [picture("a")])
    assert settled(registry, catalogue, claimed(registry, job_id)).job_settled
    assert states(registry, job_id) == [ItemState.STORED]


def test_a_renamed_class_takes_along_what_was_dropped_of_it(registry: Registry, catalogue: Catalogue) -> None:
    ingested(registry, catalogue, [picture("a"), picture("b", "jay")])
    registry.drop_examples(catalogue.id, [id_of(catalogue, "a"), id_of(catalogue, "b")])
    for _ in range(2):
        registry.rename_dropped(catalogue.id, "owl", "barn owl")
    expected = [dropped_of(catalogue, "a", "barn owl", "owl"), dropped_of(catalogue, "b", "jay")]
    assert registry.dropped(catalogue.id) == sorted(expected)


def test_rows_of_an_import_are_passed_over_where_there_is_an_example(registry: Registry, catalogue: Catalogue) -> None:
    ingested(registry, catalogue, [picture("a")])
    rows = [dropped_of(catalogue, "a", "jay"), dropped_of(catalogue, "b", "jay", "owl")]
    registry.add_dropped(catalogue.id, rows)
    registry.add_dropped(catalogue.id, [])
    assert registry.dropped(catalogue.id) == rows[1:]


def test_a_page_begins_behind_the_one_before(registry: Registry, catalogue: Catalogue) -> None:
    rows = sorted(dropped_of(catalogue, f"picture-{number}", "owl") for number in range(5))
    registry.add_dropped(catalogue.id, rows)
    other = registry.create_catalogue("tenant", "other", "pixel")
    registry.add_dropped(other.id, [dropped_of(other, "picture-0", "owl")])
    assert registry.dropped_page(catalogue.id, None, 2) == rows[:2]
    assert registry.dropped_page(catalogue.id, rows[1].example_id, 2) == rows[2:4]
    assert registry.dropped_page(catalogue.id, rows[3].example_id, 2) == rows[4:]
    assert registry.dropped_page(catalogue.id, rows[4].example_id, 2) == []


def test_more_than_a_statement_takes(registry: Registry, catalogue: Catalogue) -> None:
    rows = sorted(dropped_of(catalogue, f"picture-{number}", "owl") for number in range(2500))
    registry.add_dropped(catalogue.id, rows)
    assert registry.dropped(catalogue.id, [one.example_id for one in rows]) == rows
    registry.take_back(catalogue.id, [one.example_id for one in rows])
    assert registry.dropped(catalogue.id) == []


def test_drops_and_settlements_at_once_leave_each_picture_in_one_place(
    registry: Registry, catalogue: Catalogue
) -> None:
    """Three threads settle chunks of the same pictures while one drops them: never both an example and dropped."""
    names = "abcdef"
    ingested(registry, catalogue, [picture(name) for name in names])
    chunks = [claimed(registry, sealed(registry, catalogue, [picture(name) for name in names])) for _ in range(3)]
    works = [lambda chunk=chunk: settled(registry, catalogue, chunk) for chunk in chunks]
    works.append(lambda: registry.drop_examples(catalogue.id, [id_of(catalogue, name) for name in names]))
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert registry.examples(catalogue.id) == []
    assert len(registry.dropped(catalogue.id)) == len(names)
