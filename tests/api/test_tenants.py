"""Tenants and keys by an admin."""

from __future__ import annotations

import logging
import time

import pytest
from fastapi.testclient import TestClient

from service.records import Scope
from service.usecases.keys import create_first_admin_key


@pytest.fixture
def admin(api) -> TestClient:
    """Somebody who rules over tenants and keys, and may nothing else."""
    return api.as_tenant("operator", (Scope.ADMIN,))


def test_a_tenant_is_made_listed_shown_changed_and_deleted(admin):
    made = admin.post("/v1/tenants", json={"name": "acme", "quotas": {"examples": 10}})
    assert made.status_code == 201
    assert made.headers["location"] == "/v1/tenants/acme"
    none = {"catalogues": None, "examples": 10, "requests_per_minute": None, "inflight_items": None}
    assert made.json()["quotas"] == none
    assert made.json()["usage"] == {"catalogues": 0, "examples": 0, "inflight_items": 0}
    assert admin.get("/v1/tenants/acme").json() == made.json()
    assert [one["name"] for one in admin.get("/v1/tenants").json()["items"]] == ["acme", "operator"]
    again = admin.post("/v1/tenants", json={"name": "acme"})
    assert (again.status_code, again.json()["code"]) == (409, "AlreadyExists")
    assert admin.delete("/v1/tenants/acme").status_code == 204
    assert admin.get("/v1/tenants/acme").json()["code"] == "TenantNotFound"
    assert admin.delete("/v1/tenants/acme").status_code == 404


def test_a_quota_left_out_stays_and_null_lifts_it(admin):
    admin.post("/v1/tenants", json={"name": "acme", "quotas": {"examples": 10, "catalogues": 2}})
    changed = admin.patch("/v1/tenants/acme", json={"quotas": {"examples": None, "inflight_items": 5}}).json()
    assert changed["quotas"] == {
        "catalogues": 2,
        "examples": None,
        "requests_per_minute": None,
        "inflight_items": 5,
    }
    assert admin.get("/v1/tenants/acme").json() == changed


@pytest.mark.parametrize(
    "quotas",
    [
        {"examples": -1},
        {"examples": 1.5},
        {"pictures": 1},
        {"examples": "many"},
        {"examples": 10**13},
        {"examples": True},
    ],
)
def test_what_is_no_quota_is_refused(admin, quotas):
    admin.post("/v1/tenants", json={"name": "acme"})
    assert admin.patch("/v1/tenants/acme", json={"quotas": quotas}).status_code == 422
    assert admin.post("/v1/tenants", json={"name": "globex", "quotas": quotas}).status_code == 422


@pytest.mark.parametrize("name", ["", "a b", "../x", "é", "x" * 101, "nul\0"])
def test_what_is_no_name_is_refused(admin, name):
    assert admin.post("/v1/tenants", json={"name": name}).status_code == 422


def test_lists_come_in_pages(admin):
    names = [f"tenant-{number}" for number in range(5)]
    for name in names:
        admin.post("/v1/tenants", json={"name": name})
    keys = [admin.post("/v1/tenants/tenant-0/keys", json={"name": f"{n}", "scopes": ["read"]}).json() for n in range(5)]
    assert [one["name"] for one in _all(admin, "/v1/tenants")] == ["operator", *names]
    listed = _all(admin, "/v1/tenants/tenant-0/keys")
    assert sorted(one["id"] for one in listed) == sorted(one["id"] for one in keys)
    assert all("key" not in one for one in listed)
    assert admin.get("/v1/tenants", params={"cursor": "x"}).status_code == 422


def _all(client, path):
    found, cursor = [], None
    while True:
        page = client.get(path, params={"limit": 2} | ({} if cursor is None else {"cursor": cursor})).json()
        assert len(page["items"]) <= 2
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def test_a_key_is_shown_once_and_never_written_to_the_log(api, admin, caplog):
    with caplog.at_level(logging.DEBUG):
        admin.post("/v1/tenants", json={"name": "acme"})
        made = admin.post("/v1/tenants/acme/keys", json={"name": "till", "scopes": ["write", "read", "read"]})
        body = made.json()
        client = TestClient(api.client.app, headers={"Authorization": f"Bearer {body['key']}"})
        assert client.get("/v1/me").json()["scopes"] == ["read", "write"]
        client.post("/v1/session", json={"key": body["key"]})
        client.post("/v1/session", json={"key": {"key": body["key"]}})
    assert made.status_code == 201
    assert made.headers["location"] == f"/v1/tenants/acme/keys/{body['id']}"
    shown = admin.get(made.headers["location"]).json()
    assert shown == {name: value for name, value in body.items() if name != "key"}
    secret = body["key"].rsplit("_", 1)[1]
    assert secret not in admin.get("/v1/tenants/acme/keys").text
    assert secret not in caplog.text
    database = b"".join(path.read_bytes() for path in api.settings.data_dir.glob("holotype.db*"))
    assert secret.encode() not in database


@pytest.mark.parametrize(
    "wrong", [{"scopes": []}, {"scopes": ["all"]}, {"name": ""}, {"name": "x" * 101}, {"expires_at": 1.0}, {"more": 1}]
)
def test_what_is_no_key_is_refused(admin, wrong):
    admin.post("/v1/tenants", json={"name": "acme"})
    asked = {"name": "till", "scopes": ["read"]} | wrong
    assert admin.post("/v1/tenants/acme/keys", json=asked).status_code == 422


def test_keys_belong_to_their_tenant(admin):
    for name in ("acme", "globex"):
        admin.post("/v1/tenants", json={"name": name})
    made = admin.post("/v1/tenants/acme/keys", json={"name": "till", "scopes": ["read"]}).json()
    for answer in (
        admin.get(f"/v1/tenants/globex/keys/{made['id']}"),
        admin.delete(f"/v1/tenants/globex/keys/{made['id']}"),
        admin.post(f"/v1/tenants/globex/keys/{made['id']}:rotate"),
        admin.get("/v1/tenants/nobody/keys"),
        admin.post("/v1/tenants/nobody/keys", json={"name": "till", "scopes": ["read"]}),
    ):
        assert answer.status_code == 404
    assert admin.get(f"/v1/tenants/acme/keys/{made['id']}").json()["works"] is True


def test_a_rotated_key_and_its_successor_both_work_for_the_grace(api, admin):
    admin.post("/v1/tenants", json={"name": "acme"})
    first = admin.post("/v1/tenants/acme/keys", json={"name": "till", "scopes": ["read"]}).json()
    before = time.time()
    second = admin.post(f"/v1/tenants/acme/keys/{first['id']}:rotate", json={"grace_s": 3600}).json()
    after = time.time()
    assert (second["name"], second["scopes"], second["expires_at"]) == ("till", ["read"], None)
    assert [_works(api, key) for key in (first, second)] == [True, True]
    ends = admin.get(f"/v1/tenants/acme/keys/{first['id']}").json()["expires_at"]
    assert before + 3600 <= ends <= after + 3600
    again = admin.post(f"/v1/tenants/acme/keys/{first['id']}:rotate")
    assert (again.status_code, again.json()["successor"]) == (409, second["id"])
    third = admin.post(f"/v1/tenants/acme/keys/{second['id']}:rotate", json={"grace_s": 0}).json()
    listed = admin.get("/v1/tenants/acme/keys").json()["items"]
    assert [one["replaced_by"] for one in listed if one["id"] != third["id"]][-2:] == [second["id"], third["id"]]
    assert [_works(api, key) for key in (first, second, third)] == [True, False, True]
    gone = admin.post(f"/v1/tenants/acme/keys/{second['id']}:rotate")
    assert (gone.status_code, "does not work any more" in gone.json()["detail"]) == (422, True)


@pytest.mark.parametrize("grace_s", [-1, 1e9, "NaN", "Infinity"])
def test_what_is_no_grace_is_refused(admin, grace_s):
    admin.post("/v1/tenants", json={"name": "acme"})
    key = admin.post("/v1/tenants/acme/keys", json={"name": "till", "scopes": ["read"]}).json()
    assert admin.post(f"/v1/tenants/acme/keys/{key['id']}:rotate", json={"grace_s": grace_s}).status_code == 422


def test_a_revoked_key_is_refused_at_once(api, admin):
    admin.post("/v1/tenants", json={"name": "acme"})
    key = admin.post("/v1/tenants/acme/keys", json={"name": "till", "scopes": ["read"]}).json()
    assert admin.delete(f"/v1/tenants/acme/keys/{key['id']}").status_code == 204
    assert not _works(api, key)
    revoked = admin.get(f"/v1/tenants/acme/keys/{key['id']}").json()
    assert revoked["works"] is False
    assert admin.delete(f"/v1/tenants/acme/keys/{key['id']}").status_code == 204
    assert admin.get(f"/v1/tenants/acme/keys/{key['id']}").json() == revoked


def test_a_key_ends_when_it_was_to_end(api, admin):
    admin.post("/v1/tenants", json={"name": "acme"})
    asked = {"name": "till", "scopes": ["read"], "expires_at": time.time() + 1.5}
    key = admin.post("/v1/tenants/acme/keys", json=asked).json()
    assert _works(api, key)
    time.sleep(max(0.0, asked["expires_at"] - time.time()) + 0.05)
    assert not _works(api, key)


def _works(api, key) -> bool:
    return api.client.get("/v1/me", headers={"Authorization": f"Bearer {key['key']}"}).status_code == 200


def test_the_last_admin_key_cannot_be_let_go_of(admin):
    mine = admin.get("/v1/me").json()["key_id"]
    for answer in (admin.delete(f"/v1/tenants/operator/keys/{mine}"), admin.delete("/v1/tenants/operator")):
        assert (answer.status_code, answer.json()["code"]) == (409, "LastAdminKey")
        assert "create another that works for a week at least" in answer.json()["detail"]
    assert admin.get("/v1/me").status_code == 200
    other = admin.post("/v1/tenants/operator/keys", json={"name": "spare", "scopes": ["admin"]}).json()
    assert admin.delete(f"/v1/tenants/operator/keys/{mine}").status_code == 204
    assert admin.get("/v1/me").status_code == 401
    admin.headers["Authorization"] = f"Bearer {other['key']}"
    assert admin.delete(f"/v1/tenants/operator/keys/{other['id']}").status_code == 409


def test_an_admin_key_that_ends_soon_does_not_count_as_another(admin):
    mine = admin.get("/v1/me").json()["key_id"]
    successor = admin.post(f"/v1/tenants/operator/keys/{mine}:rotate").json()
    refused = admin.delete(f"/v1/tenants/operator/keys/{successor['id']}")
    assert (refused.status_code, "end in 24.0 hours" in refused.json()["detail"]) == (409, True)
    assert admin.delete(f"/v1/tenants/operator/keys/{mine}").status_code == 204


def test_a_tenant_with_the_last_admin_keys_keeps_its_catalogues(api):
    owner = api.as_tenant("owner")
    owner.post("/v1/catalogues", json={"name": "fruit"})
    assert owner.delete("/v1/tenants/owner").status_code == 409
    assert owner.get("/v1/catalogues/fruit").status_code == 200


def test_an_admin_sees_nothing_of_another_tenants_catalogues(api, acme):
    acme.post("/v1/catalogues", json={"name": "fruit"})
    admin = api.as_tenant("operator")
    theirs, unknown = admin.get("/v1/catalogues/fruit"), admin.get("/v1/catalogues/nothing")
    assert theirs.status_code == 404
    assert theirs.json()["detail"] == unknown.json()["detail"].replace("nothing", "fruit")
    assert admin.get("/v1/tenants/acme").json()["usage"]["catalogues"] == 1


def test_a_deleted_tenants_keys_and_catalogues_are_gone(api, acme):
    acme.post("/v1/catalogues", json={"name": "fruit"})
    admin = api.as_tenant("operator")
    assert admin.delete("/v1/tenants/acme").status_code == 204
    assert acme.get("/v1/me").status_code == 401
    again = api.as_tenant("acme")
    assert again.get("/v1/catalogues/fruit").status_code == 404


def test_new_tenants_get_the_services_quotas_where_none_are_given(api, admin):
    from dataclasses import replace

    from service.records import Quotas

    limits = replace(api.context.limits, new_tenant=Quotas(catalogues=3, examples=100))
    api.client.app.state.context = replace(api.context, limits=limits)
    made = admin.post("/v1/tenants", json={"name": "acme", "quotas": {"examples": None}}).json()
    assert made["quotas"] == {
        "catalogues": 3,
        "examples": None,
        "requests_per_minute": None,
        "inflight_items": None,
    }


def test_the_first_admin_key_is_made_once(api):
    made = create_first_admin_key(api.context, "default")
    assert made is not None
    assert set(made.key.scopes) == set(Scope)
    assert api.client.get("/v1/tenants", headers={"Authorization": f"Bearer {made.credential}"}).status_code == 200
    assert create_first_admin_key(api.context, "default") is None
