"""What a person decides: relabel and drop, with everything that hangs on an example."""

import pytest

from service.errors import ExampleNotFound, InvalidInput
from service.records import ExampleState, SelectionMember, Split
from service.usecases.context import partition_of
from service.usecases.decide import drop, relabel
from service.usecases.provisional import add_provisional
from tests.fakes import FAKE_ENCODER, fake_context, fruit, ingested, picture, write_pictures
from tests.usecases.test_catalogues import active_selection


@pytest.fixture
def context(tmp_path):
    """Six apples, six pears, and apple/0.png as a pear too: in conflict."""
    context = fake_context()
    pictures = fruit() | {"pear/same.png": fruit()["apple/0.png"]}
    ingested(context, write_pictures(tmp_path / "pictures", pictures))
    return context


def examples(context, name="fruit"):
    return context.registry.examples(context.registry.catalogue("acme", name).id)


def held(context):
    (one,) = [one for one in examples(context) if one.state is ExampleState.CONFLICT]
    return one


def payload(context, example_id):
    partition = partition_of(context.registry.catalogue("acme", "fruit"))
    (found,) = context.store.fetch(partition, [example_id], with_embeddings=False).payloads
    return found


def test_relabel_settles_a_conflict(context, tmp_path):
    one = held(context)
    changed = relabel(context, "acme", "fruit", one.id, " pear ")
    assert (changed.label, changed.state, changed.conflict_labels) == ("pear", ExampleState.ACTIVE, ())
    assert changed.split in (Split.SUPPORT, Split.TUNING, Split.HOLDOUT)
    stored = payload(context, one.id)
    assert (stored["label"], stored["split"]) == ("pear", changed.split.value)
    again = ingested(context, tmp_path / "pictures")
    assert (again["duplicate"], again["conflict"], again["stored"]) == (13, 0, 0)


def test_a_third_label_is_a_conflict_again(context, tmp_path):
    relabel(context, "acme", "fruit", held(context).id, "pear")
    report = ingested(context, write_pictures(tmp_path / "more", {"plum/x.png": fruit()["apple/0.png"]}))
    assert report["conflicts"][0]["labels"] == ["pear", "plum"]


def test_renaming_keeps_the_split(context):
    one = next(one for one in examples(context) if one.split is Split.HOLDOUT)
    other = "pear" if one.label == "apple" else "apple"
    assert relabel(context, "acme", "fruit", one.id, other).split is Split.HOLDOUT
    assert (payload(context, one.id)["label"], payload(context, one.id)["split"]) == (other, "holdout")


def test_the_first_of_a_class_becomes_support(context):
    one = next(one for one in examples(context) if one.split is Split.HOLDOUT)
    assert relabel(context, "acme", "fruit", one.id, "plum").split is Split.SUPPORT
    assert payload(context, one.id)["split"] == "support"


def test_a_relabelled_reference_answers_no_longer_for_its_old_class(context):
    apples = [one for one in examples(context) if one.label == "apple" and one.split is Split.SUPPORT]
    selection = active_selection(context, [SelectionMember(example_id=apples[0].id, label="apple", centrality=0.1)])
    catalogue = context.registry.catalogue("acme", "fruit")
    partition = partition_of(catalogue)
    relabel(context, "acme", "fruit", apples[0].id, "pear")
    flagged = context.store.ids(partition, {"selection_a": selection.id})
    members = {one.example_id: one.label for one in context.registry.members(selection.id)}
    assert members.get(apples[0].id) != "apple"
    assert "apple" in members.values()
    labels = {payload(context, example_id)["label"] for example_id in flagged}
    assert labels == {"apple", "pear"}, "both classes answer, apple through its provisional references"


def test_relabel_twice_finishes_what_was_broken_off(context, monkeypatch):
    one = held(context)

    def die(*args):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(context.store, "set_payload", die)
        with pytest.raises(SystemExit):
            relabel(context, "acme", "fruit", one.id, "pear")
    changed = relabel(context, "acme", "fruit", one.id, "pear")
    assert (payload(context, one.id)["label"], payload(context, one.id)["split"]) == ("pear", changed.split.value)


def test_relabel_of_what_is_not_there(context):
    with pytest.raises(ExampleNotFound):
        relabel(context, "acme", "fruit", "none", "pear")
    with pytest.raises(InvalidInput, match="label"):
        relabel(context, "acme", "fruit", held(context).id, "")
    context.registry.create_catalogue("other", "fruit", FAKE_ENCODER)
    with pytest.raises(ExampleNotFound):
        relabel(context, "other", "fruit", held(context).id, "pear")


def test_drop_takes_everything_along(context):
    one = held(context)
    keys = [key for key in context.blobs.data if one.content_hash in key]
    assert len(keys) == 2, "bytes and a cached embedding"
    assert drop(context, "acme", "fruit", [one.id, one.id]) == [one.id]
    assert one.id not in {other.id for other in examples(context)}
    partition = partition_of(context.registry.catalogue("acme", "fruit"))
    assert one.id not in context.store.ids(partition, {})
    assert not [key for key in context.blobs.data if one.content_hash in key]
    with pytest.raises(ExampleNotFound):
        drop(context, "acme", "fruit", [one.id])


def test_an_unknown_id_changes_nothing(context):
    before = examples(context), dict(context.blobs.data)
    with pytest.raises(ExampleNotFound):
        drop(context, "acme", "fruit", [before[0][0].id, "none"])
    assert (examples(context), context.blobs.data) == before


def test_bytes_stay_while_another_catalogue_needs_them(context, tmp_path):
    ingested(context, tmp_path / "pictures", name="more")
    one = examples(context)[0]
    drop(context, "acme", "fruit", [one.id])
    assert len([key for key in context.blobs.data if one.content_hash in key]) == 2
    (other,) = [other for other in examples(context, "more") if other.content_hash == one.content_hash]
    drop(context, "acme", "more", [other.id])
    assert not [key for key in context.blobs.data if one.content_hash in key]


def test_dropped_may_come_again(context, tmp_path):
    drop(context, "acme", "fruit", [held(context).id])
    report = ingested(context, write_pictures(tmp_path / "one", {"apple/0.png": fruit()["apple/0.png"]}))
    assert report["stored"] == 1


def test_dropping_a_class_s_last_reference_lets_its_support_answer(context):
    apples = [one for one in examples(context) if one.label == "apple" and one.split is Split.SUPPORT]
    selection = active_selection(context, [SelectionMember(example_id=apples[0].id, label="apple", centrality=0.1)])
    add_provisional(context, context.registry.catalogue("acme", "fruit"))
    drop(context, "acme", "fruit", [apples[0].id])
    provisional = [one for one in context.registry.members(selection.id) if one.label == "apple"]
    assert {one.example_id for one in provisional} == {one.id for one in apples[1:]}
    assert all(one.provisional for one in provisional)


def test_a_picture_alone_in_its_catalogue(tmp_path):
    context = fake_context()
    ingested(context, write_pictures(tmp_path, {"pear/a.png": picture("a", 1)}))
    (one,) = examples(context)
    assert one.split is Split.SUPPORT
    assert drop(context, "acme", "fruit", [one.id]) == [one.id]
    assert not context.blobs.data
