"""What holds for every route: keys, scopes, problems, headers."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from service.api.app import open_routes, routes_of_the_api
from service.errors import Unavailable
from service.records import Scope


def test_no_route_of_the_api_answers_without_a_key(api):
    assert len(routes_of_the_api(api.client.app)) > 60
    assert open_routes(api.client.app) == []


def test_without_a_key_the_answer_is_a_problem_that_says_what_to_send(api):
    answer = api.client.get("/v1/catalogues/fruit")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["code"] == "NotAuthenticated"


@pytest.mark.parametrize("credential", ["", "x", "holo_", "holo_a_b", "holo_" + "0" * 16 + "_" + "0" * 64, "é"])
def test_a_key_that_is_none_is_refused_in_the_same_words(api, credential):
    answer = api.client.get("/v1/catalogues/fruit", headers={"Authorization": f"Bearer {credential}".encode()})
    assert answer.status_code == 401


def test_a_key_without_the_scope_is_told_which_one_it_needs(api):
    reader = api.as_tenant("acme", (Scope.READ,))
    answer = reader.post("/v1/catalogues", json={"name": "fruit"})
    assert answer.status_code == 403
    assert answer.json()["needed"] == ["write"]


def test_a_catalogue_is_made_shown_and_deleted(acme):
    made = acme.post("/v1/catalogues", json={"name": "fruit"})
    assert made.status_code == 201
    assert made.headers["location"] == "/v1/catalogues/fruit"
    assert made.json()["encoder"] == "pixel"
    assert acme.get("/v1/catalogues/fruit").json() == made.json()
    again = acme.post("/v1/catalogues", json={"name": "fruit"})
    assert (again.status_code, again.json()["code"]) == (409, "AlreadyExists")
    assert acme.delete("/v1/catalogues/fruit").status_code == 204
    assert acme.get("/v1/catalogues/fruit").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("PUT", "/livez", 405), ("POST", "/v1/catalogues", 422), ("GET", "/v1/nothing", 404)],
)
def test_what_the_framework_refuses_is_a_problem_too(acme, method, path, status):
    answer = acme.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/catalogues", "GET, POST"),
        ("PUT", "/v1/catalogues/fruit/prompts/a/b", None),
        ("PUT", "/v1/catalogues/fruit/labels/a/b", "DELETE, PATCH"),
        ("DELETE", "/v1/jobs/1:seal", "GET, POST"),
    ],
)
def test_405_names_every_method_that_the_path_takes(acme, method, path, allowed):
    answer = acme.request(method, path, json={})
    if allowed is None:
        assert answer.status_code != 405
        return
    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    assert allowed in answer.json()["detail"]


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"content": b'{"name', "headers": {"Content-Type": "application/json"}}, "body is no JSON text: Unterminated"),
        ({"data": {"name": "fruit"}}, "body must be a JSON object, sent with `Content-Type: application/json`"),
        ({"json": ["fruit"]}, "body must be a JSON object"),
        ({}, "body is needed"),
        ({"json": {}}, "body.name is needed"),
        ({"json": {"name": "fruit", "colour": 1}}, "body.colour is nothing that can be given here"),
        ({"json": {"name": 3}}, "body.name should be a valid string"),
        ({"json": {str(number): 1 for number in range(9)}}, "; and 5 more"),
    ],
)
def test_a_wrong_body_is_told_in_sentences_that_say_where(acme, sent, told):
    answer = acme.post("/v1/catalogues", **sent)
    assert (answer.status_code, answer.json()["code"]) == (422, "InvalidRequest")
    assert told in answer.json()["detail"]


def test_the_choices_of_an_option_are_told_once(acme):
    answer = acme.post("/v1/catalogues/fruit:optimise", json={"strategy": "best"})
    assert [one["at"] for one in answer.json()["errors"]] == ["body.strategy"]


def test_a_defect_answers_500_without_giving_anything_away(api, monkeypatch):
    acme = api.as_tenant("acme")

    def broken(*_args):
        raise RuntimeError("the password is 1234")

    monkeypatch.setattr("service.usecases.catalogues.show_catalogue", broken)
    answer = acme.get("/v1/catalogues/fruit")
    assert answer.status_code == 500
    assert "1234" not in answer.text
    assert answer.json()["request_id"]


def test_what_is_down_is_for_the_log_alone(api, monkeypatch, caplog):
    acme = api.as_tenant("acme")

    def down(*_args):
        raise Unavailable("the database at db.internal:5432 does not answer", url="postgresql://db.internal:5432")

    monkeypatch.setattr("service.usecases.catalogues.show_catalogue", down)
    answer = acme.get("/v1/catalogues/fruit")
    assert (answer.status_code, answer.json()["code"]) == (503, "Unavailable")
    assert answer.headers["retry-after"]
    assert "db.internal" not in answer.text
    assert "db.internal" in caplog.text


def test_headers_keep_a_browser_out_of_trouble(api: TestClient):
    answer = api.client.get("/livez")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


def test_a_request_id_of_the_caller_is_kept_when_it_is_one(api):
    assert api.client.get("/livez", headers={"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert api.client.get("/livez", headers={"X-Request-Id": "a b\x7f"}).headers["x-request-id"] != "a b\x7f"
