"""The preview of a class: what is told, that it is true, and that nothing is stored."""

import copy

import pytest

from service.errors import CatalogueNotFound, InvalidInput, NothingToServe
from service.usecases.preview import preview_class
from service.usecases.publish import publish
from tests.fakes import FAKE_ENCODER, fake_context, ingested, write_pictures
from tests.usecases.serving import draft, fruit_of, no_sleep
from tests.usecases.test_hygiene import classes, near, stocked


@pytest.fixture
def context(tmp_path):
    """Ten apples, pears and plums; one more "apple" lies where the new class will."""
    return stocked(tmp_path / "labelled", classes() | {"apple/odd.png": near("odd", 3, 500)})


def newcomers(count=4, centre=3):
    return [(f"new{n}.png", near(f"new{n}", centre, 600 + n)) for n in range(count)]


def preview(context, pictures, label="quince"):
    return preview_class(context, "acme", "fruit", label, pictures)


def test_a_class_of_its_own_is_recognised_and_takes_only_the_stray(context):
    found = preview(context, newcomers())
    assert found.label == "quince"
    assert found.recognised == 4
    assert found.images == 31
    (taking,) = [one for one in found.confusions if one.taken]
    assert (taking.label, taking.taken, taking.lost, taking.images) == ("apple", 1, 0, 11)
    catalogue = fruit_of(context)
    assert [context.registry.example(catalogue.id, one).source.split("/")[-1] for one in taking.examples] == ["odd.png"]
    assert sum(one.answers for one in found.confusions) == 4, "each new picture is answered as something now"
    assert taking.as_dict()["share"] == pytest.approx(1 / 11)


def test_a_class_that_is_there_under_another_name_is_confused_with_it(context):
    found = preview(context, newcomers(centre=1))
    most = found.confusions[0]
    assert most.label == "pear"
    assert most.answers == 4
    assert most.taken >= 1
    assert most.taken_right == most.taken
    assert all(one.taken == 0 for one in found.confusions if one.label != "pear")
    assert found.recognised == 4 - sum(one.lost for one in found.confusions)


def test_one_picture_cannot_be_recognised_by_others(context):
    found = preview(context, newcomers(1))
    assert found.recognised is None
    assert all(one.lost == 0 for one in found.confusions)
    assert found.as_dict()["recognised"] is None


def test_pictures_that_cannot_be_used_are_told_beside_the_others(context):
    found = preview(context, [("bad.png", b"no picture"), *newcomers(2)]).as_dict()
    assert [one["path"] for one in found["pictures"]] == ["bad.png", "new0.png", "new1.png"]
    assert set(found["pictures"][0]) == {"path", "error"}
    assert set(found["pictures"][1]) == {"path", "label", "confidence", "margin", "top", "stored"}
    assert found["pictures"][1]["stored"] is None
    with pytest.raises(InvalidInput, match=r"none of the 1 pictures can be used: bad\.png: the file is no picture"):
        preview(context, [("bad.png", b"no picture")])


def test_a_picture_that_is_given_twice_counts_once(context):
    once, twice = preview(context, newcomers(2)), preview(context, [*newcomers(2), ("again.png", newcomers(1)[0][1])])
    assert twice.pictures[:2] == once.pictures
    assert twice.pictures[2].as_dict() == {"path": "again.png", "error": "the same picture as new0.png"}
    assert (twice.confusions, twice.recognised) == (once.confusions, once.recognised)
    alone = preview(context, [newcomers(1)[0], ("again.png", newcomers(1)[0][1])])
    assert alone.recognised is None, "one picture is not recognised by itself"


@pytest.mark.parametrize("published", [False, True])
def test_stored_copies_are_named_and_change_nothing_else(context, tmp_path, published):
    """What is told is what is told where they were never stored."""
    if published:
        publish(context, fruit_of(context), draft(context, pull=0.4), sleep=no_sleep)
    before = preview(context, newcomers())
    ingested(context, write_pictures(tmp_path / "stored", {f"plum/{name}": data for name, data in newcomers()[:2]}))
    after = preview(context, newcomers())
    assert [one.stored and one.stored.label for one in after.pictures] == ["plum", "plum", None, None]
    held = context.registry.examples(fruit_of(context).id)
    ids = {one.source.split("/")[-1]: one.id for one in held}
    assert after.pictures[0].as_dict()["stored"] == {"id": ids["new0.png"], "label": "plum"}
    assert [one.answer.top for one in after.pictures] == [one.answer.top for one in before.pictures]
    assert (after.confusions, after.recognised, after.images) == (before.confusions, before.recognised, before.images)


def test_nothing_is_told_where_nothing_else_is_stored(tmp_path):
    context = fake_context()
    pictures = {f"plum/{name}": data for name, data in newcomers(2)}
    ingested(context, write_pictures(tmp_path, pictures))
    with pytest.raises(InvalidInput, match="nothing beside these pictures"):
        preview(context, newcomers(2))


def test_the_head_that_serves_is_the_one_that_is_asked(context):
    before = preview(context, newcomers())
    publish(context, fruit_of(context), draft(context, pull=0.4), sleep=no_sleep)
    after = preview(context, newcomers())
    assert after.pictures != before.pictures, "a random head of width 5 answers otherwise"
    assert after.images == 31


def test_nothing_is_stored(context):
    publish(context, fruit_of(context), draft(context), sleep=no_sleep)
    catalogue = fruit_of(context)
    rows, blobs = context.registry.examples(catalogue.id), dict(context.blobs.data)
    points = copy.deepcopy(context.store._collections)
    preview(context, newcomers())
    assert context.registry.examples(catalogue.id) == rows
    assert context.blobs.data == blobs
    assert {key: sorted(one.points) for key, one in context.store._collections.items()} == {
        key: sorted(one.points) for key, one in points.items()
    }
    assert not context.queue.messages


def test_one_shot_classes_can_only_tell_what_answers_now(tmp_path):
    context = stocked(tmp_path, classes(each=1))
    found = preview(context, newcomers())
    assert found.images == 0
    assert all(one.taken == 0 for one in found.confusions)
    assert all(one.as_dict()["share"] == 0 for one in found.confusions)


def test_what_cannot_be_asked_is_said(context):
    with pytest.raises(InvalidInput, match="has a class 'apple' with 11 pictures already"):
        preview(context, newcomers(), label=" apple ")
    with pytest.raises(InvalidInput, match="the label is empty"):
        preview(context, newcomers(), label=" ")
    with pytest.raises(CatalogueNotFound):
        preview_class(context, "other", "fruit", "quince", newcomers())
    context.registry.create_catalogue("acme", "empty", FAKE_ENCODER)
    with pytest.raises(NothingToServe):
        preview_class(context, "acme", "empty", "quince", newcomers())


def test_a_catalogue_of_one_picture(tmp_path):
    context = fake_context()
    ingested(context, write_pictures(tmp_path, {"apple/0.png": near("a", 0, 0)}))
    found = preview(context, newcomers(2))
    assert [one.label for one in found.confusions] == ["apple"]
    assert found.confusions[0].answers == 2
