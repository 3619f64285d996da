"""What /readyz and /metrics ask: the contract of `ports.TelemetryRegistry`, on the fake too."""

from __future__ import annotations

import pytest

from service.adapters.vector_qdrant import QdrantStore
from service.ports import Registry
from service.ports.telemetry import Backlog
from service.records import JobKind, Selection, SelectionState
from tests.registry_rows import Clock, ingested, picture, sealed


@pytest.fixture
def registry(rows: Registry) -> Registry:
    """The contract's, and the fake that tests of use cases stand on."""
    return rows


def test_it_answers(registry: Registry) -> None:
    registry.ping()


def test_nothing_is_there_at_first(registry: Registry) -> None:
    measures = registry.measures()
    assert measures.backlogs == dict.fromkeys(("embed", "optimise", "finetune", "maintenance"), Backlog(0, None))
    assert (measures.examples, measures.selections, measures.oldest_selection_at) == (0, 0, None)


def test_chunks_wait_until_somebody_works_on_them(registry: Registry, clock: Clock) -> None:
    catalogue = registry.create_catalogue("acme", "birds", "pixel")
    began = clock.now
    job_id = sealed(registry, catalogue, [picture(name) for name in "abcde"], chunk_size=2)
    clock.now += 50
    sealed(registry, catalogue, [picture("f")])
    assert registry.measures().backlogs["embed"] == Backlog(4, began)
    for number in range(3):
        assert registry.claim_chunk(job_id, number, "worker", 60.0) is not None
    assert registry.measures().backlogs["embed"] == Backlog(1, began + 50)
    clock.now += 61
    assert registry.measures().backlogs["embed"] == Backlog(4, began), "nobody works on them any more"
    registry.finish_job(job_id, None, "enough")
    assert registry.measures().backlogs["embed"] == Backlog(1, began + 50)


def test_optimise_jobs_wait_until_they_are_begun(registry: Registry, clock: Clock) -> None:
    catalogue = registry.create_catalogue("acme", "birds", "pixel")
    job = registry.open_job(catalogue, JobKind.OPTIMISE, {})
    assert registry.measures().backlogs["optimise"] == Backlog(0, None), "it is still being opened"
    registry.seal_job(job.id, 1)
    assert registry.measures().backlogs["optimise"] == Backlog(1, clock.now)
    registry.set_progress(job.id, "search", 1, 2)
    assert registry.measures().backlogs["optimise"] == Backlog(0, None)


def test_examples_and_active_selections_of_all_tenants_are_counted(registry: Registry, clock: Clock) -> None:
    for tenant in ("acme", "bolt"):
        catalogue = registry.create_catalogue(tenant, "birds", "pixel")
        ingested(registry, catalogue, [picture(name) for name in "ab"])
        for number in range(2):
            made = Selection(
                id=f"{tenant}{number}",
                catalogue_id=catalogue.id,
                slot="a",
                state=SelectionState.WRITING,
                created_at=clock.now + number * 10,
                fingerprint_digest="",
                recipe={},
                head_blob=None,
                thresholds={},
                split_hash="",
                seed=0,
                why="",
                measured_on="",
            )
            registry.open_selection(made, [])
        registry.activate_selection(catalogue.id, f"{tenant}{tenant == 'acme':d}", "a")
    measures = registry.measures()
    assert measures.examples == 4
    assert measures.selections == 2
    assert (measures.oldest_selection_at, measures.newest_selection_at) == (clock.now, clock.now + 10)


def test_a_vector_server_answers() -> None:
    store = QdrantStore.local()
    store.ping()
    store.close()
