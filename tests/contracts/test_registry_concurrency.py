"""The contract of `ports.Registry` where several workers are at it at once."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

from service.adapters.registry_sql import SqlRegistry
from service.errors import AlreadyExists, EncoderMismatch, LeaseHeld
from service.ports import Registry
from service.records import Catalogue, Chunk, ExampleState, Fingerprint, ItemState, SelectionState
from tests.registry_rows import claimed, ingested, picture, sealed, selection_of, settled

ROUNDS = 8


def at_once(*works: Callable[[], object]) -> list[object]:
    """Start all together, each in a thread; their results, or the errors they raised."""
    start = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> object:
        start.wait()
        try:
            return work()
        except (AlreadyExists, EncoderMismatch, LeaseHeld) as error:
            return error

    with ThreadPoolExecutor(len(works)) as threads:
        return list(threads.map(run, works))


def work_through(url: str, catalogue: Catalogue, job_id: str, chunks: int, owner: str) -> tuple[list[int], int]:
    """What a worker process does; the chunks it claimed, and how often it was told that the job is settled."""
    registry = SqlRegistry(url)
    mine, ends = [], 0
    try:
        for number in range(chunks):
            chunk = registry.claim_chunk(job_id, number, owner, 600)
            if chunk is not None:
                mine.append(number)
                ends += settled(registry, catalogue, chunk, owner).job_settled
    finally:
        registry.close()
    return mine, ends


def test_processes_share_a_job_and_no_chunk_is_done_twice(
    registry: Registry, registry_url: str, catalogue: Catalogue
) -> None:
    pictures = [picture(str(number % 350), f"label {number % 5}") for number in range(400)]
    job_id = sealed(registry, catalogue, pictures, chunk_size=4)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as processes:
        futures = [
            processes.submit(work_through, registry_url, catalogue, job_id, 100, f"worker {number}")
            for number in range(2)
        ]
        results = [future.result() for future in futures]
    assert sorted(number for mine, _ in results for number in mine) == list(range(100))
    assert sum(ends for _, ends in results) == 1
    assert registry.item_counts(job_id) == {ItemState.STORED: 350, ItemState.DUPLICATE: 50}
    assert len(registry.examples(catalogue.id)) == 350


def test_threads_that_claim_one_chunk_get_it_once(registry: Registry, catalogue: Catalogue) -> None:
    job_id = sealed(registry, catalogue, [picture(str(number)) for number in range(ROUNDS)], chunk_size=1)
    for number in range(ROUNDS):
        claims = at_once(
            *(lambda owner=owner: registry.claim_chunk(job_id, number, owner, 60) for owner in "abcd")  # noqa: B023
        )
        (chunk,) = [claim for claim in claims if claim is not None]
        assert isinstance(chunk, Chunk)
        assert chunk.attempt == 1


def test_one_picture_under_two_labels_in_two_chunks_at_once_is_one_conflict(
    registry: Registry, catalogue: Catalogue
) -> None:
    for number in range(ROUNDS):
        contested = picture(str(number)).content_hash
        # in opposite order: two transactions that lock several rows each must not wait for each other in a circle
        owls = [picture(str(number), "owl"), picture(f"{number} twin", "owl")]
        rooks = [picture(f"{number} twin", "owl"), picture(str(number), "rook")]
        job_id = sealed(registry, catalogue, [*owls, *rooks], chunk_size=2)
        first, second = claimed(registry, job_id, 0, "first"), claimed(registry, job_id, 1, "second")
        settlements = at_once(
            lambda first=first: settled(registry, catalogue, first, "first"),  # type: ignore[misc]
            lambda second=second: settled(registry, catalogue, second, "second"),  # type: ignore[misc]
        )
        assert registry.item_counts(job_id) == {ItemState.STORED: 2, ItemState.DUPLICATE: 1, ItemState.CONFLICT: 1}
        example = registry.examples_by_hash(catalogue.id, [contested])[contested]
        assert example.state is ExampleState.CONFLICT
        assert sorted(example.conflict_labels) == ["owl", "rook"]
        assert [item.conflicts for item in settlements].count((example.id,)) == 1  # type: ignore[attr-defined]
        assert [item.job_settled for item in settlements].count(True) == 1  # type: ignore[attr-defined]


def test_a_lease_and_a_name_are_taken_once(registry: Registry) -> None:
    for number in range(ROUNDS):
        leases = at_once(*(lambda o=owner: registry.take_lease(f"{number}", o, 60) for owner in "abcd"))  # noqa: B023
        assert sum(isinstance(result, LeaseHeld) for result in leases) == 3
        made = at_once(*(lambda: registry.create_catalogue("tenant", f"{number}", "pixel"),) * 4)  # noqa: B023
        assert sum(isinstance(result, AlreadyExists) for result in made) == 3


def test_two_first_fingerprints_do_not_both_stay(registry: Registry) -> None:
    prints = [Fingerprint(digit * 64, "mean", "Processor", {}, 8) for digit in "ab"]
    for number in range(ROUNDS):
        made = registry.create_catalogue("tenant", f"{number}", "pixel")
        results = at_once(
            *(lambda p=fingerprint: registry.pin_fingerprint(made.id, p) for fingerprint in prints)  # noqa: B023
        )
        assert sum(isinstance(result, EncoderMismatch) for result in results) == 1


def test_two_activations_leave_one_active(registry: Registry, catalogue: Catalogue) -> None:
    selections = [selection_of(catalogue) for _ in range(4)]
    for selection in selections:
        registry.open_selection(selection, [])
    for _ in range(ROUNDS):
        at_once(*(lambda s=selection: registry.activate_selection(catalogue.id, s.id, "a") for selection in selections))
        active = [s.id for s in registry.selections(catalogue.id) if s.state is SelectionState.ACTIVE]
        assert active == [registry.catalogue_by_id(catalogue.id).active_selection]


def test_a_catalogue_is_deleted_while_workers_settle(registry: Registry) -> None:
    for number in range(ROUNDS):
        made = registry.create_catalogue("tenant", f"{number}", "pixel")
        ingested(registry, made, [picture("a")])
        job_id = sealed(registry, made, [picture(name) for name in "abcd"], chunk_size=2)
        chunks = [claimed(registry, job_id, index, "worker") for index in (0, 1)]
        at_once(
            lambda: registry.delete_catalogue(made.id),  # noqa: B023
            *(lambda c=chunk: settled(registry, made, c) for chunk in chunks),  # noqa: B023
        )
        assert registry.examples(made.id) == []
        assert registry.items(job_id) == []
