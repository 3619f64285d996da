"""`Idempotency-Key` over HTTP: on a route of its own, on every route that takes it, and on a multipart upload."""

from __future__ import annotations

import threading

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from pydantic import BaseModel

from service.api import problems
from service.api.access import ContextOf, Writer, scoped_router
from service.api.app import create_app
from service.api.idempotency import REPEATABLE, REPLAYED, Answered, digest_of, once
from service.errors import InvalidInput
from tests.api.filled import picture
from tests.api.operations import operations


class Order(BaseModel):
    """What is to be made."""

    name: str
    number: int = 1


class Workshop:
    """A route that makes things, and counts them."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.fails = False
        self.held: threading.Event | None = None
        self.started = threading.Event()
        self.router = scoped_router("workshop")
        self.router.post("/things", status_code=201, dependencies=REPEATABLE)(self.make)
        self.router.post("/others/{place}", dependencies=REPEATABLE)(self.make_other)

    def make(self, body: Order, request: Request, who: Writer, context: ContextOf, x: int = 0):
        return once(request, context, who, digest_of(body), lambda: self._do(body))

    def make_other(self, place: str, body: Order, request: Request, who: Writer, context: ContextOf):
        return once(request, context, who, digest_of(body), lambda: Answered(body={"place": place}))

    def _do(self, order: Order) -> Answered:
        self.started.set()
        if self.held is not None:
            assert self.held.wait(30)
        if self.fails:
            raise InvalidInput("there is no wood")
        self.made.append(order.name)
        return Answered(body=order, status=201, location=f"/v1/things/{len(self.made)}")


@pytest.fixture
def workshop(context, settings) -> Workshop:
    return Workshop()


@pytest.fixture
def app(workshop, context, settings) -> FastAPI:
    made = create_app(context, settings)
    problems.install(made)
    made.include_router(workshop.router)
    return made


@pytest.fixture
def acme(app, api) -> TestClient:
    client = TestClient(app, raise_server_exceptions=False)
    client.headers["Authorization"] = api.as_tenant("acme").headers["Authorization"]
    return client


def key(text: str) -> dict[str, str]:
    return {"Idempotency-Key": text}


def test_the_same_request_is_done_once_and_answered_the_same(acme, workshop):
    first = acme.post("/v1/things", json={"name": "chair"}, headers=key("k"))
    again = acme.post("/v1/things", json={"name": "chair", "number": 1}, headers=key("k"))
    assert workshop.made == ["chair"]
    assert REPLAYED not in first.headers
    assert again.headers[REPLAYED] == "true"
    for one in (first, again):
        assert (one.status_code, one.json()) == (201, {"name": "chair", "number": 1})
        assert one.headers["location"] == "/v1/things/1"


def test_without_a_key_each_request_is_done(acme, workshop):
    answers = [acme.post("/v1/things", json={"name": "chair"}) for _ in range(2)]
    assert [one.headers["location"] for one in answers] == ["/v1/things/1", "/v1/things/2"]


def test_another_body_path_or_query_under_the_same_key_is_refused(acme, workshop):
    acme.post("/v1/things", json={"name": "chair"}, headers=key("k"))
    acme.post("/v1/others/a", json={"name": "chair"}, headers=key("k"))
    for path, name in (("/v1/things", "table"), ("/v1/things?x=1", "chair"), ("/v1/others/b", "chair")):
        refused = acme.post(path, json={"name": name}, headers=key("k"))
        assert (refused.status_code, refused.json()["code"]) == (422, "IdempotencyConflict")
        assert refused.json()["idempotency_key"] == "k"
    assert workshop.made == ["chair"]


def test_a_key_is_its_tenants_and_its_routes_own(acme, workshop, api):
    acme.post("/v1/things", json={"name": "chair"}, headers=key("k"))
    other = acme.post("/v1/others/a", json={"name": "chair"}, headers=key("k"))
    assert (other.status_code, other.json()) == (200, {"place": "a"})
    theirs = {"Authorization": api.as_tenant("globex").headers["Authorization"], **key("k")}
    assert acme.post("/v1/things", json={"name": "stool"}, headers=theirs).status_code == 201
    assert workshop.made == ["chair", "stool"]


def test_while_the_first_is_at_work_the_second_is_told_to_come_back(acme, workshop):
    workshop.held = threading.Event()
    answers = []
    first = threading.Thread(
        target=lambda: answers.append(acme.post("/v1/things", json={"name": "chair"}, headers=key("k")))
    )
    first.start()
    assert workshop.started.wait(30)
    second = acme.post("/v1/things", json={"name": "chair"}, headers=key("k"))
    assert (second.status_code, second.json()["code"]) == (409, "RequestInFlight")
    assert int(second.headers["retry-after"]) > 0
    workshop.held.set()
    first.join()
    assert answers[0].status_code == 201
    assert acme.post("/v1/things", json={"name": "chair"}, headers=key("k")).headers[REPLAYED] == "true"
    assert workshop.made == ["chair"]


def test_a_request_that_failed_may_be_sent_again(acme, workshop):
    workshop.fails = True
    failed = acme.post("/v1/things", json={"name": "chair"}, headers=key("k"))
    assert (failed.status_code, failed.json()["detail"]) == (422, "there is no wood")
    workshop.fails = False
    assert acme.post("/v1/things", json={"name": "table"}, headers=key("k")).status_code == 201
    assert workshop.made == ["table"]


@pytest.mark.parametrize("text", ["", "a b", "x" * 256, "é", "\t", "a\x7f"])
def test_what_is_no_key_is_a_problem_and_does_nothing(acme, workshop, text):
    answer = acme.post("/v1/things", json={"name": "chair"}, headers={"Idempotency-Key": text.encode("latin-1")})
    assert (answer.status_code, answer.json()["code"]) == (422, "InvalidRequest")
    assert workshop.made == []


@pytest.mark.parametrize("text", ["x" * 255, "!~", '"quoted"'])
def test_what_is_a_key_is_taken(acme, workshop, text):
    assert acme.post("/v1/things", json={"name": "chair"}, headers=key(text)).status_code == 201


def test_an_upload_sent_again_starts_one_job(api):
    """The boundary of a multipart body is another each time, what it carries is not."""
    acme = api.as_tenant("acme")
    acme.post("/v1/catalogues", json={"name": "fruit"})
    path = "/v1/catalogues/fruit/ingests"

    def send(number: int, boundary: str):
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        files = [("pictures", ("lime/1.png", picture("lime", number), "image/png"))]
        return acme.post(path, files=files, headers=kind | key("upload"))

    first, again, other = send(1, "one"), send(1, "two"), send(2, "three")
    assert first.status_code == 202
    assert (again.status_code, again.json(), again.headers[REPLAYED]) == (202, first.json(), "true")
    assert again.headers["location"] == first.headers["location"]
    assert (other.status_code, other.json()["code"]) == (422, "IdempotencyConflict")
    assert len(acme.get("/v1/jobs").json()["items"]) == 1


def test_every_route_that_starts_a_job_takes_the_header(api):
    taking = {
        one.name
        for one in operations(api.client.app)
        if any(two["in"] == "header" and two["name"] == "Idempotency-Key" for two in one.parameters)
    }
    assert {"start_ingest", "optimise_catalogue"} <= taking
