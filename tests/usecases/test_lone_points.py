"""Points without a row: none stays when a chunk was buried or cancelled after its insert, or done by a late worker."""

from dataclasses import replace

import pytest

from service.records import ItemState, JobState
from service.usecases.catalogues import delete_catalogue
from service.usecases.context import example_id_of, partition_of
from service.usecases.decide import drop
from service.usecases.ingest import start_ingest
from service.usecases.job_control import cancel_job
from service.usecases.lone_points import forget_lone_points
from service.usecases.reconcile import reconcile
from tests.fakes import FAKE_ENCODER, embed_chunk, fake_context, fruit, ingested, write_pictures


def started(context, folder, **pictures):
    folder = write_pictures(folder, fruit(**pictures))
    return start_ingest(context, "acme", "fruit", folder, encoder=FAKE_ENCODER)


def fruit_catalogue(context):
    return context.registry.catalogue("acme", "fruit")


def points_and_rows(context):
    catalogue = fruit_catalogue(context)
    points = context.store.ids(partition_of(catalogue), {})
    return points, sorted(row.id for row in context.registry.examples(catalogue.id))


def dying(*_):
    raise SystemExit


def inserted(context, job, number):
    """The chunk's points are there, and whoever inserted them died before their rows were written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context.registry, "settle_chunk", dying)
        patch.setattr(context.registry, "release_chunk", lambda *_: None)
        with pytest.raises(SystemExit):
            embed_chunk(replace(context, owner="dead"), job.id, number)
    context.registry.expire_leases()


def test_a_picture_that_is_buried_after_its_insert_leaves_no_point(tmp_path):
    context = fake_context()
    job = started(context, tmp_path, count=1, labels=("apple",))
    for _ in range(3):
        inserted(context, job, 0)
    assert len(points_and_rows(context)[0]) == 1
    context.queue.deliver(context)
    assert context.registry.item_counts(job.id) == {ItemState.FAILED: 1}
    assert points_and_rows(context) == ([], [])


def test_pictures_that_are_cancelled_after_their_insert_leave_no_points(tmp_path):
    context = fake_context()
    job = started(context, tmp_path)
    inserted(context, job, 0)
    assert points_and_rows(context)[0]
    cancel_job(context, "acme", job.id)
    context.queue.deliver(context)
    assert context.registry.job(job.id).state is JobState.CANCELLED
    assert points_and_rows(context) == ([], [])


@pytest.mark.parametrize("meanwhile", ["done", "dropped", "deleted"])
def test_a_worker_that_was_held_up_leaves_what_is_there_and_nothing_else(tmp_path, monkeypatch, meanwhile):
    """Its lease ran out before its insert; the other worker has done the chunk, and then the pictures were dropped."""
    context = fake_context()
    job = started(context, tmp_path)
    insert = context.store.insert

    def held_up(partition, points):
        monkeypatch.setattr(context.store, "insert", insert)
        context.registry.expire_leases()
        context.queue.deliver(replace(context, owner="another"))
        catalogue = fruit_catalogue(context)
        if meanwhile == "dropped":
            drop(context, "acme", "fruit", [row.id for row in context.registry.examples(catalogue.id)])
        if meanwhile == "deleted":
            delete_catalogue(context, "acme", "fruit")
        insert(partition, points)

    monkeypatch.setattr(context.store, "insert", held_up)
    catalogue = fruit_catalogue(context)
    embed_chunk(context, job.id, 0)
    pinned = replace(catalogue, fingerprint=context.encoders.load(FAKE_ENCODER).fingerprint)
    points = context.store.ids(partition_of(pinned), {})
    rows = [] if meanwhile == "deleted" else sorted(row.id for row in context.registry.examples(catalogue.id))
    assert points == rows
    assert len(rows) == (12 if meanwhile == "done" else 0)


def test_the_whole_comparison_deletes_lone_points_and_waits_for_pictures_that_will_have_rows(tmp_path):
    context = fake_context()
    ingested(context, write_pictures(tmp_path / "first", fruit(2)))
    catalogue = fruit_catalogue(context)
    kept = points_and_rows(context)[1]
    lone = kept[0]
    context.registry.delete_examples(catalogue.id, [lone])
    job = started(context, tmp_path / "second", labels=("fig", "kiwi"))
    inserted(context, job, 0)
    waiting = set(points_and_rows(context)[0]) - set(kept)
    assert waiting

    assert reconcile(context, catalogue, whole=False) == 0
    assert lone in points_and_rows(context)[0]
    assert reconcile(context, catalogue) >= 1
    points, rows = points_and_rows(context)
    assert lone not in points
    assert set(points) == set(rows) | waiting


def test_a_picture_that_is_handed_over_again_while_its_point_goes_keeps_it(tmp_path, monkeypatch):
    context = fake_context()
    ingested(context, write_pictures(tmp_path, fruit(2)))
    catalogue = fruit_catalogue(context)
    row, *_ = context.registry.examples(catalogue.id)
    assert row.id == example_id_of(catalogue, row.content_hash)
    before = context.store.fetch(partition_of(catalogue), [row.id])
    context.registry.delete_examples(catalogue.id, [row.id])
    delete = context.store.delete

    def delete_while_it_returns(partition, ids):
        context.registry.add_examples(catalogue.id, [row])
        delete(partition, ids)

    monkeypatch.setattr(context.store, "delete", delete_while_it_returns)
    assert forget_lone_points(context, catalogue, [row.id]) == 0
    after = context.store.fetch(partition_of(catalogue), [row.id])
    assert after.payloads == before.payloads
    assert (after.embeddings == before.embeddings).all()
