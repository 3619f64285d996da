"""The contract of `ports.Registry`: catalogues, leases, jobs, items. The rest: the modules beside this one."""

from __future__ import annotations

import pytest

from service.errors import (
    AlreadyExists,
    CatalogueNotFound,
    EncoderMismatch,
    ExampleNotFound,
    InvalidInput,
    LeaseHeld,
    NotFound,
    SelectionNotFound,
)
from service.ports import Registry
from service.records import Catalogue, Fingerprint, ItemState, JobKind, JobState, Split, Trial
from tests.registry_rows import Clock, claimed, ingested, members_of, picture, sealed, selection_of, settled

FINGERPRINT = Fingerprint(
    weights_sha256="ab" * 32,
    pooling="class_token",
    processor="ViTImageProcessor",
    processor_parameters={"size": {"height": 224}, "mean": [0.5, 0.5, 0.5]},
    dimension=384,
)


def test_a_catalogue_is_found_by_tenant_and_name_and_by_id(registry: Registry, clock: Clock) -> None:
    made = registry.create_catalogue("tenant", "birds", "pixel")
    assert (made.tenant, made.name, made.encoder, made.created_at) == ("tenant", "birds", "pixel", clock.now)
    assert made.fingerprint is None
    assert made.active_selection is None
    assert registry.catalogue("tenant", "birds") == made
    assert registry.catalogue_by_id(made.id) == made
    with pytest.raises(CatalogueNotFound):
        registry.catalogue("another", "birds")
    with pytest.raises(CatalogueNotFound):
        registry.catalogue_by_id("x")


def test_a_name_is_taken_once_a_tenant(registry: Registry, catalogue: Catalogue) -> None:
    with pytest.raises(AlreadyExists, match="birds"):
        registry.create_catalogue("tenant", "birds", "another")
    assert registry.create_catalogue("another", "birds", "pixel").id != catalogue.id
    assert registry.catalogue("tenant", "birds") == catalogue


def test_catalogues_come_by_code_point_of_their_names(registry: Registry) -> None:
    for name in ("b", "a", "B", "é", "Z"):
        registry.create_catalogue("tenant", name, "pixel")
    registry.create_catalogue("other", "c", "pixel")
    assert [catalogue.name for catalogue in registry.catalogues("tenant")] == ["B", "Z", "a", "b", "é"]
    assert len(registry.all_catalogues()) == 6


def test_the_first_fingerprint_stays(registry: Registry, catalogue: Catalogue) -> None:
    registry.pin_fingerprint(catalogue.id, FINGERPRINT)
    registry.pin_fingerprint(catalogue.id, FINGERPRINT)
    stored = registry.catalogue("tenant", "birds").fingerprint
    assert stored is not None
    assert stored.digest == FINGERPRINT.digest
    other = Fingerprint(**{**FINGERPRINT.as_dict(), "weights_sha256": "cd" * 32})
    with pytest.raises(EncoderMismatch, match=r"abab.*cdcd"):
        registry.pin_fingerprint(catalogue.id, other)
    with pytest.raises(CatalogueNotFound):
        registry.pin_fingerprint("x", FINGERPRINT)


def test_what_cannot_be_stored_as_a_name_is_refused_and_as_a_source_is_escaped(
    registry: Registry, catalogue: Catalogue
) -> None:
    for name in ("nul\0", "half \udcff"):
        with pytest.raises(InvalidInput, match="NUL character or is not valid UTF-8"):
            registry.create_catalogue("tenant", name, "pixel")
    job = registry.open_job(catalogue, JobKind.INGEST, {"path": "\0 \udcff"})
    item = picture("a")
    registry.add_items(job.id, [type(item)(**{**_fields(item), "source": "gr\udcfcn/\0.jpg", "label": "ürüñ"})])
    assert [(item.source, item.label) for item in registry.items(job.id)] == [("gr\\udcfcn/\\x00.jpg", "ürüñ")]
    assert registry.job(job.id).parameters == {"path": "\0 \udcff"}


def _fields(record: object) -> dict[str, object]:
    return {name: getattr(record, name) for name in type(record).__dataclass_fields__}  # type: ignore[attr-defined]


def test_deleting_a_catalogue_leaves_nothing_of_it_and_all_of_another(registry: Registry, catalogue: Catalogue) -> None:
    kept = registry.create_catalogue("tenant", "kept", "pixel")
    jobs, selections = {}, {}
    for each in (catalogue, kept):
        jobs[each.id] = ingested(registry, each, [picture("a"), picture("b")])
        selections[each.id] = selection_of(each)
        ids = [(example.id, example.label) for example in registry.examples(each.id)]
        registry.open_selection(selections[each.id], members_of(ids))
        registry.take_lease(f"catalogue:{each.id}", "me", 60)
        registry.take_lease(f"job:{jobs[each.id]}", "me", 60)
        registry.add_trial(f"job:{jobs[each.id]}", Trial(parameters={}, value=1.0))

    registry.delete_catalogue(catalogue.id)
    registry.delete_catalogue(catalogue.id)

    assert registry.all_catalogues() == [kept]
    assert [job.id for job in registry.jobs(list(JobState))] == [jobs[kept.id]]
    assert registry.items(jobs[catalogue.id]) == []
    assert registry.examples(catalogue.id) == []
    assert registry.members(selections[catalogue.id].id) == []
    assert registry.trials(f"job:{jobs[catalogue.id]}") == []
    with pytest.raises(SelectionNotFound):
        registry.selection(catalogue.id, selections[catalogue.id].id)
    registry.take_lease(f"catalogue:{catalogue.id}", "somebody else", 60)
    registry.take_lease(f"job:{jobs[catalogue.id]}", "somebody else", 60)

    assert len(registry.items(jobs[kept.id])) == len(registry.examples(kept.id)) == 2
    assert len(registry.members(selections[kept.id].id)) == 2
    assert len(registry.trials(f"job:{jobs[kept.id]}")) == 1
    with pytest.raises(LeaseHeld):
        registry.take_lease(f"job:{jobs[kept.id]}", "somebody else", 60)


def test_nothing_can_be_added_to_a_deleted_catalogue(registry: Registry, catalogue: Catalogue) -> None:
    job_id = sealed(registry, catalogue, [picture("a")])
    chunk = claimed(registry, job_id)
    registry.delete_catalogue(catalogue.id)
    with pytest.raises(LeaseHeld, match="deleted"):
        settled(registry, catalogue, chunk)
    assert registry.claim_chunk(job_id, 0, "worker", 60) is None
    assert registry.split_chunk(chunk) == []
    for call in (
        lambda: registry.open_job(catalogue, JobKind.OPTIMISE, {}),
        lambda: registry.open_selection(selection_of(catalogue), []),
        lambda: registry.activate_selection(catalogue.id, "x", "a"),
        lambda: registry.set_progress(job_id, "embed", 1, 2),
        lambda: registry.finish_job(job_id, {}),
        lambda: registry.job(job_id),
        lambda: registry.add_items(job_id, []),
        lambda: registry.example(catalogue.id, "x"),
    ):
        with pytest.raises(NotFound):
            call()


def test_a_lease_is_held_by_one_owner_until_it_is_released_or_runs_out(registry: Registry, clock: Clock) -> None:
    registry.take_lease("catalogue", "first", 60)
    clock.now += 30
    registry.take_lease("catalogue", "first", 60)
    clock.now += 59
    with pytest.raises(LeaseHeld, match=r"first.*another 1 s"):
        registry.take_lease("catalogue", "second", 60)
    registry.release_lease("catalogue", "second")
    with pytest.raises(LeaseHeld):
        registry.take_lease("catalogue", "second", 60)
    clock.now += 1
    registry.take_lease("catalogue", "second", 60)
    with pytest.raises(LeaseHeld, match="second"):
        registry.take_lease("catalogue", "first", 60)
    registry.release_lease("catalogue", "second")
    registry.take_lease("catalogue", "first", 60)


def test_a_lease_is_renewed_by_the_last_who_took_it(registry: Registry, clock: Clock) -> None:
    registry.take_lease("catalogue", "first", 60)
    clock.now += 61
    registry.renew_lease("catalogue", "first", 60)  # it ran out, and nobody has taken it
    with pytest.raises(LeaseHeld):
        registry.take_lease("catalogue", "second", 60)
    clock.now += 61
    registry.take_lease("catalogue", "second", 60)
    with pytest.raises(LeaseHeld):
        registry.renew_lease("catalogue", "first", 60)
    registry.release_lease("catalogue", "second")
    with pytest.raises(LeaseHeld):  # what the second did in between, the first does not know
        registry.renew_lease("catalogue", "first", 60)
    registry.take_lease("catalogue", "second", 60)


def test_the_new_owner_of_a_data_directory_waits_for_no_lease(registry: Registry, catalogue: Catalogue) -> None:
    job_id = sealed(registry, catalogue, [picture("a"), picture("b")], chunk_size=1)
    settled(registry, catalogue, claimed(registry, job_id, 0, "dead"), "dead")
    claimed(registry, job_id, 1, "dead")
    registry.take_lease("catalogue", "dead", 1e9)
    assert registry.open_chunks() == []
    registry.expire_leases()
    registry.take_lease("catalogue", "alive", 60)
    assert registry.open_chunks() == [(job_id, 1)]
    assert claimed(registry, job_id, 1, "alive").attempt == 2


def test_a_job_goes_from_opening_to_done(registry: Registry, catalogue: Catalogue, clock: Clock) -> None:
    job = registry.open_job(catalogue, JobKind.INGEST, {"path": "/photos"})
    assert (job.tenant, job.catalogue_id, job.kind) == ("tenant", catalogue.id, JobKind.INGEST)
    assert (job.state, job.parameters, job.done, job.total) == (JobState.OPENING, {"path": "/photos"}, 0, 0)
    assert (job.result, job.error, job.created_at) == (None, None, clock.now)
    registry.add_items(job.id, [picture("a"), picture("b", failure="not a picture")])
    registry.add_items(job.id, [])
    registry.add_items(job.id, [picture("c")])
    registry.set_progress(job.id, "read", 9, 9)
    opening = registry.job(job.id)
    assert (opening.state, opening.stage, opening.done, opening.total) == (JobState.OPENING, "read", 1, 3)
    assert registry.open_chunks() == []
    assert registry.seal_job(job.id, 1) == 2
    assert registry.job(job.id).state is JobState.QUEUED
    claimed(registry, job.id, 0)
    assert registry.job(job.id).state is JobState.RUNNING
    registry.finish_job(job.id, {"stored": 2})
    done = registry.job(job.id)
    assert (done.state, done.result, done.error) == (JobState.DONE, {"stored": 2}, None)


def test_a_job_is_finished_once(registry: Registry, catalogue: Catalogue) -> None:
    job = registry.open_job(catalogue, JobKind.OPTIMISE, {})
    registry.set_progress(job.id, "search", 3, 10)
    running = registry.job(job.id)
    assert (running.state, running.stage, running.done, running.total) == (JobState.RUNNING, "search", 3, 10)
    registry.finish_job(job.id, {"partly": True}, "it ran out of memory")
    registry.finish_job(job.id, {"selection": "x"})
    registry.set_progress(job.id, "search", 4, 10)
    failed = registry.job(job.id)
    assert (failed.state, failed.result, failed.error) == (JobState.FAILED, {"partly": True}, "it ran out of memory")
    assert failed.done == 3


def test_jobs_come_oldest_first(registry: Registry, catalogue: Catalogue, clock: Clock) -> None:
    other = registry.create_catalogue("tenant", "other", "pixel")
    first = registry.open_job(catalogue, JobKind.INGEST, {})
    clock.now -= 100  # another machine's clock
    second = registry.open_job(other, JobKind.OPTIMISE, {})
    third = registry.open_job(catalogue, JobKind.OPTIMISE, {})
    registry.finish_job(third.id, {})
    assert [job.id for job in registry.jobs(list(JobState))] == [first.id, second.id, third.id]
    assert [job.id for job in registry.jobs([JobState.OPENING])] == [first.id, second.id]
    assert [job.id for job in registry.jobs(list(JobState), catalogue.id)] == [first.id, third.id]
    assert registry.jobs([]) == []


def test_items_keep_their_order_and_are_counted_by_state(registry: Registry, catalogue: Catalogue) -> None:
    pictures = [picture(str(number), split=Split.TUNING) for number in range(100)]
    job_id = sealed(registry, catalogue, [*pictures, picture("broken", failure="truncated")], chunk_size=64)
    items = registry.items(job_id)
    assert [item.content_hash for item in items[:-1]] == [new.content_hash for new in pictures]
    assert (items[-1].state, items[-1].reason) == (ItemState.FAILED, "truncated")
    assert {item.split for item in items[:-1]} == {Split.TUNING}
    assert registry.items(job_id, [ItemState.FAILED]) == [items[-1]]
    assert registry.item_counts(job_id) == {ItemState.PENDING: 100, ItemState.FAILED: 1}
    assert registry.item_counts(job_id)[ItemState.STORED] == 0
    assert registry.claim_chunk(job_id, 0, "worker", 60).items == tuple(items[:64])  # type: ignore[union-attr]
    assert registry.claim_chunk(job_id, 1, "worker", 60).items == tuple(items[64:100])  # type: ignore[union-attr]


def test_a_sealed_job_takes_no_items_and_is_not_cut_again(registry: Registry, catalogue: Catalogue) -> None:
    job_id = sealed(registry, catalogue, [picture("a"), picture("b")], chunk_size=1)
    with pytest.raises(InvalidInput, match="queued"):
        registry.add_items(job_id, [picture("c")])
    settled(registry, catalogue, claimed(registry, job_id, 0))
    assert registry.seal_job(job_id, 32) == 2
    assert registry.job(job_id).state is JobState.RUNNING
    assert registry.open_chunks() == [(job_id, 1)]


def test_a_job_without_pending_items_has_no_chunks(registry: Registry, catalogue: Catalogue) -> None:
    job = registry.open_job(catalogue, JobKind.INGEST, {})
    registry.add_items(job.id, [picture("a", failure="not a picture")])
    assert registry.seal_job(job.id, 32) == 0
    assert registry.job(job.id).state is JobState.QUEUED
    with pytest.raises(InvalidInput, match="at least 1"):
        registry.seal_job(job.id, 0)
    with pytest.raises(NotFound):
        registry.seal_job("x", 32)


def test_missing_examples_are_not_found(registry: Registry, catalogue: Catalogue) -> None:
    with pytest.raises(ExampleNotFound):
        registry.example(catalogue.id, "x")
    with pytest.raises(ExampleNotFound):
        registry.relabel_example(catalogue.id, "x", "owl", Split.SUPPORT)


def test_a_wrong_name_is_told_with_the_few_that_there_are_or_those_that_are_close(registry: Registry) -> None:
    def told(name: str) -> str:
        with pytest.raises(CatalogueNotFound) as refused:
            registry.catalogue("tenant", name)
        return refused.value.message

    registry.create_catalogue("other", "fruits", "pixel")
    assert told("fruits") == "there is no catalogue 'fruits'"
    registry.create_catalogue("tenant", "fruit", "pixel")
    assert told("fruits") == "there is no catalogue 'fruits'; there is 'fruit'"
    registry.create_catalogue("tenant", "birds", "pixel")
    assert told("fruits") == "there is no catalogue 'fruits'; there are 'birds', 'fruit'"
    for number in range(5):
        registry.create_catalogue("tenant", f"other-{number}", "pixel")
    assert told("fruits") == "there is no catalogue 'fruits'; there is 'fruit'"
    assert told("zzz") == "there is no catalogue 'zzz'"
