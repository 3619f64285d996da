"""The contract of `claim_next_chunk`: tenants take turns, nothing is lost or done twice, however much waits."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import Connection, event, insert, text

from service.adapters.registry_sql import SqlRegistry
from service.adapters.registry_sql.schema import chunks
from service.ports import Registry
from service.records import Catalogue, Chunk, ItemState, JobKind, JobState
from tests.registry_rows import Clock, claimed, picture, sealed, settled


def next_chunk(registry: Registry, clock: Clock, owner: str = "worker") -> Chunk:
    clock.now += 1
    chunk = registry.claim_next_chunk(owner, 60)
    assert chunk is not None
    return chunk


def names(count: int, prefix: str) -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def test_one_tenants_two_hundred_chunks_do_not_starve_anothers_two(
    registry: Registry, catalogue: Catalogue, clock: Clock
) -> None:
    many = sealed(registry, catalogue, [picture(name) for name in names(200, "many")], chunk_size=1)
    for _ in range(5):
        settled(registry, catalogue, next_chunk(registry, clock))
    small = registry.create_catalogue("another", "fish", "pixel")
    few = sealed(registry, small, [picture(name) for name in names(2, "few")], chunk_size=1)
    order = []
    for _ in range(6):
        chunk = next_chunk(registry, clock)
        order.append(chunk.job_id)
        settled(registry, small if chunk.job_id == few else catalogue, chunk)
    assert order == [few, many, few, many, many, many]
    assert registry.job(few).done == 2


def test_within_a_tenant_the_oldest_job_comes_first_and_its_chunks_in_order(
    registry: Registry, catalogue: Catalogue, clock: Clock
) -> None:
    first = sealed(registry, catalogue, [picture(name) for name in "abc"], chunk_size=1)
    second = sealed(registry, catalogue, [picture("d")])
    claims = [next_chunk(registry, clock, f"worker {number}") for number in range(4)]
    assert [(chunk.job_id, chunk.number) for chunk in claims] == [(first, 0), (first, 1), (first, 2), (second, 0)]
    assert registry.claim_next_chunk("another", 60) is None


def test_what_an_owner_holds_it_gets_again_before_anything_else(
    registry: Registry, catalogue: Catalogue, clock: Clock
) -> None:
    job_id = sealed(registry, catalogue, [picture(name) for name in "ab"], chunk_size=1)
    lost = next_chunk(registry, clock, "dies")
    again = next_chunk(registry, clock, "dies")
    assert (again.job_id, again.number, again.attempt) == (job_id, lost.number, 2)
    assert next_chunk(registry, clock, "another").number == 1
    settled(registry, catalogue, again, "dies")
    assert registry.claim_next_chunk("dies", 60) is None


def test_what_was_given_back_or_ran_out_is_next(registry: Registry, catalogue: Catalogue, clock: Clock) -> None:
    sealed(registry, catalogue, [picture(name) for name in "abc"], chunk_size=1)
    first = next_chunk(registry, clock, "one")
    second = next_chunk(registry, clock, "two")
    registry.release_chunk(first, "one")
    assert next_chunk(registry, clock, "three").number == first.number
    clock.now += 70
    assert next_chunk(registry, clock, "four").number == first.number
    assert next_chunk(registry, clock, "five").number == second.number


def test_jobs_that_are_not_worked_on_are_passed_over(registry: Registry, catalogue: Catalogue, clock: Clock) -> None:
    paused, cancelled, failed, wanted = (sealed(registry, catalogue, [picture(name)]) for name in "abcd")
    registry.open_job(catalogue, JobKind.INGEST, {})
    registry.pause_job(paused)
    registry.cancel_job(cancelled)
    registry.finish_job(failed, None, "it broke")
    assert next_chunk(registry, clock).job_id == wanted
    assert registry.claim_next_chunk("another", 60) is None


def test_a_claim_starts_the_job(registry: Registry, catalogue: Catalogue, clock: Clock) -> None:
    job_id = sealed(registry, catalogue, [picture("a"), picture("b")])
    chunk = next_chunk(registry, clock)
    job = registry.job(job_id)
    assert (job.state, job.started_at) == (JobState.RUNNING, clock.now)
    assert [item.source for item in chunk.items] == ["owl/a.jpg", "owl/b.jpg"]


def test_two_workers_at_once_lose_nothing_and_double_nothing(registry_url: str) -> None:
    """With a real clock, and each with its own connections, as processes have them."""
    registries = [SqlRegistry(registry_url), SqlRegistry(registry_url)]
    try:
        shared = registries[0]
        big, small = (shared.create_catalogue(tenant, "birds", "pixel") for tenant in ("big", "small"))
        jobs = {
            sealed(shared, big, [picture(name) for name in names(60, "big")], chunk_size=1): big,
            sealed(shared, small, [picture(name) for name in names(6, "small")], chunk_size=1): small,
        }
        done: list[tuple[str, int]] = []
        lock = threading.Lock()

        def work(number: int) -> int:
            ends = 0
            while (chunk := registries[number].claim_next_chunk(f"worker {number}", 600)) is not None:
                with lock:
                    done.append((chunk.job_id, chunk.number))
                settlement = settled(registries[number], jobs[chunk.job_id], chunk, f"worker {number}")
                ends += settlement.job_settled
            return ends

        with ThreadPoolExecutor(2) as threads:
            ends = sum(threads.map(work, range(2)))
        assert Counter(done) == Counter((job_id, n) for job_id in jobs for n in range(shared.job(job_id).total))
        assert ends == 2
        small_job = next(job_id for job_id, catalogue in jobs.items() if catalogue is small)
        last_of_small = max(position for position, (job_id, _) in enumerate(done) if job_id == small_job)
        assert last_of_small < 30, "the small tenant waited for the big one"
        assert all(set(shared.item_counts(job_id)) == {ItemState.STORED} for job_id in jobs)
    finally:
        for registry in registries:
            registry.close()


def asked(registry: SqlRegistry, work: Callable[[], object]) -> list[tuple[str, Any]]:
    """The statements that `work` runs, with their parameters."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    engine = registry.database._engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        work()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return [one for one in seen if not one[0].startswith("BEGIN")]


def test_a_claim_is_cheap_with_thirty_thousand_open_chunks(
    registry: Registry, catalogue: Catalogue, clock: Clock
) -> None:
    assert isinstance(registry, SqlRegistry)
    job_ids = [sealed(registry, catalogue, [picture(f"{number}")]) for number in range(30)]
    rows = [
        {"job_id": job_id, "number": number, "attempt": 0, "lease_until": 0.0, "settled": False}
        for job_id in job_ids
        for number in range(1, 1001)
    ]
    registry.database.write(lambda connection: connection.execute(insert(chunks), rows))
    registry.database.write(lambda connection: connection.execute(text("ANALYZE")))
    next_chunk(registry, clock, "first")
    statements = asked(registry, lambda: next_chunk(registry, clock, "second"))
    assert len(statements) <= 8, statements
    explain = "EXPLAIN QUERY PLAN" if registry.database.is_sqlite else "EXPLAIN"

    def plans(connection: Connection) -> str:
        found = [connection.exec_driver_sql(f"{explain} {one}", parameters).all() for one, parameters in statements]
        return "\n".join(str(row[-1]) for plan in found for row in plan)

    plan = registry.database.read(plans)
    assert "ix_holotype_chunks_held" in plan
    assert "SCAN holotype_chunks" not in plan, plan
    assert "Seq Scan on holotype_chunks" not in plan, plan


def test_a_named_chunk_can_still_be_claimed(registry: Registry, catalogue: Catalogue) -> None:
    job_id = sealed(registry, catalogue, [picture(name) for name in "ab"], chunk_size=1)
    assert claimed(registry, job_id, 1).number == 1
