"""Quotas at the edge: 429 with what they are, and for how long to wait."""

from __future__ import annotations

import logging

import pytest
from fastapi.testclient import TestClient

from service.adapters.rate_limits import MovingWindow
from service.records import Quotas, Scope
from service.usecases.tenants import create_tenant


def tenant_of(api, **quotas) -> TestClient:
    create_tenant(api.context, "acme", Quotas(**quotas))
    return api.as_tenant("acme", (Scope.READ, Scope.WRITE))


def test_one_catalogue_too_many_is_refused_with_the_numbers(api):
    acme = tenant_of(api, catalogues=1)
    assert acme.post("/v1/catalogues", json={"name": "fruit"}).status_code == 201
    refused = acme.post("/v1/catalogues", json={"name": "birds"})
    assert (refused.status_code, refused.json()["code"]) == (429, "QuotaExceeded")
    assert {name: refused.json()[name] for name in ("quota", "limit", "used", "asked")} == {
        "quota": "catalogues",
        "limit": 1,
        "used": 1,
        "asked": 1,
    }
    assert (refused.headers["retry-after"], refused.json()["retry_after_s"]) == ("3600", None)
    assert acme.post("/v1/catalogues", json={"name": "fruit"}).status_code == 409
    acme.delete("/v1/catalogues/fruit")
    assert acme.post("/v1/catalogues", json={"name": "birds"}).status_code == 201


def test_one_request_a_minute_too_many_is_told_when_to_come_back(api):
    acme = tenant_of(api, requests_per_minute=3)
    assert [acme.get("/v1/me").status_code for _ in range(3)] == [200] * 3
    refused = acme.get("/v1/me")
    assert (refused.status_code, refused.json()["quota"]) == (429, "requests_per_minute")
    assert 50 <= int(refused.headers["retry-after"]) <= 60
    assert "wait" in refused.json()["detail"]
    assert api.as_tenant("acme").get("/v1/me").status_code == 429
    assert api.as_tenant("globex").get("/v1/me").status_code == 200


def test_a_quota_of_no_requests_can_be_lifted_by_the_admin_whom_it_concerns(api):
    owner = api.as_tenant("owner")
    owner.patch("/v1/tenants/owner", json={"quotas": {"requests_per_minute": 0}})
    assert owner.get("/v1/me").status_code == 429
    lifted = owner.patch("/v1/tenants/owner", json={"quotas": {"requests_per_minute": None}})
    assert lifted.status_code == 200
    assert owner.get("/v1/me").status_code == 200


def test_requests_pass_while_what_counts_them_is_down(api, caplog):
    api.client.app.state.rates = MovingWindow("redis://127.0.0.1:1/0")
    acme = tenant_of(api, requests_per_minute=1)
    with caplog.at_level(logging.WARNING):
        assert [acme.get("/v1/me").status_code for _ in range(3)] == [200] * 3
    assert caplog.text.count("requests a minute are not limited") == 1


@pytest.mark.parametrize("scopes", [(Scope.READ,), (Scope.ADMIN,), ()])
def test_me_tells_any_key_who_it_is_and_what_is_used(api, scopes):
    create_tenant(api.context, "acme", Quotas(catalogues=5))
    api.as_tenant("acme").post("/v1/catalogues", json={"name": "fruit"})
    if not scopes:
        assert api.client.get("/v1/me").status_code == 401
        return
    told = api.as_tenant("acme", scopes).get("/v1/me").json()
    assert told["tenant"] == "acme"
    assert told["scopes"] == [scope.value for scope in scopes]
    assert told["quotas"]["catalogues"] == 5
    assert told["usage"] == {"catalogues": 1, "examples": 0, "inflight_items": 0}
