"""Tenants: quotas by name, deletion for good, and what is checked before anything is read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.errors import AlreadyExists, InvalidInput, LastAdminKey, QuotaExceeded, TenantNotFound
from service.records import JobKind, Quotas, Scope, Usage
from service.usecases.catalogues import create_catalogue, show_catalogue
from service.usecases.context import image_key
from service.usecases.keys import create_key
from service.usecases.quotas import (
    RETRY_ITEMS_S,
    check_catalogue_quota,
    check_pictures_quota,
    check_requests_quota,
)
from service.usecases.tenants import (
    change_quotas,
    create_tenant,
    create_tenant_from_defaults,
    delete_tenant,
    list_tenants,
    show_tenant,
)
from tests.fakes import FAKE_ENCODER, fake_context, fruit, ingested, write_pictures
from tests.registry_rows import picture


@pytest.fixture
def context():
    return fake_context()


def test_quotas_that_are_not_given_are_the_services(context):
    context = replace(context, limits=replace(context.limits, new_tenant=Quotas(catalogues=2, examples=10)))
    made = create_tenant_from_defaults(context, "acme", {"examples": None, "inflight_items": 5})
    assert made.quotas == Quotas(catalogues=2, inflight_items=5)
    assert create_tenant(context, "globex", Quotas()).quotas == Quotas()


def test_quotas_change_by_name(context):
    create_tenant(context, "acme", Quotas(catalogues=2, examples=10))
    changed = change_quotas(context, "acme", {"examples": None})
    assert changed.tenant.quotas == Quotas(catalogues=2)
    assert changed == show_tenant(context, "acme")
    with pytest.raises(TenantNotFound):
        change_quotas(context, "nobody", {})


@pytest.mark.parametrize("value", [-1, 10**12 + 1])
def test_what_is_no_quota_is_refused(context, value):
    create_tenant(context, "acme", Quotas())
    with pytest.raises(InvalidInput, match="quota examples"):
        change_quotas(context, "acme", {"examples": value})
    with pytest.raises(InvalidInput, match="quota examples"):
        create_tenant(context, "globex", Quotas(examples=value))
    assert [one.name for one in list_tenants(context)] == ["acme"]


def test_a_name_is_one_and_taken_once(context):
    create_tenant(context, "acme", Quotas())
    with pytest.raises(AlreadyExists):
        create_tenant(context, "acme", Quotas())
    with pytest.raises(InvalidInput, match="name of a tenant"):
        create_tenant(context, "a/b", Quotas())


def test_a_deleted_tenant_leaves_nothing(context, tmp_path):
    context.registry.ensure_tenant("operator")
    create_key(context, "operator", "root", [Scope.ADMIN])
    for tenant in ("acme", "acme2"):
        ingested(context, write_pictures(tmp_path / tenant, fruit()), tenant=tenant)
        create_key(context, tenant, "till", [Scope.READ])
    context.blobs.put(image_key("acme", "f" * 64), b"left by a request that died")
    delete_tenant(context, "acme")
    assert context.blobs.keys("acme/") == []
    assert context.blobs.keys("acme2/") != []
    assert [one.name for one in list_tenants(context)] == ["acme2", "operator"]
    assert context.registry.keys("acme") == []
    assert context.registry.usage("acme") == Usage()
    assert context.registry.usage("acme2").examples > 0
    with pytest.raises(TenantNotFound):
        delete_tenant(context, "acme")


def test_a_tenant_with_the_last_admin_key_is_not_touched(context, tmp_path):
    ingested(context, write_pictures(tmp_path / "acme", fruit()), tenant="acme")
    made = create_key(context, "acme", "root", [Scope.ADMIN])
    before = show_catalogue(context, "acme", "fruit")
    with pytest.raises(LastAdminKey):
        delete_tenant(context, "acme")
    assert show_catalogue(context, "acme", "fruit") == before
    assert context.registry.key(made.key.id).revoked_at is None


def test_a_catalogue_made_by_whoever_makes_its_tenant(context):
    create_catalogue(context, "fresh", "fruit", FAKE_ENCODER)
    assert show_tenant(context, "fresh").usage == Usage(catalogues=1)


def test_early_checks_say_what_the_registry_would(context):
    create_tenant(context, "acme", Quotas(catalogues=1, examples=5, inflight_items=3))
    check_catalogue_quota(context, "acme")
    check_pictures_quota(context, "acme", 3)
    create_catalogue(context, "acme", "fruit", FAKE_ENCODER)
    with pytest.raises(QuotaExceeded, match="1 of 1 catalogues are there"):
        check_catalogue_quota(context, "acme")
    with pytest.raises(QuotaExceeded) as caught:
        check_pictures_quota(context, "acme", 4)
    assert caught.value.details == {
        "quota": "inflight_items",
        "limit": 3,
        "used": 0,
        "asked": 4,
        "retry_after_s": None,
    }
    change_quotas(context, "acme", {"inflight_items": None})
    with pytest.raises(QuotaExceeded, match="6 more would be beyond the quota of tenant 'acme': 0 of 5 examples"):
        check_pictures_quota(context, "acme", 6)
    check_pictures_quota(context, "acme", 6, JobKind.CLASSIFY)
    check_pictures_quota(context, "acme", 0)


def test_what_would_fit_later_says_when_to_ask_again(context):
    create_tenant(context, "acme", Quotas(inflight_items=3))
    catalogue = create_catalogue(context, "acme", "fruit", FAKE_ENCODER)
    job = context.registry.open_job(catalogue, JobKind.CLASSIFY, {})
    context.registry.add_items(job.id, [picture("a"), picture("b")])
    with pytest.raises(QuotaExceeded) as caught:
        check_pictures_quota(context, "acme", 2)
    assert caught.value.retry_after_s == RETRY_ITEMS_S


class Refusing:
    """A limiter that remembers what it was asked and lets nobody pass."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def take(self, tenant: str, per_minute: int) -> float | None:
        self.asked.append((tenant, per_minute))
        return 12.3


def test_requests_are_counted_where_a_quota_is(context):
    rates = Refusing()
    create_tenant(context, "acme", Quotas())
    check_requests_quota(context, rates, "acme")
    check_requests_quota(context, rates, "deleted meanwhile")
    assert rates.asked == []
    change_quotas(context, "acme", {"requests_per_minute": 60})
    with pytest.raises(QuotaExceeded, match="'acme' may ask 60 times a minute: wait 13 s") as caught:
        check_requests_quota(context, rates, "acme")
    assert caught.value.retry_after_s == 12.3
    assert rates.asked == [("acme", 60)]
