"""Catalogues: made, listed, shown, deleted with all that only they needed."""

import numpy as np
import pytest

from service.core.recipe import Recipe
from service.errors import AlreadyExists, CatalogueNotFound, InvalidInput, TenantNotFound
from service.records import JobState, SelectionMember, Split
from service.usecases import publish
from service.usecases.catalogues import create_catalogue, delete_catalogue, list_catalogues, show_catalogue
from service.usecases.context import partition_of
from service.usecases.decide import relabel
from service.usecases.ingest import start_ingest
from tests.fakes import FAKE_ENCODER, FakeEncoder, fake_context, fruit, ingested, write_pictures


def active_selection(context, members, name="fruit"):
    """Publish the members as they are, behind no head."""
    catalogue = context.registry.catalogue("acme", name)
    stored = context.store.fetch(partition_of(catalogue), [one.example_id for one in members])
    draft = publish.Draft(
        recipe=Recipe().as_dict(),
        head=None,
        members=tuple(members),
        projections=np.asarray(stored.embeddings, dtype=np.float32),
        thresholds={},
        split_hash="",
        seed=0,
        why="a test",
        measured_on="nothing",
        figures={},
    )
    return publish.publish(context, catalogue, draft, sleep=lambda seconds: None)


def test_create_and_show():
    context = fake_context()
    create_catalogue(context, "acme", "fruit", FAKE_ENCODER)
    assert show_catalogue(context, "acme", "fruit").as_dict() == {
        "name": "fruit",
        "encoder": FAKE_ENCODER,
        "examples": {"support": 0, "tuning": 0, "holdout": 0, "unassigned": 0},
        "labels": {},
        "conflicts": [],
        "active_selection": None,
        "references": 0,
        "changed": None,
    }
    with pytest.raises(AlreadyExists):
        create_catalogue(context, "acme", "fruit", FAKE_ENCODER)
    create_catalogue(context, "other", "fruit", FAKE_ENCODER)


@pytest.mark.parametrize(("name", "encoder"), [("a b", FAKE_ENCODER), ("fruit", "none")])
def test_what_cannot_be_created(name, encoder):
    with pytest.raises(InvalidInput):
        create_catalogue(fake_context(), "acme", name, encoder)


def test_show_counts(tmp_path):
    context = fake_context()
    pictures = fruit() | {"pear/same.png": fruit()["apple/0.png"]}
    ingested(context, write_pictures(tmp_path, pictures))
    summary = show_catalogue(context, "acme", "fruit")
    assert summary.labels == {"apple": 5, "pear": 6}
    assert sum(summary.examples.values()) == 11
    assert summary.examples["unassigned"] == 0
    assert (summary.references, summary.active_selection) == (0, None)
    (conflict,) = summary.as_dict()["conflicts"]
    assert conflict["labels"] == ["apple", "pear"]
    assert conflict["source"].endswith(("apple/0.png", "pear/same.png"))
    assert relabel(context, "acme", "fruit", conflict["id"], "pear").label == "pear"
    assert show_catalogue(context, "acme", "fruit").conflicts == ()


def test_show_the_active_selection(tmp_path):
    context = fake_context()
    ingested(context, write_pictures(tmp_path, fruit()))
    catalogue = context.registry.catalogue("acme", "fruit")
    chosen = {one.label: one for one in context.registry.examples(catalogue.id, Split.SUPPORT)}
    members = [SelectionMember(example_id=one.id, label=one.label, centrality=0.5) for one in chosen.values()]
    selection = active_selection(context, members)
    summary = show_catalogue(context, "acme", "fruit")
    assert (summary.active_selection, summary.references) == (selection.id, 2)


def test_list_is_by_name_and_tenant():
    context = fake_context()
    for tenant, name in (("acme", "b"), ("acme", "a"), ("other", "c")):
        create_catalogue(context, tenant, name, FAKE_ENCODER)
    assert [one.name for one in list_catalogues(context, "acme")] == ["a", "b"]


def test_a_tenant_that_is_not_there_has_no_list():
    with pytest.raises(TenantNotFound, match="there is no tenant 'acme'"):
        list_catalogues(fake_context(), "acme")


def test_another_tenant_sees_nothing():
    context = fake_context()
    create_catalogue(context, "acme", "fruit", FAKE_ENCODER)
    for ask in (show_catalogue, delete_catalogue):
        with pytest.raises(CatalogueNotFound):
            ask(context, "other", "fruit")


def test_delete_leaves_nothing(tmp_path):
    context = fake_context()
    pictures = fruit() | {"apple/broken.png": b"broken"}
    ingested(context, write_pictures(tmp_path, pictures))
    catalogue = context.registry.catalogue("acme", "fruit")
    (one, *_) = context.registry.examples(catalogue.id, Split.SUPPORT)
    active_selection(context, [SelectionMember(example_id=one.id, label=one.label, centrality=0.5)])
    delete_catalogue(context, "acme", "fruit")
    assert context.blobs.data == {}
    assert context.store.ids(partition_of(catalogue), {}) == []
    assert context.registry.examples(catalogue.id) == []
    assert context.registry.jobs(list(JobState)) == []
    with pytest.raises(CatalogueNotFound):
        show_catalogue(context, "acme", "fruit")
    assert ingested(context, tmp_path)["stored"] == 12


def test_delete_spares_what_others_need(tmp_path):
    context = fake_context()
    context.encoders.known["other"] = FakeEncoder("other")
    folder = write_pictures(tmp_path, fruit())
    ingested(context, folder)
    ingested(context, folder, name="more", encoder="other")
    before = {key for key in context.blobs.data if context.encoders.known[FAKE_ENCODER].fingerprint.digest not in key}
    delete_catalogue(context, "acme", "fruit")
    assert set(context.blobs.data) == before, "the bytes and the other encoder's embeddings stay"
    assert len(context.store.ids(partition_of(context.registry.catalogue("acme", "more")), {})) == 12
    delete_catalogue(context, "acme", "more")
    assert context.blobs.data == {}


def test_delete_with_work_under_way(tmp_path):
    context = fake_context()
    start_ingest(context, "acme", "fruit", write_pictures(tmp_path, fruit()), encoder=FAKE_ENCODER)
    context.queue.deliver(context, most=1)
    delete_catalogue(context, "acme", "fruit")
    context.queue.deliver(context)
    assert context.blobs.data == {}


def test_a_deletion_that_was_broken_off_can_be_asked_again(tmp_path, monkeypatch):
    context = fake_context()
    ingested(context, write_pictures(tmp_path, fruit()))

    def die(*args):
        raise SystemExit

    registry, store, blobs = context.registry, context.store, context.blobs
    for part, step in ((store, "delete_partition"), (blobs, "delete"), (registry, "selections")):
        with monkeypatch.context() as patch:
            patch.setattr(part, step, die)
            with pytest.raises(SystemExit):
                delete_catalogue(context, "acme", "fruit")
    delete_catalogue(context, "acme", "fruit")
    assert context.blobs.data == {}
