"""JSON bodies that name a member twice: no route picks one of the values."""

from __future__ import annotations

import re

import pytest

from tests.api.filled import picture
from tests.api.operations import operations

JSON = {"Content-Type": "application/json"}
TWICE = b'{"name": "a", "label": "b", "name": "c"}'


@pytest.fixture
def fruit(acme):
    acme.post("/v1/catalogues", json={"name": "fruit"})
    return acme


def test_every_route_that_takes_json_refuses_it(api, fruit):
    there = {"catalogue": "fruit", "tenant": "acme"}
    wrong, asked = {}, 0
    for one in operations(api.client.app):
        if "application/json" in one.content:
            path = re.sub(r"{(\w+)}", lambda name: there.get(name[1], "none"), one.path)
            answer = fruit.request(one.method, path, content=TWICE, headers=JSON | {"Idempotency-Key": one.name})
            told = answer.json()
            detail = "in the body 'name' is given twice: each member may be there once"
            if (answer.status_code, told["code"], told["detail"]) == (422, "InvalidInput", detail):
                asked += 1
            else:
                wrong[one.name] = told["code"]
    assert wrong == {"add_to_ingest": "NotFound"}, "its job is looked for first"
    assert asked > 15


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"quotas": {"examples": 1, "examples": 2}}', "examples"),
        (b'{"a": [{"b": {"c": 1, "\\u0063": 2}}]}', "c"),
        (b'[{"": 1, "": 2}]', ""),
    ],
)
def test_it_is_seen_however_deep_it_is(fruit, body, name):
    answer = fruit.post("/v1/tenants", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (422, "InvalidInput")
    assert f"in the body {name!r} is given twice" in answer.json()["detail"]


def test_what_is_fine_or_no_json_is_told_as_ever(fruit):
    same = b'{"name": "one", "encoder": null}'
    assert fruit.post("/v1/catalogues", content=same, headers=JSON).status_code == 201
    for body in (b'{"name": ', b"\xff", b"[" * 50_000):
        for path in ("/v1/catalogues", "/v1/catalogues/fruit:search"):
            answer = fruit.post(path, content=body, headers=JSON)
            assert answer.status_code in (400, 422)
            assert "twice" not in answer.json()["detail"]


def test_nor_do_texts_of_a_form_that_are_json(fruit):
    files = {"picture": ("a.png", picture("apple", 1), "image/png")}
    answer = fruit.post("/v1/catalogues/fruit:search", files=files, data={"metadata": '{"lot": "1", "lot": "2"}'})
    assert answer.status_code == 422
    assert "metadata is wrong: 'lot' is given twice" in answer.json()["detail"]


def test_a_manifest_in_a_request_neither(fruit):
    line = '{"path": "a.png", "label": "apple", "label": "pear"}'
    parts = [
        ("pictures", ("a.png", picture("apple", 1), "image/png")),
        ("manifest", ("manifest.jsonl", line, "text/plain")),
    ]
    answer = fruit.post("/v1/catalogues/fruit/ingests", files=parts, headers={"Idempotency-Key": "twice"})
    assert answer.status_code == 422, answer.text
    assert "'label' is given twice" in answer.json()["detail"]
