"""One chunk: claims, retries, poison pictures, encoders that changed, and crashes at every step."""

from dataclasses import replace

import numpy as np
import pytest

from service.errors import JobFailed, LeaseHeld, Unavailable
from service.ports import EmbedChunk, FinishIngest
from service.records import ExampleState, ItemState, JobState, SelectionMember, Split
from service.usecases.claimed import KILLER
from service.usecases.classify import classify
from service.usecases.context import Limits, embedding_key, image_key, partition_of
from service.usecases.ingest import ingest_report, start_ingest
from service.usecases.optimise import run_optimise, start_optimise
from service.usecases.optimise_request import OptimiseRequest
from tests.fakes import FAKE_ENCODER, FakeEncoder, embed_chunk, fake_context, fruit, ingested, picture, write_pictures
from tests.usecases.test_catalogues import active_selection


def started(context, folder, pictures=None):
    folder = write_pictures(folder, fruit() if pictures is None else pictures)
    return start_ingest(context, "acme", "fruit", folder, encoder=FAKE_ENCODER)


def items(context, job, state):
    return context.registry.items(job.id, [state])


def test_the_last_chunk_announces_the_end(tmp_path):
    context = fake_context()
    job = started(context, tmp_path)
    context.queue.messages.clear()
    embed_chunk(context, job.id, 0)
    assert context.registry.job(job.id).state is JobState.RUNNING
    assert context.registry.job(job.id).stage == "embedding"
    embed_chunk(context, job.id, 1)
    assert not context.queue.messages
    embed_chunk(context, job.id, 2)
    assert list(context.queue.messages) == [FinishIngest(job.id)]


def test_a_message_twice_is_harmless(tmp_path):
    context = fake_context()
    job = started(context, tmp_path)
    for message in list(context.queue.messages):
        context.queue.enqueue(message)
    context.queue.deliver(context)
    assert ingest_report(context, job.id)["stored"] == 12
    assert context.encoders.known[FAKE_ENCODER].encoded == 12
    embed_chunk(context, job.id, 0)
    embed_chunk(context, "no such job", 0)


def test_a_leased_chunk_is_left_alone(tmp_path):
    context = fake_context()
    job = started(context, tmp_path)
    context.registry.claim_chunk(job.id, 0, "another", 60)
    embed_chunk(context, job.id, 0)
    assert context.encoders.known[FAKE_ENCODER].encoded == 0


def test_the_encoder_is_told_how_many_pictures_are_on_their_way(tmp_path):
    context = fake_context(limits=Limits(chunk_images=4))
    ingested(context, write_pictures(tmp_path, fruit(5)))
    assert context.encoders.known[FAKE_ENCODER].expected == [10, 6, 2]


def test_a_chunk_is_encoded_in_two_batches(tmp_path):
    context = fake_context(limits=Limits(chunk_images=5))
    ingested(context, write_pictures(tmp_path, fruit(5)))
    assert context.encoders.known[FAKE_ENCODER].batches == [3, 2, 3, 2]


def test_an_outage_gives_the_chunk_back_uncounted(tmp_path):
    context = fake_context()
    job = started(context, tmp_path)
    for _ in range(5):
        context.blobs.down = True
        with pytest.raises(Unavailable):
            embed_chunk(context, job.id, 0)
        context.blobs.down = False
    chunk = context.registry.claim_chunk(job.id, 0, "another", 60)
    assert chunk.attempt == 1
    context.registry.release_chunk(chunk, "another")
    context.queue.deliver(context)
    assert ingest_report(context, job.id)["stored"] == 12


def test_a_worker_that_is_stopped_gives_the_chunk_back(tmp_path, monkeypatch):
    context = fake_context()
    job = started(context, tmp_path)

    def stop(partition, points):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(context.store, "insert", stop)
        with pytest.raises(KeyboardInterrupt):
            embed_chunk(context, job.id, 0)
    assert context.registry.claim_chunk(job.id, 0, "another", 60).attempt == 1


@pytest.mark.parametrize("step", ["insert", "settle_chunk", "unflag", "set_payload", "enqueue"])
def test_a_crash_at_any_step_is_made_good(tmp_path, monkeypatch, step):
    """The process dies at the step, before or after it happened: what is left is done by the next one."""
    for after in (False, True):
        context = fake_context()
        pictures = fruit() | {"pear/same.png": fruit()["apple/0.png"]}
        job = started(context, tmp_path / f"{after}", pictures)
        part = context.queue if step == "enqueue" else context.registry if step == "settle_chunk" else context.store
        real = getattr(part, step)

        def die(*args, real=real, after=after):
            if after:
                real(*args)
            raise SystemExit

        dead = replace(context, owner="dead")
        with monkeypatch.context() as patch:
            patch.setattr(part, step, die)
            for number in range(4):
                try:
                    embed_chunk(dead, job.id, number)
                except SystemExit:
                    break
        context.clock.now += context.limits.chunk_lease_s + 1
        for job_id, number in context.registry.open_chunks():
            context.queue.enqueue(EmbedChunk(job_id, number))
        context.queue.enqueue(FinishIngest(job.id))
        context.queue.deliver(context)
        report = ingest_report(context, job.id)
        assert (report["stored"], report["conflict"]) == (11, 2), f"died at {step}, after it: {after}"
        catalogue = context.registry.catalogue("acme", "fruit")
        partition = partition_of(catalogue)
        assert context.store.ids(partition, {}) == [one.id for one in context.registry.examples(catalogue.id)]
        assert context.store.ids(partition, {"split": "conflict"}) == [report["conflicts"][0]["id"]]
        assert context.store.ids(partition, {"split": "unassigned"}) == []


def test_a_result_that_comes_too_late_is_not_used(tmp_path, monkeypatch):
    context = fake_context()
    job = started(context, tmp_path)
    real = context.store.insert

    def slow(partition, points):
        real(partition, points)
        context.clock.now += context.limits.chunk_lease_s + 1
        context.registry.claim_chunk(job.id, 0, "another", 60)

    monkeypatch.setattr(context.store, "insert", slow)
    embed_chunk(context, job.id, 0)
    assert not items(context, job, ItemState.STORED)


def test_a_reference_that_comes_into_conflict_answers_nothing_from_then_on(tmp_path):
    """At once: when its chunk is settled, not when the job ends."""
    context = fake_context()
    ingested(context, write_pictures(tmp_path / "one", fruit()), split="support")
    catalogue = context.registry.catalogue("acme", "fruit")
    members = [
        SelectionMember(example_id=one.id, label=one.label, centrality=0.1)
        for one in context.registry.examples(catalogue.id)
    ]
    selection = active_selection(context, members)
    started(context, tmp_path / "two", {"pear/same.png": fruit()["apple/0.png"]})
    context.queue.deliver(context, most=1)
    partition = partition_of(catalogue)
    (held,) = [one.id for one in context.registry.examples(catalogue.id) if one.state is ExampleState.CONFLICT]
    assert held not in context.store.ids(partition, {"selection_a": selection.id})
    assert len(context.store.ids(partition, {"selection_a": selection.id})) == 11
    assert context.store.ids(partition, {"split": "conflict"}) == [held]


def test_the_same_picture_again_keeps_its_flag(tmp_path):
    context = fake_context()
    folder = write_pictures(tmp_path, fruit())
    ingested(context, folder, split="support")
    catalogue = context.registry.catalogue("acme", "fruit")
    rows = context.registry.examples(catalogue.id)
    members = [SelectionMember(example_id=one.id, label=one.label, centrality=0.1) for one in rows]
    selection = active_selection(context, members)
    before = context.store.ids(partition_of(catalogue), {"selection_a": selection.id})
    # As if the registry had been put back to where the row was not yet written: the point is delivered once more.
    del context.registry.example_rows[catalogue.id, rows[0].id]
    ingested(context, folder, split="support")
    assert context.store.ids(partition_of(catalogue), {"selection_a": selection.id}) == before


# --------------------------------------------------------------------------------------------------------------- poison


def lose(context, job, number):
    """A worker claims the chunk and vanishes."""
    assert context.registry.claim_chunk(job.id, number, "vanished", 60) is not None
    context.clock.now += 61


def test_after_two_losses_the_chunk_is_cut_into_single_pictures(tmp_path):
    context = fake_context()
    job = started(context, tmp_path)
    context.queue.messages.clear()
    lose(context, job, 0)
    lose(context, job, 0)
    embed_chunk(context, job.id, 0)
    assert list(context.queue.messages) == [EmbedChunk(job.id, number) for number in (3, 4, 5, 6)]
    assert context.encoders.known[FAKE_ENCODER].encoded == 0


def test_a_picture_that_ends_its_worker_three_times_alone_is_given_up(tmp_path):
    context = fake_context()
    job = started(context, tmp_path)
    lose(context, job, 0)
    lose(context, job, 0)
    embed_chunk(context, job.id, 0)
    for _ in range(3):
        lose(context, job, 3)
    context.queue.deliver(context)
    report = ingest_report(context, job.id)
    assert (report["stored"], report["failed"]) == (11, 1)
    assert report["errors"][0]["reason"] == KILLER


# ------------------------------------------------------------------------------------------------- encoders and caches


def test_another_encoder_ends_the_job(tmp_path):
    context = fake_context()
    ingested(context, write_pictures(tmp_path / "one", fruit()))
    context.encoders.known[FAKE_ENCODER] = FakeEncoder("other weights")
    job = started(context, tmp_path / "two", {"plum/a.png": picture("a", 50), "plum/b.png": picture("b", 51)} | fruit())
    context.queue.deliver(context)
    assert context.registry.job(job.id).state is JobState.FAILED
    assert "weights_sha256" in context.registry.job(job.id).error
    assert {item.state for item in context.registry.items(job.id)} == {ItemState.FAILED}
    with pytest.raises(JobFailed, match="weights_sha256"):
        ingest_report(context, job.id)
    assert len(context.registry.examples(context.registry.catalogue("acme", "fruit").id)) == 12


def test_an_encoder_that_is_gone_ends_the_job(tmp_path):
    context = fake_context()
    job = started(context, tmp_path)
    context.encoders.known.clear()
    context.queue.deliver(context)
    assert context.registry.job(job.id).error == "there is no encoder 'fake'"


def test_a_damaged_cache_is_made_anew(tmp_path):
    context = fake_context()
    folder = write_pictures(tmp_path, fruit(1, ["pear"]))
    ingested(context, folder)
    (example,) = context.registry.examples(context.registry.catalogue("acme", "fruit").id)
    key = embedding_key("acme", context.encoders.known[FAKE_ENCODER].fingerprint.digest, example.content_hash)
    whole = context.blobs.data[key]
    context.blobs.data[key] = whole[:50]
    assert ingested(context, folder, name="more")["stored"] == 1
    assert context.blobs.data[key] == whole
    assert context.encoders.known[FAKE_ENCODER].encoded == 2


def test_bytes_that_were_dropped_meanwhile(tmp_path):
    context = fake_context()
    job = started(context, tmp_path, fruit(1, ["pear"]))
    context.blobs.data.clear()
    context.queue.deliver(context)
    assert "ingest it again" in ingest_report(context, job.id)["errors"][0]["reason"]


def test_embeddings_arrive_with_their_pictures(tmp_path):
    context = fake_context(limits=Limits(chunk_images=7, decode_threads=4))
    ingested(context, write_pictures(tmp_path, fruit(15)))
    partition = partition_of(context.registry.catalogue("acme", "fruit"))
    stored = context.store.fetch(partition, context.store.ids(partition, {}))
    encoder = context.encoders.known[FAKE_ENCODER]
    for payload, row in zip(stored.payloads, stored.embeddings, strict=True):
        data = context.blobs.get(f"acme/images/{payload['content_hash'][:2]}/{payload['content_hash']}")
        expected = encoder.encode([encoder.preprocess(context.decoder.decode(data, 1).pixels)])[0]
        assert np.allclose(row, expected)


def test_a_point_that_was_lost_comes_back_with_its_picture(tmp_path):
    """Deleted behind the registry's back: a reference, one in conflict, and one whose cached embedding went too."""
    context = fake_context(limits=Limits(chunk_images=5))
    folder = write_pictures(tmp_path / "one", fruit(12) | {"pear/same.png": fruit()["apple/0.png"]})
    ingested(context, folder)
    catalogue = context.registry.catalogue("acme", "fruit")
    partition = partition_of(catalogue)
    rows = context.registry.examples(catalogue.id)
    (held,) = [one for one in rows if one.state is ExampleState.CONFLICT]
    support = [one for one in rows if one.split is Split.SUPPORT and one is not held]
    other = next(one for one in rows if one.split is Split.HOLDOUT)
    members = [SelectionMember(example_id=one.id, label=one.label, centrality=0.1) for one in support]
    selection = active_selection(context, members)
    before = context.store.fetch(partition, [one.id for one in rows])
    lost = [support[0].id, other.id, held.id]
    context.store.delete(partition, lost)
    digest = catalogue.fingerprint.digest
    context.blobs.delete([embedding_key("acme", digest, other.content_hash)])

    report = ingested(context, folder)
    assert (report["stored"], report["failed"]) == (0, 0)
    after = context.store.fetch(partition, [one.id for one in rows])
    assert after.ids == before.ids
    assert np.array_equal(after.embeddings, before.embeddings)
    unchanging = ("label", "split", "content_hash", "source", "width_px", "height_px", "created_at", "selection_a")
    for one, other in zip(after.payloads, before.payloads, strict=True):
        assert {key: one.get(key) for key in unchanging} == {key: other.get(key) for key in unchanging}
    assert context.store.ids(partition, {"split": "conflict"}) == [held.id]
    assert set(context.store.ids(partition, {"selection_a": selection.id})) == {one.id for one in support}

    (answer,) = classify(
        context, "acme", "fruit", [("it", context.blobs.get(image_key("acme", support[0].content_hash)))]
    )
    assert answer.prediction.neighbours[0].example_id == support[0].id
    job = start_optimise(context, "acme", "fruit", OptimiseRequest(trials=1))
    context.queue.messages.clear()
    run_optimise(context, job.id)
    assert context.registry.job(job.id).state is JobState.DONE


def test_a_lost_point_that_cannot_be_made_again_fails_nothing(tmp_path, caplog):
    context = fake_context()
    folder = write_pictures(tmp_path, fruit(1, ["pear"]))
    ingested(context, folder)
    catalogue = context.registry.catalogue("acme", "fruit")
    (example,) = context.registry.examples(catalogue.id)
    context.store.delete(partition_of(catalogue), [example.id])
    context.blobs.delete([embedding_key("acme", catalogue.fingerprint.digest, example.content_hash)])
    job = start_ingest(context, "acme", "fruit", folder, encoder=FAKE_ENCODER)
    context.blobs.delete([image_key("acme", example.content_hash)])
    context.queue.deliver(context)
    assert ingest_report(context, job.id)["duplicate"] == 1
    assert "cannot be made again" in caplog.text


def test_a_deleted_catalogue_is_nobodys_error(tmp_path):
    context = fake_context()
    job = started(context, tmp_path)
    context.registry.delete_catalogue(context.registry.catalogue("acme", "fruit").id)
    embed_chunk(context, job.id, 0)


def test_the_lease_error_of_settling_is_not_passed_on(tmp_path, monkeypatch):
    context = fake_context()
    job = started(context, tmp_path)

    def held(*args):
        raise LeaseHeld("somebody else has it")

    monkeypatch.setattr(context.registry, "settle_chunk", held)
    embed_chunk(context, job.id, 0)
