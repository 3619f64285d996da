"""The contract of `ports.Registry`: tenants, quotas, keys, remembered requests. The fake is held to it, too."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from service.adapters.registry_sql import SqlRegistry
from service.errors import (
    AlreadyExists,
    Busy,
    HolotypeError,
    LastAdminKey,
    NotFound,
    QuotaExceeded,
    TenantNotFound,
)
from service.ports import Registry
from service.records import ApiKey, JobKind, Quotas, Scope, Usage
from tests import postgres_server
from tests.contracts.test_registry_concurrency import at_once
from tests.fake_registry import FakeRegistry
from tests.registry_rows import Clock, claimed, ingested, picture, settled

DAY_S = 24 * 3600.0


@pytest.fixture(params=["sqlite", "postgresql", "fake"])
def rows(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> Iterator[Registry]:
    """Each database by turns, and the fake."""
    with ExitStack() as stack:
        if request.param == "fake":
            yield FakeRegistry(clock)  # type: ignore[misc]
            return
        if request.param == "sqlite":
            shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "holotype.db")
            url = f"sqlite:///{tmp_path / 'holotype.db'}"
        else:
            url = stack.enter_context(postgres_server.database_url(postgres_server.migrated_template()))
        opened = SqlRegistry(url, clock)
        stack.callback(opened.close)
        yield opened


def key_of(tenant: str, id_: str, *scopes: Scope, made: float = 1.0, ends: float | None = None) -> ApiKey:
    return ApiKey(
        id=id_,
        tenant=tenant,
        name=f"key {id_}",
        secret_sha256="ab" * 32,
        scopes=scopes or (Scope.READ,),
        created_at=made,
        expires_at=ends,
        revoked_at=None,
    )


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


def test_a_key_is_kept_as_it_is_and_listed_by_age(rows: Registry) -> None:
    for tenant in ("acme", "globex"):
        rows.ensure_tenant(tenant)
    keys = [
        key_of("acme", "c", Scope.READ, Scope.WRITE, made=1.0, ends=5.5),
        key_of("acme", "a", Scope.ADMIN, made=2.0),
        key_of("acme", "b", made=2.0),
    ]
    for key in (*reversed(keys), key_of("globex", "d")):
        rows.add_key(key)
    assert rows.key("c") == keys[0]
    assert rows.keys("acme") == keys
    assert rows.keys("acme", (2.0, "a"), 5) == keys[2:]
    assert rows.keys("acme", (1.0, "c"), 1) == keys[1:2]
    assert rows.keys("nobody") == []
    with pytest.raises(TenantNotFound):
        rows.add_key(key_of("nobody", "e"))
    with pytest.raises(NotFound, match="'x'"):
        rows.key("x")


def test_a_key_ends_when_it_is_told_to_unless_it_ends_sooner(rows: Registry) -> None:
    rows.ensure_tenant("acme")
    for id_, ends in (("a", None), ("b", 50.0), ("c", 500.0)):
        rows.add_key(key_of("acme", id_, ends=ends))
        rows.expire_key(id_, 100.0)
    assert [rows.key(id_).expires_at for id_ in "abc"] == [100.0, 50.0, 100.0]


def test_keys_are_revoked_once(rows: Registry, clock: Clock) -> None:
    rows.ensure_tenant("acme")
    for id_ in "abc":
        rows.add_key(key_of("acme", id_))
    rows.revoke_keys(["a"], math.inf)
    first = clock.now
    clock.now += 10
    rows.revoke_keys(["a", "b", "unknown"], math.inf)
    assert [rows.key(id_).revoked_at for id_ in "abc"] == [first, clock.now, None]


def test_an_admin_key_counts_while_it_works(rows: Registry, clock: Clock) -> None:
    rows.ensure_tenant("acme")
    rows.add_key(key_of("acme", "reader", Scope.READ, Scope.WRITE))
    assert not rows.any_admin_key()
    rows.add_key(key_of("acme", "admin", Scope.READ, Scope.ADMIN, ends=clock.now + 10))
    assert rows.any_admin_key()
    clock.now += 10
    assert not rows.any_admin_key()


def test_the_last_admin_key_is_not_let_go_of(rows: Registry, clock: Clock) -> None:
    for tenant in ("acme", "globex"):
        rows.ensure_tenant(tenant)
    rows.add_key(key_of("acme", "a", Scope.ADMIN))
    rows.add_key(key_of("acme", "reader"))
    until = clock.now + 7 * DAY_S
    with pytest.raises(LastAdminKey, match="key a is the last one with scope admin") as caught:
        rows.revoke_keys(["reader", "a"], until)
    assert caught.value.details["keys"] == ["a"]
    assert rows.key("reader").revoked_at is None
    with pytest.raises(LastAdminKey):
        rows.delete_tenant("acme")
    rows.add_key(key_of("globex", "soon", Scope.ADMIN, ends=clock.now + DAY_S))
    with pytest.raises(LastAdminKey):
        rows.revoke_keys(["a"], until)
    rows.revoke_keys(["soon"], until)
    rows.add_key(key_of("globex", "lasting", Scope.ADMIN, ends=until))
    rows.revoke_keys(["a"], until)
    assert rows.any_admin_key()
    rows.delete_tenant("acme")


def test_an_admin_key_that_ends_soon_may_go_when_another_lasts_as_long(rows: Registry, clock: Clock) -> None:
    rows.ensure_tenant("acme")
    for id_ in "ab":
        rows.add_key(key_of("acme", id_, Scope.ADMIN, ends=clock.now + 60))
    rows.revoke_keys(["a"], clock.now + DAY_S)
    with pytest.raises(LastAdminKey):
        rows.revoke_keys(["b"], clock.now + DAY_S)


def test_a_request_is_remembered_until_it_is_forgotten(rows: Registry, clock: Clock) -> None:
    first = rows.remember_request("acme", "k", "1" * 64)
    assert (first.request_sha256, first.answer) == ("1" * 64, None)
    assert rows.remember_request("acme", "k", "2" * 64) == first
    assert rows.remember_request("globex", "k", "2" * 64).request_sha256 == "2" * 64
    rows.answer_request("acme", "k", {"status": 202, "body": {"id": "ürün"}})
    assert rows.remember_request("acme", "k", "1" * 64).answer == {"status": 202, "body": {"id": "ürün"}}
    rows.forget_request("acme", "k")
    assert rows.remember_request("acme", "k", "1" * 64).answer is not None, "an answer is not forgotten early"
    rows.forget_request("globex", "k")
    assert rows.remember_request("globex", "k", "3" * 64).request_sha256 == "3" * 64
    rows.answer_request("nobody", "k", {})
    clock.now += 10
    rows.remember_request("acme", "new", "4" * 64)
    assert rows.forget_requests(clock.now) == 2
    assert rows.remember_request("acme", "k", "5" * 64).request_sha256 == "5" * 64
    assert rows.remember_request("acme", "new", "5" * 64).request_sha256 == "4" * 64


def test_of_requests_at_once_each_quota_lets_as_many_pass_as_fit(registry: Registry) -> None:
    for number in range(4):
        tenant = f"tenant {number}"
        registry.create_tenant(tenant, Quotas(catalogues=3, examples=6))

        def make(name: str, tenant: str = tenant) -> object:
            return _outcome(lambda: registry.create_catalogue(tenant, name, "pixel"))

        made = at_once(*(lambda n=name: make(n) for name in "abcdef"))  # type: ignore[misc]
        assert made.count(None) == 3
        jobs = [registry.open_job(one, JobKind.INGEST, {}) for one in registry.catalogues(tenant) for _ in range(2)]

        def add(job_id: str) -> object:
            return _outcome(lambda: registry.add_items(job_id, [picture(f"{job_id} {n}") for n in range(2)]))

        added = at_once(*(lambda j=job: add(j.id) for job in jobs))  # type: ignore[misc]
        assert added.count(None) == 3
        assert registry.usage(tenant) == Usage(catalogues=3, examples=0, inflight_items=6)


def test_of_two_admins_that_revoke_each_other_at_once_one_is_left(registry: Registry) -> None:
    registry.ensure_tenant("acme")
    for number in range(6):
        for side in "ab":
            registry.add_key(key_of("acme", f"{side}{number}", Scope.ADMIN))
        survivors = [key.id for key in registry.keys("acme") if Scope.ADMIN in key.scopes and key.revoked_at is None]
        others = [id_ for id_ in survivors if not id_.endswith(str(number))]
        registry.revoke_keys(others, math.inf)
        ends = at_once(
            *(lambda s=side: _outcome(lambda: registry.revoke_keys([f"{s}{number}"], math.inf)) for side in "ab")  # type: ignore[misc] # noqa: B023
        )
        assert sorted(map(str, ends)).count("None") == 1
        assert registry.any_admin_key()


def test_of_one_request_sent_at_once_one_is_the_first(registry: Registry) -> None:
    for number in range(6):
        remembered = at_once(
            *(lambda d=digit: registry.remember_request("acme", f"{number}", d * 64) for digit in "1234")  # type: ignore[misc] # noqa: B023
        )
        assert len({one.request_sha256 for one in remembered}) == 1  # type: ignore[attr-defined]


def _outcome(work: object) -> object:
    try:
        work()  # type: ignore[operator]
    except HolotypeError as error:
        return error
    return None


def test_a_tenant_without_a_row_has_no_quotas(rows: Registry) -> None:
    made = rows.create_catalogue("never made", "birds", "pixel")
    job = rows.open_job(made, JobKind.INGEST, {})
    rows.add_items(job.id, [picture("a")])
    assert rows.usage("never made").inflight_items == 1
