"""The page's cookie, and other sites' pages."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from service.records import Scope
from service.usecases.keys import create_key

NEW = {"name": "fruit"}


@pytest.fixture
def credential(api) -> str:
    api.context.registry.ensure_tenant("acme")
    return create_key(api.context, "acme", "page", (Scope.READ, Scope.WRITE)).credential


def browser(api, base_url: str = "http://testserver") -> TestClient:
    return TestClient(api.client.app, base_url=base_url, raise_server_exceptions=False)


def test_the_cookie_stands_for_the_key_until_the_page_logs_out(api, credential):
    page = browser(api)
    answer = page.post("/v1/session", json={"key": credential})
    assert answer.status_code == 200
    assert answer.json()["tenant"] == "acme"
    assert credential not in answer.text
    cookie = answer.headers["set-cookie"]
    assert {"httponly", "samesite=strict", "path=/"} <= set(cookie.lower().split("; "))
    assert "secure" not in cookie.lower()
    assert page.post("/v1/catalogues", json=NEW).status_code == 201
    out = page.delete("/v1/session")
    assert out.status_code == 204
    assert "max-age=0" in out.headers["set-cookie"].lower()
    assert page.get("/v1/catalogues/fruit").status_code == 401


def test_over_https_the_cookie_is_for_https_alone(api, credential):
    answer = browser(api, "https://testserver").post("/v1/session", json={"key": credential})
    assert "secure" in answer.headers["set-cookie"].lower().split("; ")


def test_the_cookie_ends_with_its_key(api):
    api.context.registry.ensure_tenant("acme")
    key = create_key(api.context, "acme", "page", (Scope.READ,), api.context.clock() + 600)
    cookie = browser(api).post("/v1/session", json={"key": key.credential}).headers["set-cookie"].lower()
    (seconds,) = [int(part.removeprefix("max-age=")) for part in cookie.split("; ") if part.startswith("max-age")]
    assert 590 <= seconds <= 600


@pytest.mark.parametrize("body", [{"key": "holo_a_b"}, {"key": ""}, {"key": "x" * 500}])
def test_a_key_that_does_not_work_sets_no_cookie(api, body):
    answer = browser(api).post("/v1/session", json=body)
    assert (answer.status_code, answer.json()["code"]) == (401, "NotAuthenticated")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("body", [{}, {"key": 1}, {"key": "x" * 501}, {"key": "x", "more": 1}, ["holo_a_b"]])
def test_what_is_no_login_is_refused_without_repeating_it(api, body):
    answer = browser(api).post("/v1/session", json=body)
    assert answer.status_code == 422
    assert "holo_a_b" not in answer.text


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"}, False),
        ({"Origin": "http://testserver"}, True),
        ({"Origin": "http://TESTSERVER"}, True),
        ({"Origin": "http://testserver:81"}, False),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({}, True),
    ],
)
def test_only_our_own_page_may_change_things_with_the_cookie(api, credential, headers, passes):
    page = browser(api)
    page.post("/v1/session", json={"key": credential})
    made = page.post("/v1/catalogues", json=NEW, headers=headers)
    assert made.status_code == (201 if passes else 403)
    assert page.delete("/v1/session", headers=headers).status_code == (204 if passes else 403)
    other = browser(api).post("/v1/session", json={"key": credential}, headers=headers)
    assert other.status_code == (200 if passes else 403)
    assert ("set-cookie" in other.headers) is passes


def test_reading_with_the_cookie_is_not_asked_where_it_comes_from(api, credential):
    page = browser(api)
    page.post("/v1/session", json={"key": credential})
    assert page.get("/v1/me", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


def test_a_bearer_token_is_no_browsers_and_goes_before_the_cookie(api, credential):
    page = browser(api)
    page.post("/v1/session", json={"key": credential})
    other = api.as_tenant("globex")
    token = {"Authorization": other.headers["Authorization"], "Sec-Fetch-Site": "cross-site"}
    assert page.post("/v1/catalogues", json=NEW, headers=token).status_code == 201
    assert other.get("/v1/catalogues/fruit").status_code == 200
    assert page.get("/v1/catalogues/fruit").status_code == 404
