"""The contract of `ports.Registry` about parts of pictures: each is an item and an example of its own."""

from __future__ import annotations

import uuid
from dataclasses import replace

from service.ports import Registry
from service.records import Catalogue, EmbeddedItem, ExampleState, Item, ItemState, JobKind, NewItem
from tests.registry_rows import claimed, picture, sealed

LEFT, RIGHT = "0,0,30,40", "30,0,30,40,pad"


def part(name: str, crop: str, label: str = "owl") -> NewItem:
    return replace(picture(name, label), crop=crop)


def example_of(catalogue: Catalogue, item: Item) -> str:
    return str(uuid.uuid5(uuid.UUID(catalogue.id), item.picture))


def ingested(registry: Registry, catalogue: Catalogue, new: list[NewItem]) -> list[Item]:
    """The job's items, once every part of a picture was settled as an example of its own."""
    job_id = sealed(registry, catalogue, new)
    chunk = claimed(registry, job_id)
    done = [
        EmbeddedItem(
            item_id=item.id,
            example_id=example_of(catalogue, item),
            width_px=30,
            height_px=40,
            perceptual_hash="0123456789abcdef",
        )
        for item in chunk.items
    ]
    registry.settle_chunk(chunk, "worker", done, [])
    return registry.items(job_id)


def test_parts_of_a_picture_are_examples_of_their_own(registry: Registry, catalogue: Catalogue) -> None:
    new = [part("a", LEFT), part("a", RIGHT, "rook"), part("a", "", "jay"), part("a", LEFT, "jay")]
    items = ingested(registry, catalogue, new)
    assert [item.crop for item in items] == [LEFT, RIGHT, "", LEFT]
    assert [item.state for item in items[1:]] == [ItemState.STORED, ItemState.STORED, ItemState.CONFLICT]
    found = {one.crop: one for one in registry.examples(catalogue.id)}
    assert {crop: one.label for crop, one in found.items()} == {LEFT: "owl", RIGHT: "rook", "": "jay"}
    assert found[LEFT].state is ExampleState.CONFLICT
    assert found[RIGHT].picture == f"{picture('a').content_hash}@{RIGHT}"
    assert registry.examples_by_id(catalogue.id, [found[RIGHT].id])[found[RIGHT].id] == found[RIGHT]
    content_hash = picture("a").content_hash
    assert registry.examples_by_hash(catalogue.id, [content_hash])[content_hash] in found.values()


def test_parts_are_in_use_each_for_itself(registry: Registry, catalogue: Catalogue) -> None:
    ingested(registry, catalogue, [part("a", LEFT), part("a", RIGHT)])
    sealed(registry, catalogue, [part("b", LEFT), part("b", "")])
    a, b = picture("a").content_hash, picture("b").content_hash
    assert registry.pictures_in_use("tenant", [a]) == {f"{a}@{LEFT}", f"{a}@{RIGHT}"}
    assert registry.pictures_in_use("tenant", [b, "x"]) == {f"{b}@{LEFT}", b}
    left = next(one.id for one in registry.examples(catalogue.id) if one.crop == LEFT)
    registry.delete_examples(catalogue.id, [left])
    assert registry.pictures_in_use("tenant", [a]) == {f"{a}@{RIGHT}"}


def test_the_same_part_is_added_once(registry: Registry, catalogue: Catalogue) -> None:
    job = registry.open_job(catalogue, JobKind.INGEST, {})
    new = [part("a", LEFT), part("a", RIGHT), part("a", LEFT), part("a", "")]
    assert registry.add_items(job.id, new, once=True) == 3
    assert registry.add_items(job.id, [*new, part("a", "1,1,1,1")], once=True) == 1
    assert [item.crop for item in registry.items(job.id)] == [LEFT, RIGHT, "", "1,1,1,1"]


def test_parts_that_failed_are_tried_again_as_they_were(registry: Registry, catalogue: Catalogue) -> None:
    job_id = sealed(registry, catalogue, [part("a", LEFT), part("a", RIGHT)])
    claimed(registry, job_id)
    registry.finish_job(job_id, None, "stopped")
    again = registry.retry_job(job_id, 32)
    assert [item.crop for item in registry.items(again.id)] == [LEFT, RIGHT]


def test_parts_come_in_from_an_archive(registry: Registry, catalogue: Catalogue) -> None:
    ingested(registry, catalogue, [part("a", LEFT), part("a", RIGHT)])
    rows = registry.examples(catalogue.id)
    copy = registry.open_import(str(uuid.uuid4()), "tenant", "pixel", None, len(rows))
    registry.add_examples(copy.id, [replace(one, catalogue_id=copy.id) for one in rows])
    assert [one.picture for one in registry.examples(copy.id)] == [one.picture for one in rows]
