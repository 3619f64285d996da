"""What a person has dropped stays out: whoever brings it again, until it is taken back."""

from __future__ import annotations

import pytest

from service.errors import CatalogueNotFound, ExampleNotFound
from service.records import Dropped, ItemState
from service.usecases.browsing import show_example
from service.usecases.classes import rename_label
from service.usecases.context import partition_of
from service.usecases.decide import drop, relabel
from service.usecases.dropped import as_dict, dropped_page, list_dropped
from service.usecases.hints import to_keep
from service.usecases.hygiene import keep
from service.usecases.pictures import thumbnail
from service.usecases.tenants import delete_tenant
from tests.fakes import FAKE_ENCODER, fake_context, fruit, ingested, write_pictures
from tests.usecases.archives import archived, imported


@pytest.fixture
def context(tmp_path):
    """Six apples and six pears."""
    context = fake_context()
    ingested(context, write_pictures(tmp_path / "pictures", fruit()))
    return context


def catalogue_of(context, name="fruit"):
    return context.registry.catalogue("acme", name)


def example(context, source="apple/0.png", name="fruit"):
    (one,) = [one for one in context.registry.examples(catalogue_of(context, name).id) if one.source.endswith(source)]
    return one


def dropped(context, source="apple/0.png"):
    one = example(context, source)
    drop(context, "acme", "fruit", [one.id], remember=True)
    return one


def test_the_same_folder_again_passes_it_over_and_says_how_it_comes_back(context, tmp_path):
    one = dropped(context)
    encoded = context.encoders.known[FAKE_ENCODER].encoded
    report = ingested(context, tmp_path / "pictures")
    assert {key: report[key] for key in ("stored", "duplicate", "conflict", "skipped", "failed")} == {
        "stored": 0,
        "duplicate": 11,
        "conflict": 0,
        "skipped": 1,
        "failed": 0,
    }
    (left_out,) = report["left_out"]
    assert left_out["id"] == one.id
    assert left_out["path"].endswith("apple/0.png")
    assert left_out["reason"].startswith(f"it was dropped: {to_keep('fruit', one.id)} takes that back")
    assert context.encoders.known[FAKE_ENCODER].encoded == encoded, "it costs no pass"
    assert one.id not in context.store.ids(partition_of(catalogue_of(context)), {})
    assert not [key for key in context.blobs.data if one.content_hash in key], "nor do its bytes stay"
    assert [item.state for item in context.registry.items(report["job"])].count(ItemState.SKIPPED) == 1


def test_kept_it_is_stored_by_the_next_ingest(context, tmp_path):
    one, other = dropped(context), example(context, "apple/1.png")
    kept = keep(context, "acme", "fruit", [one.id, other.id, one.id])
    assert (list(kept.kinds), kept.taken_back) == ([other.id], [one.id])
    with pytest.raises(ExampleNotFound):
        keep(context, "acme", "fruit", [one.id])
    assert ingested(context, tmp_path / "pictures")["stored"] == 1
    assert example(context).id == one.id


@pytest.mark.parametrize(
    "ask",
    [
        lambda context, id_: drop(context, "acme", "fruit", [id_]),
        lambda context, id_: drop(context, "acme", "fruit", [id_], remember=True),
        lambda context, id_: relabel(context, "acme", "fruit", id_, "pear"),
        lambda context, id_: show_example(context, "acme", "fruit", id_),
        lambda context, id_: thumbnail(context, "acme", "fruit", id_, 160, lambda _: False),
    ],
)
def test_whoever_asks_for_it_is_told_that_it_was_dropped(context, ask):
    one = dropped(context)
    with pytest.raises(ExampleNotFound) as raised:
        ask(context, one.id)
    assert raised.value.message == f"the example '{one.id}' was dropped; {to_keep('fruit', one.id)} takes that back"
    assert raised.value.details == {"example": one.id, "dropped": [one.id]}
    keep(context, "acme", "fruit", [one.id])
    with pytest.raises(ExampleNotFound, match="has no example") as raised:
        ask(context, one.id)
    assert raised.value.details == {"example": one.id}


def test_of_several_it_is_told_which_were_dropped(context):
    one, there = dropped(context), example(context, "apple/1.png")
    with pytest.raises(ExampleNotFound) as raised:
        drop(context, "acme", "fruit", [there.id, one.id, "none"])
    assert "does not have 2 of the 3 examples" in raised.value.message
    assert raised.value.message.endswith(
        f"nothing was changed; 1 of them was dropped; {to_keep('fruit', one.id)} takes that back"
    )
    assert raised.value.details == {"examples": [one.id, "none"], "dropped": [one.id]}


def test_what_is_dropped_is_listed_page_by_page(context):
    gone = sorted(dropped(context, f"apple/{number}.png").id for number in range(3))
    assert [one.example_id for one in list_dropped(context, "acme", "fruit")] == gone
    first = dropped_page(context, "acme", "fruit", None, 2)
    assert [one.example_id for one in first] == gone[:2]
    assert [one.example_id for one in dropped_page(context, "acme", "fruit", gone[1], 2)] == gone[2:]
    with pytest.raises(CatalogueNotFound):
        list_dropped(context, "rival", "fruit")


def test_a_line_tells_the_part_of_the_picture():
    line = as_dict(Dropped("an id", "ab12@1,2,3,4", ("apple", "pear")))
    assert line == {"id": "an id", "labels": ["apple", "pear"], "content_hash": "ab12", "crop": "1,2,3,4"}


def test_an_unknown_id_takes_nothing_back(context):
    one = dropped(context)
    with pytest.raises(ExampleNotFound):
        keep(context, "acme", "fruit", [one.id, "none"])
    assert [found.example_id for found in context.registry.dropped(catalogue_of(context).id)] == [one.id]


def test_what_is_merely_deleted_may_come_again(context, tmp_path):
    drop(context, "acme", "fruit", [example(context).id])
    assert ingested(context, tmp_path / "pictures")["stored"] == 1


def test_under_another_label_it_is_a_new_picture(context, tmp_path):
    one = dropped(context)
    report = ingested(context, write_pictures(tmp_path / "more", {"plum/x.png": fruit()["apple/0.png"]}))
    assert (report["stored"], report["skipped"]) == (1, 0)
    assert example(context, "plum/x.png").id == one.id
    assert ingested(context, tmp_path / "pictures")["duplicate"] == 12, "its former label was decided against"


def test_every_label_that_it_had_is_remembered(context, tmp_path):
    relabel(context, "acme", "fruit", example(context).id, "pear")
    dropped(context)
    write_pictures(tmp_path / "pictures", {"pear/same.png": fruit()["apple/0.png"]})
    report = ingested(context, tmp_path / "pictures")
    assert (report["skipped"], report["stored"], report["conflict"]) == (2, 0, 0)


def test_a_renamed_class_keeps_it_out_under_both_names(context, tmp_path):
    dropped(context)
    rename_label(context, "acme", "fruit", "apple", "malus")
    write_pictures(tmp_path / "pictures", {"malus/same.png": fruit()["apple/0.png"]})
    assert ingested(context, tmp_path / "pictures")["skipped"] == 2


def test_bytes_stay_where_another_catalogue_shows_them(context, tmp_path):
    one = dropped(context)
    ingested(context, tmp_path / "pictures", name="more")
    ingested(context, tmp_path / "pictures")
    assert [key for key in context.blobs.data if "/images/" in key and one.content_hash in key]


def test_an_archive_takes_it_along(context, tmp_path):
    one = dropped(context)
    other = fake_context()
    imported(other, archived(context), "copy")
    (row,) = other.registry.dropped(catalogue_of(other, "copy").id)
    assert (row.picture, row.labels) == (one.picture, ("apple",))
    assert row.example_id != one.id, "it is named as this catalogue names it"
    assert ingested(other, tmp_path / "pictures", name="copy")["skipped"] == 1


def test_it_goes_with_its_tenant(context):
    dropped(context)
    delete_tenant(context, "acme")
    assert context.registry.dropped_rows == {}
