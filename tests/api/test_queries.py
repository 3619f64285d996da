"""Query parameters: every route refuses unknown and repeated ones, and the client sends none of them."""

from __future__ import annotations

import inspect
import re

import pytest

from service.api.app import routes_of_the_api
from service.api.queries import known_query
from service.client.surface import Method, Surface
from tests.api.operations import operations

SOMETHING = {"str": "x", "int": 1, "float": 0.5, "bool": True, "Sequence[str]": ["done"]}
"""A value for each kind of argument that ends in a query."""


def test_every_route_with_a_key_refuses_what_it_does_not_know(api, acme):
    wrong = {}
    for one in operations(api.client.app):
        if one.scopes is None:
            continue
        path = re.sub(r"{\w+}", "none", one.path)
        answer = acme.request(one.method, path, params={"limt": "1", "Cursor": ""})
        told = answer.json()
        known = sorted(parameter["name"] for parameter in one.parameters if parameter["in"] == "query")
        said = f"is no parameter of {one.method} {one.path}"
        there = f"{said}; there are: {', '.join(known) or 'none'}"
        expected = [{"at": "query.limt", "message": said}, {"at": "query.Cursor", "message": there}]
        if (answer.status_code, told.get("code"), told.get("errors")) != (422, "InvalidRequest", expected):
            wrong[one.name] = (answer.status_code, told)
    assert wrong == {}


def test_what_is_known_is_what_is_described(api):
    described = {
        (one.method, one.path): {
            parameter["name"]: takes_several(parameter) for parameter in one.parameters if parameter["in"] == "query"
        }
        for one in operations(api.client.app)
    }
    known = {
        (method, route.path_format): known_query(route)
        for route in routes_of_the_api(api.client.app)
        for method in route.methods
    }
    assert known == described


def takes_several(parameter):
    """Does the description of a parameter say that it may be given more than once?"""
    schema = parameter["schema"]
    return any(kind.get("type") == "array" for kind in (schema, *schema.get("anyOf", ())))


def test_every_route_refuses_a_single_value_that_is_given_twice(api, acme):
    wrong, tried = {}, 0
    for one in operations(api.client.app):
        single = [
            parameter["name"]
            for parameter in one.parameters
            if parameter["in"] == "query" and not takes_several(parameter)
        ]
        if one.scopes is None or not single:
            continue
        tried += 1
        path = re.sub(r"{\w+}", "none", one.path)
        answer = acme.request(one.method, path, params=[(name, value) for name in single for value in "12"])
        expected = [{"at": f"query.{name}", "message": "takes one value and is given 2 times"} for name in single]
        if (answer.status_code, answer.json().get("errors")) != (422, expected):
            wrong[one.name] = (answer.status_code, answer.json())
    assert wrong == {}
    assert tried > 10


def test_several_values_are_taken_where_a_route_takes_them(acme):
    assert acme.get("/v1/jobs?state=done&state=failed").status_code == 200
    told = acme.get("/v1/jobs?state=done&state=failed&limit=3&limit=4")
    assert (told.status_code, told.json()["detail"]) == (422, "query.limit takes one value and is given 2 times")


def test_unknown_and_repeated_ones_are_told_together(acme):
    detail = acme.get("/v1/catalogues?limt=1&limt=2&limit=3&limit=4").json()["detail"]
    assert detail == (
        "query.limt is no parameter of GET /v1/catalogues; there are: cursor, limit; "
        "query.limit takes one value and is given 2 times"
    )


def test_a_long_list_of_unknown_ones_is_not_told_whole(acme):
    query = "&".join(f"{'x' * 100}{number}" for number in range(200))
    answer = acme.get(f"/v1/catalogues?{query}")
    assert answer.status_code == 422
    assert len(answer.text) < 3000


def test_a_misspelt_filter_says_what_there_is(acme):
    acme.post("/v1/catalogues", json={"name": "fruit"})
    detail = acme.get("/v1/catalogues/fruit/examples?lable=pear").json()["detail"]
    assert detail == (
        "query.lable is no parameter of GET /v1/catalogues/{catalogue}/examples; there are: cursor, label, limit, "
        "reference, split, state"
    )


def calls_with_everything():
    """A request of each method of the client that is made of plain values, every argument given."""
    for name, method in vars(Surface).items():
        if isinstance(method, Method):
            arguments = inspect.signature(method.make).parameters.values()
            kinds = {one.name: str(one.annotation).removesuffix(" | None") for one in arguments}
            if all(kind in SOMETHING for kind in kinds.values()):
                yield name, method.make(**{argument: SOMETHING[kind] for argument, kind in kinds.items()})


def test_the_client_sends_none_that_is_unknown(api):
    described = list(operations(api.client.app))
    sent = {}
    for name, call in calls_with_everything():
        if not call.path.startswith("/v1"):
            continue
        matching = [
            one
            for one in described
            if one.method == call.method and re.fullmatch(re.sub(r"{\w+}", "[^/:]+", one.path), call.path)
        ]
        known = {one["name"]: takes_several(one) for one in matching[0].parameters if one["in"] == "query"}
        assert set(call.params) <= set(known), name
        assert not [one for one, value in call.params.items() if isinstance(value, list | tuple) and not known[one]], (
            name
        )
        sent[name] = set(call.params)
    assert len(sent) > 40
    assert sent["list_examples"] == {"label", "split", "state", "reference", "cursor", "limit"}


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/openapi.json"])
def test_what_is_no_route_of_the_api_takes_any(api, path):
    assert api.client.get(f"{path}?v=2&v=3").status_code == 200


def test_the_session_of_the_page_takes_any(api):
    assert api.client.delete("/v1/session?v=2&v=3").status_code == 204
