"""The contract of `ports.Registry`: tenants and quotas; keys: `test_registry_keys`. The fake is held to it, too."""

from __future__ import annotations

import pytest

from service.errors import AlreadyExists, Busy, NotFound, QuotaExceeded, TenantNotFound
from service.ports import Registry
from service.records import JobKind, JobState, Quotas, Usage
from tests.contracts.test_registry_concurrency import at_once
from tests.registry_rows import Clock, claimed, ingested, key_of, outcome, picture, settled


def test_a_tenant_is_made_once_and_found(rows: Registry, clock: Clock) -> None:
    made = rows.create_tenant("acme", Quotas(examples=10, inflight_items=0))
    assert (made.name, made.created_at, made.quotas) == ("acme", clock.now, Quotas(examples=10, inflight_items=0))
    assert rows.tenant("acme") == made
    assert rows.ensure_tenant("acme") == made
    with pytest.raises(AlreadyExists, match="acme"):
        rows.create_tenant("acme", Quotas())
    with pytest.raises(TenantNotFound, match="globex"):
        rows.tenant("globex")
    assert rows.ensure_tenant("globex").quotas == Quotas()


def test_tenants_come_by_code_point_and_in_pages(rows: Registry) -> None:
    for name in ("b", "a", "B", "Z"):
        rows.ensure_tenant(name)
    assert [one.name for one in rows.tenants()] == ["B", "Z", "a", "b"]
    assert [one.name for one in rows.tenants("Z", 1)] == ["a"]
    assert rows.tenants("b") == []


def test_quotas_that_are_not_named_stay(rows: Registry) -> None:
    rows.create_tenant("acme", Quotas(examples=10, catalogues=1))
    changed = rows.change_quotas("acme", {"examples": None, "requests_per_minute": 60})
    assert changed.quotas == Quotas(catalogues=1, requests_per_minute=60)
    assert rows.tenant("acme") == changed
    assert rows.change_quotas("acme", {}) == changed
    with pytest.raises(TenantNotFound):
        rows.change_quotas("globex", {})


def test_usage_counts_what_is_the_tenants_own(rows: Registry) -> None:
    assert rows.usage("acme") == Usage()
    for tenant in ("acme", "globex"):
        rows.ensure_tenant(tenant)
        birds, fish = (rows.create_catalogue(tenant, name, "pixel") for name in ("birds", "fish"))
        ingested(rows, birds, [picture("a"), picture("b")])
        ingested(rows, fish, [picture("a"), picture("a"), picture("broken", failure="no picture")])
    assert rows.usage("acme") == Usage(catalogues=2, examples=3, inflight_items=0)
    job = rows.open_job(birds, JobKind.INGEST, {})
    rows.add_items(job.id, [picture(name) for name in "xyz"])
    assert rows.usage("globex").inflight_items == 3
    rows.seal_job(job.id, 2)
    settled(rows, birds, claimed(rows, job.id, 0))
    assert rows.usage("globex") == Usage(catalogues=2, examples=5, inflight_items=1)
    rows.finish_job(job.id, None, "given up")
    assert rows.usage("globex").inflight_items == 0
    assert rows.usage("acme") == Usage(catalogues=2, examples=3, inflight_items=0)


def test_a_catalogue_beyond_the_quota_is_refused(rows: Registry) -> None:
    rows.create_tenant("acme", Quotas(catalogues=1))
    rows.create_catalogue("acme", "birds", "pixel")
    with pytest.raises(QuotaExceeded, match="1 of 1 catalogues") as caught:
        rows.create_catalogue("acme", "fish", "pixel")
    assert caught.value.details["quota"] == "catalogues"
    with pytest.raises(AlreadyExists):
        rows.create_catalogue("acme", "birds", "pixel")
    assert [one.name for one in rows.catalogues("acme")] == ["birds"]
    rows.create_catalogue("globex", "fish", "pixel")


def test_items_beyond_a_quota_are_refused_and_none_is_added(rows: Registry) -> None:
    rows.create_tenant("acme", Quotas(examples=4, inflight_items=3))
    birds = rows.create_catalogue("acme", "birds", "pixel")
    ingested(rows, birds, [picture("a"), picture("b")])
    job = rows.open_job(birds, JobKind.INGEST, {})
    with pytest.raises(QuotaExceeded, match="2 of 4 examples"):
        rows.add_items(job.id, [picture(name) for name in "xyz"])
    assert rows.items(job.id) == []
    rows.add_items(job.id, [picture("x"), picture("broken", failure="no picture")])
    rows.add_items(job.id, [picture("y"), picture("none", failure="no picture")])
    with pytest.raises(QuotaExceeded, match="4 of 4 examples are stored or on their way"):
        rows.add_items(job.id, [picture("z")])
    rows.add_items(job.id, [picture("neither", failure="no picture")])


def test_pictures_that_are_only_answered_are_no_examples_but_in_flight(rows: Registry) -> None:
    rows.create_tenant("acme", Quotas(examples=0, inflight_items=2))
    birds = rows.create_catalogue("acme", "birds", "pixel")
    job = rows.open_job(birds, JobKind.CLASSIFY, {})
    rows.add_items(job.id, [picture("x"), picture("y")])
    with pytest.raises(QuotaExceeded, match="2 of 2 pictures were handed over") as caught:
        rows.add_items(job.id, [picture("z")])
    assert caught.value.retry_after_s is not None
    with pytest.raises(QuotaExceeded) as caught:
        rows.add_items(job.id, [picture(name) for name in "abc"])
    assert caught.value.retry_after_s is None, "three can never be in flight: waiting does not help"


def test_pictures_of_an_open_job_are_in_flight_from_its_seal_on(rows: Registry) -> None:
    rows.create_tenant("acme", Quotas(examples=9, inflight_items=2))
    birds = rows.create_catalogue("acme", "birds", "pixel")
    first, second = (rows.open_job(birds, JobKind.INGEST, {"open": True}) for _ in range(2))
    for job, names in ((first, "abcd"), (second, "efgh")):
        rows.add_items(job.id, [picture(name) for name in names])
    assert rows.usage("acme") == Usage(catalogues=1, unsealed_items=8)
    with pytest.raises(QuotaExceeded, match="8 of 9 examples are stored or on their way"):
        rows.add_items(second.id, [picture("i"), picture("j")])
    rows.seal_job(first.id, 10)
    assert rows.usage("acme") == Usage(catalogues=1, inflight_items=4, unsealed_items=4)
    with pytest.raises(QuotaExceeded, match="4 of 2 pictures were handed over") as caught:
        rows.seal_job(second.id, 10)
    assert caught.value.retry_after_s is not None
    assert rows.job(second.id).state is JobState.OPENING
    rows.finish_job(first.id, None, "given up")
    assert rows.seal_job(second.id, 10) == 1
    with pytest.raises(QuotaExceeded):
        rows.add_items(rows.open_job(birds, JobKind.INGEST, {}).id, [picture("k")])


def test_nothing_begins_where_nothing_may_be_in_flight(rows: Registry) -> None:
    rows.create_tenant("acme", Quotas(inflight_items=0))
    job = rows.open_job(rows.create_catalogue("acme", "birds", "pixel"), JobKind.INGEST, {"open": True})
    rows.add_items(job.id, [picture("a")])
    with pytest.raises(QuotaExceeded) as caught:
        rows.seal_job(job.id, 10)
    assert caught.value.retry_after_s is None, "waiting does not help"


def test_a_tenant_goes_with_its_keys_and_requests_when_its_catalogues_are_gone(rows: Registry) -> None:
    rows.ensure_tenant("acme")
    birds = rows.create_catalogue("acme", "birds", "pixel")
    rows.add_key(key_of("acme", "1"))
    rows.remember_request("acme", "k", "1" * 64)
    with pytest.raises(Busy, match="acme"):
        rows.delete_tenant("acme")
    rows.delete_catalogue(birds.id)
    rows.delete_tenant("acme")
    with pytest.raises(TenantNotFound):
        rows.tenant("acme")
    with pytest.raises(TenantNotFound):
        rows.delete_tenant("acme")
    with pytest.raises(NotFound):
        rows.key("1")
    assert rows.remember_request("acme", "k", "2" * 64).request_sha256 == "2" * 64


def test_of_requests_at_once_each_quota_lets_as_many_pass_as_fit(registry: Registry) -> None:
    for number in range(4):
        tenant = f"tenant {number}"
        registry.create_tenant(tenant, Quotas(catalogues=3, examples=6))

        def make(name: str, tenant: str = tenant) -> object:
            return outcome(lambda: registry.create_catalogue(tenant, name, "pixel"))

        made = at_once(*(lambda n=name: make(n) for name in "abcdef"))  # type: ignore[misc]
        assert made.count(None) == 3
        jobs = [registry.open_job(one, JobKind.INGEST, {}) for one in registry.catalogues(tenant) for _ in range(2)]

        def add(job_id: str) -> object:
            return outcome(lambda: registry.add_items(job_id, [picture(f"{job_id} {n}") for n in range(2)]))

        added = at_once(*(lambda j=job: add(j.id) for job in jobs))  # type: ignore[misc]
        assert added.count(None) == 3
        assert registry.usage(tenant) == Usage(catalogues=3, examples=0, inflight_items=6)


def test_a_tenant_without_a_row_has_no_quotas(rows: Registry) -> None:
    made = rows.create_catalogue("never made", "birds", "pixel")
    job = rows.open_job(made, JobKind.INGEST, {})
    rows.add_items(job.id, [picture("a")])
    assert rows.usage("never made").inflight_items == 1
