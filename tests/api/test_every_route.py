"""What holds for every route of the description, whoever writes it."""

from __future__ import annotations

from collections import Counter

from service.api.access import JSON_BYTES, WITHOUT_KEY
from service.records import Scope
from tests.api.operations import operations

HIDDEN = {"/", "/web/{path}", "/openapi.json"}
UNKNOWN = "0" * 16
"""For every parameter of a path."""


class Anything(dict[str, str]):
    """The same value for every name that a path has; nothing else is said."""

    def __missing__(self, _name: str) -> str:
        return UNKNOWN


def test_there_are_routes_and_each_has_its_own_name(api):
    names = Counter(one.name for one in operations(api.client.app))
    assert len(names) > 20
    assert [name for name, count in names.items() if count > 1] == []


def test_every_route_asks_for_a_key_but_the_two_that_take_and_forget_it(api):
    open_ones = {one.name for one in operations(api.client.app) if one.scopes is None}
    assert open_ones == WITHOUT_KEY


def test_without_a_key_every_route_answers_401(api):
    wrong = {}
    for one in operations(api.client.app):
        if one.scopes is not None:
            answer = one.ask(api.client, Anything())
            told = (answer.status_code, answer.headers["content-type"], answer.json().get("code"))
            if told != (401, "application/problem+json", "NotAuthenticated"):
                wrong[one.name] = told
    assert wrong == {}


def test_with_every_scope_but_the_needed_one_every_route_answers_403(api):
    clients = {scope: api.as_tenant("acme", tuple(other for other in Scope if other is not scope)) for scope in Scope}
    wrong = {}
    for one in operations(api.client.app):
        for scope in one.scopes or ():
            answer = one.ask(clients[Scope(scope)], Anything())
            if (answer.status_code, answer.json().get("needed")) != (403, [scope]):
                wrong[one.name] = (answer.status_code, answer.text[:200])
    assert wrong == {}


def test_changes_need_more_than_reading_and_tenants_and_keys_an_admin(api):
    """Asking with pictures is a POST that changes nothing."""
    asking = (":classify", ":verify", ":search", ":evaluate", ":preview", ":next")
    for one in operations(api.client.app):
        if one.path.startswith("/v1/tenants"):
            assert one.scopes == ("admin",), one.name
        elif one.method != "GET" and one.scopes is not None and not one.path.endswith(asking):
            assert one.scopes == ("write",), one.name


def test_bodies_that_are_no_json_are_problems_everywhere(api):
    client = api.as_tenant("acme")
    wrong = {}
    for one in operations(api.client.app):
        if "application/json" in one.content:
            path = one.path
            for name in one.in_path:
                path = path.replace(f"{{{name}}}", UNKNOWN)
            answer = client.request(
                one.method, path, content=b'{"name": ', headers={"Content-Type": "application/json"}
            )
            if answer.status_code not in {400, 404, 422} or "detail" not in answer.json():
                wrong[one.name] = (answer.status_code, answer.text[:200])
    assert wrong == {}


def test_a_large_body_without_a_key_is_not_parsed(api):
    """JSON is parsed before anybody is asked for a key, so it has a limit; uploads are not read before."""
    wrong = {}
    for one in operations(api.client.app):
        if one.content:
            path = one.path
            for name in one.in_path:
                path = path.replace(f"{{{name}}}", UNKNOWN)
            kind = next(iter(one.content))
            large = b" " * (JSON_BYTES + 1)
            answer = api.client.request(one.method, path, content=large, headers={"Content-Type": kind})
            expected = (413, "TooLarge") if kind == "application/json" else (401, "NotAuthenticated")
            told = answer.json() if "json" in answer.headers["content-type"] else {}
            if (answer.status_code, told.get("code")) != expected or told["request_id"] is None:
                wrong[one.name] = (answer.status_code, answer.text[:200])
    assert wrong == {}


def test_no_route_is_left_out_of_the_description_but_the_page_and_the_description_itself(api):
    """What is not described is not asked by the tests above: it must be nothing of a tenant's."""
    described = set(api.client.app.openapi()["paths"])
    there = {one.path.replace(":path}", "}") for one in every_route(api.client.app.routes)}
    assert described <= there, "all are found"
    hidden = there - described
    assert hidden == HIDDEN


def every_route(routes):
    for one in routes:
        router = getattr(one, "original_router", None)
        yield from [one] if router is None else every_route(router.routes)
