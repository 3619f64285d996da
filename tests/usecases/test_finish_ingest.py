"""The end of an ingest job: only once, only when all is settled, and after a crash whatever was left."""

from dataclasses import replace
from itertools import cycle

import pytest

from service.errors import LeaseHeld
from service.ports import FinishIngest
from service.records import ExampleState, JobState, SelectionMember, Split
from service.usecases import example_pages, provisional
from service.usecases.context import partition_of
from service.usecases.finish_ingest import finish_ingest, ingest_report
from service.usecases.ingest import start_ingest
from service.usecases.splitting import align_payloads, splits_lease
from tests.fakes import FAKE_ENCODER, fake_context, fruit, ingested, picture, write_pictures
from tests.usecases.test_catalogues import active_selection


def embedded(context, folder, pictures=None):
    """A job whose chunks are settled and that waits for its end."""
    folder = write_pictures(folder, fruit() if pictures is None else pictures)
    job = start_ingest(context, "acme", "fruit", folder, encoder=FAKE_ENCODER)
    chunks = len(context.queue.messages)
    context.queue.deliver(context, most=chunks)
    assert list(context.queue.messages) == [FinishIngest(job.id)]
    return job


def examples(context):
    return context.registry.examples(context.registry.catalogue("acme", "fruit").id)


def payload_splits(context):
    partition = partition_of(context.registry.catalogue("acme", "fruit"))
    stored = context.store.fetch(partition, context.store.ids(partition, {}), with_embeddings=False)
    return {example_id: payload["split"] for example_id, payload in zip(stored.ids, stored.payloads, strict=True)}


def test_nothing_is_decided_before_the_end(tmp_path):
    context = fake_context()
    embedded(context, tmp_path)
    assert set(payload_splits(context).values()) == {"unassigned"}
    assert {one.split for one in examples(context)} == {Split.UNASSIGNED}


def test_a_job_with_pending_items_is_not_finished(tmp_path):
    context = fake_context()
    job = start_ingest(context, "acme", "fruit", write_pictures(tmp_path, fruit()), encoder=FAKE_ENCODER)
    finish_ingest(context, job.id)
    assert context.registry.job(job.id).state is JobState.QUEUED
    finish_ingest(context, "no such job")


def test_finishing_twice_changes_nothing(tmp_path):
    context = fake_context()
    job = embedded(context, tmp_path)
    context.queue.deliver(context)
    before = ingest_report(context, job.id), payload_splits(context)
    context.clock.now += 100
    finish_ingest(context, job.id)
    assert (ingest_report(context, job.id), payload_splits(context)) == before


@pytest.mark.parametrize("lease", ["job", "splits"])
def test_somebody_else_at_it_is_said(tmp_path, lease):
    context = fake_context()
    job = embedded(context, tmp_path)
    name = f"job:{job.id}" if lease == "job" else splits_lease(context.registry.catalogue("acme", "fruit"))
    context.registry.take_lease(name, "another", 60)
    with pytest.raises(LeaseHeld):
        finish_ingest(context, job.id)
    context.clock.now += 61
    finish_ingest(context, job.id)
    assert context.registry.job(job.id).state is JobState.DONE
    assert not context.registry.leases.keys() - {name}


@pytest.mark.parametrize("step", ["mark_conflicts", "set_splits", "set_payload", "unflag", "finish_job"])
@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_step_is_made_good(tmp_path, monkeypatch, step, after):
    whole = fake_context()
    pictures = fruit(10) | {"pear/same.png": fruit()["apple/0.png"]}
    ingested(whole, write_pictures(tmp_path, pictures))
    expected = {one.content_hash: (one.split, one.state) for one in examples(whole)}

    context = fake_context()
    job = embedded(context, tmp_path, pictures)
    parts = {"set_payload": context.store, "unflag": provisional}
    part = parts.get(step, context.registry)
    real = getattr(part, step)

    def die(*args):
        if after:
            real(*args)
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(part, step, die)
        with pytest.raises(SystemExit):
            finish_ingest(replace(context, owner="dead"), job.id)
    context.clock.now += context.limits.job_lease_s + 1
    finish_ingest(context, job.id)
    assert context.registry.job(job.id).state is JobState.DONE
    assert {one.content_hash: (one.split, one.state) for one in examples(context)} == expected
    rows = {one.id: "conflict" if one.state is ExampleState.CONFLICT else one.split.value for one in examples(context)}
    assert payload_splits(context) == rows


def test_near_duplicates_stay_on_one_side(tmp_path):
    context = fake_context()
    pictures = fruit(10, ["pear"])
    for number in range(10):  # each three times: as it is, and a little brighter
        for noise in (1, 2):
            pictures[f"pear/{number}-{noise}.png"] = picture(f"pear{number}-{noise}", seed=number, noise=noise)
    ingested(context, write_pictures(tmp_path, pictures))
    groups: dict[str, set[Split]] = {}
    for one in examples(context):
        groups.setdefault(one.perceptual_hash, set()).add(one.split)
    assert len(groups) == 10
    assert all(len(sides) == 1 for sides in groups.values())
    assert {side for sides in groups.values() for side in sides} == {Split.SUPPORT, Split.TUNING, Split.HOLDOUT}


def test_a_near_duplicate_that_comes_later_follows(tmp_path):
    context = fake_context()
    ingested(context, write_pictures(tmp_path / "one", {"pear/a.png": picture("a", 3)}), split="tuning")
    later = {f"pear/{number}.png": picture(f"{number}", 100 + number) for number in range(9)}
    later["pear/b.png"] = picture("b", 3, noise=1)
    ingested(context, write_pictures(tmp_path / "two", later))
    twins = [one.split for one in examples(context) if one.source.endswith(("a.png", "b.png"))]
    assert twins == [Split.TUNING, Split.TUNING]


def test_near_duplicates_of_different_labels_do_not_follow_each_other(tmp_path):
    context = fake_context()
    ingested(context, write_pictures(tmp_path / "one", {"pear/a.png": picture("a", 3)}), split="holdout")
    ingested(context, write_pictures(tmp_path / "two", {"plum/b.png": picture("b", 3, noise=1)}))
    assert {one.label: one.split for one in examples(context)} == {"pear": Split.HOLDOUT, "plum": Split.SUPPORT}


@pytest.mark.parametrize("at_once", [1, 9, 500])
def test_classes_taken_together_get_the_splits_that_each_gets_alone(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr("service.usecases.splitting.BATCH", at_once)
    pictures = fruit(6, ["apple", "pear"]) | fruit(3, ["quince"])
    pictures |= {f"plum/{number}.png": picture(f"plum{number}", seed=number % 6, noise=1) for number in range(12)}
    context = fake_context()
    ingested(context, write_pictures(tmp_path / "all", pictures))
    found = {(one.label, one.content_hash): one.split for one in examples(context)}
    alone = {}
    for label in ("apple", "pear", "quince", "plum"):
        context = fake_context()
        own = {name: data for name, data in pictures.items() if name.startswith(label)}
        ingested(context, write_pictures(tmp_path / label, own))
        alone |= {(one.label, one.content_hash): one.split for one in examples(context)}
    assert found == alone
    assert {label for label, _ in found} == {"apple", "pear", "quince", "plum"}


def test_splits_of_small_classes_are_written_together(tmp_path, monkeypatch):
    context = fake_context()
    written = []
    monkeypatch.setattr(context.registry, "set_splits", lambda _, splits: written.append(len(splits)))
    ingested(context, write_pictures(tmp_path, fruit(2, [f"class{number}" for number in range(20)])))
    assert written == [40]


def test_payloads_that_drifted_are_aligned(tmp_path):
    context = fake_context()
    ingested(context, write_pictures(tmp_path, fruit()))
    catalogue = context.registry.catalogue("acme", "fruit")
    before = payload_splits(context)
    drifted = {example_id: {"split": "conflict"} for example_id in list(before)[:3]}
    context.store.set_payload(partition_of(catalogue), drifted)
    assert align_payloads(context, catalogue) == 3
    assert payload_splits(context) == before
    assert align_payloads(context, catalogue) == 0


def test_payloads_are_aligned_page_by_page_and_lost_points_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(example_pages, "PAGE", 3)
    context = fake_context()
    ingested(context, write_pictures(tmp_path, fruit()))
    catalogue = context.registry.catalogue("acme", "fruit")
    before = payload_splits(context)
    lost, *drifted = list(before)[::2]
    values = cycle(["conflict", "support", "tuning", "holdout"])
    context.store.set_payload(partition_of(catalogue), {one: {"split": next(values)} for one in drifted})
    differing = sum(split != before[one] for one, split in payload_splits(context).items())
    context.store.delete(partition_of(catalogue), [lost])
    assert align_payloads(context, catalogue) == differing > 2
    assert payload_splits(context) == {one: split for one, split in before.items() if one != lost}


def test_the_end_unflags_what_a_dead_worker_left_flagged(tmp_path, monkeypatch):
    context = fake_context()
    ingested(context, write_pictures(tmp_path / "one", fruit()), split="support")
    rows = examples(context)
    members = [SelectionMember(example_id=one.id, label=one.label, centrality=0.1) for one in rows]
    selection = active_selection(context, members)
    with monkeypatch.context() as patch:
        patch.setattr(provisional, "unflag", lambda *args: None)  # it died before
        embedded(context, tmp_path / "two", {"pear/same.png": fruit()["apple/0.png"]})
    partition = partition_of(context.registry.catalogue("acme", "fruit"))
    assert len(context.store.ids(partition, {"selection_a": selection.id})) == 12
    context.queue.deliver(context)
    assert len(context.store.ids(partition, {"selection_a": selection.id})) == 11


def test_a_picture_under_two_labels_keeps_no_split_while_it_waits(tmp_path):
    context = fake_context()
    pictures = fruit() | {"pear/same.png": fruit()["apple/0.png"]}
    report = ingested(context, write_pictures(tmp_path, pictures))
    (held,) = [one for one in examples(context) if one.state is ExampleState.CONFLICT]
    assert held.split is Split.UNASSIGNED
    assert report["conflicts"][0]["id"] == held.id
