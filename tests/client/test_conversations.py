"""Requests against a server that stumbles: both clients repeat the same, and raise the same."""

import asyncio
import json

import httpx
import pytest

from service import errors
from service.client import ApiProblem, AsyncHolotype, Holotype, Picture, Retrying, Upload
from service.client.uploads import BATCH_PICTURES, batches

AT_ONCE = Retrying(attempts=3, uniform=lambda *_: 0.0)
JOB = {
    "id": "j",
    "kind": "ingest",
    "catalogue": "fruit",
    "state": "queued",
    "stage": "",
    "done": 0,
    "total": 0,
    "counts": {},
    "images_per_s": None,
    "eta_s": None,
    "created_at": 0.0,
    "started_at": None,
    "finished_at": None,
    "result": None,
    "error": None,
    "links": {},
}


def problem(status, code, **members):
    body = {"type": "x", "title": "x", "status": status, "detail": "what is wrong", "code": code, "request_id": "r"}
    return httpx.Response(status, json={**body, **members}, headers={"content-type": "application/problem+json"})


class Server:
    """Gives one answer after the other, the last one for ever; an exception is raised instead."""

    def __init__(self, *answers):
        self.answers, self.requests = list(answers), []

    def __call__(self, request):
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer


def blocking(server, ask):
    with Holotype("http://server", "holo_k", retrying=AT_ONCE, transport=httpx.MockTransport(server)) as client:
        return ask(client)


def awaiting(server, ask):
    async def run():
        transport = httpx.MockTransport(server)
        async with AsyncHolotype("http://server", "holo_k", retrying=AT_ONCE, transport=transport) as client:
            return await ask(client)

    return asyncio.run(run())


@pytest.fixture(params=[blocking, awaiting], ids=["blocking", "awaiting"])
def asked(request):
    return request.param


def test_the_key_and_the_path_are_sent(asked):
    server = Server(httpx.Response(204))
    assert asked(server, lambda client: client.drop_example("a b/c", "x?y")) is None
    (request,) = server.requests
    assert request.headers["authorization"] == "Bearer holo_k"
    assert request.url.raw_path == b"/v1/catalogues/a%20b%2Fc/examples/x%3Fy"


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_does_not_lead_elsewhere(asked, name):
    server = Server(httpx.Response(204))
    with pytest.raises(errors.InvalidInput):
        asked(server, lambda client: client.delete_label("fruit", name))
    assert server.requests == []


def test_what_passes_is_tried_again(asked):
    cut = httpx.ReadError("cut")
    server = Server(cut, problem(503, "Unavailable"), httpx.Response(200, json={"status": "alive"}))
    assert asked(server, lambda client: client.livez()) == {"status": "alive"}
    assert len(server.requests) == 3


def test_a_change_is_not_sent_twice_by_guess(asked):
    server = Server(httpx.ReadError("cut"))
    with pytest.raises(errors.Unavailable, match="http://server/v1/tenants does not answer: cut"):
        asked(server, lambda client: client.create_tenant("acme"))
    assert len(server.requests) == 1


def test_what_starts_a_job_is_sent_again_under_the_same_key(asked):
    answers = [httpx.ReadError("cut"), problem(409, "RequestInFlight"), httpx.Response(202, json=JOB)]
    server = Server(*answers)
    assert asked(server, lambda client: client.optimise("fruit")).id == "j"
    keys = {request.headers["idempotency-key"] for request in server.requests}
    assert len(server.requests) == 3
    assert len(keys) == 1


def test_a_server_that_stays_away_is_unavailable(asked):
    server = Server(httpx.ConnectError("refused"))
    with pytest.raises(errors.Unavailable, match="refused"):
        asked(server, lambda client: client.create_tenant("acme"))
    assert len(server.requests) == AT_ONCE.attempts


def test_a_problem_is_the_error_that_it_names(asked):
    server = Server(problem(404, "CatalogueNotFound", catalogue="fruit"))
    with pytest.raises(errors.CatalogueNotFound) as raised:
        asked(server, lambda client: client.show_catalogue("fruit"))
    error = raised.value
    assert isinstance(error, ApiProblem)
    assert type(error).__name__ == error.code == "CatalogueNotFound"
    assert (error.status, error.detail, error.message) == (404, "what is wrong", "what is wrong")
    assert error.members == error.details == {"catalogue": "fruit"}
    assert error.request_id == "r"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (422, "InvalidRequest", errors.InvalidInput),
        (401, "NotAuthenticated", errors.NotAuthenticated),
        (413, "TooLarge", errors.InvalidInput),
        (500, "InternalError", ApiProblem),
        (418, "not a name", ApiProblem),
    ],
)
def test_other_problems_are_what_their_status_means(asked, status, code, kind):
    with pytest.raises(kind) as raised:
        asked(Server(problem(status, code)), lambda client: client.create_tenant("acme"))
    assert raised.value.code == code


def test_a_quota_that_waiting_frees_is_waited_for(asked):
    limited = problem(429, "QuotaExceeded", retry_after_s=0.2)
    limited.headers["retry-after"] = "0"
    server = Server(limited, httpx.Response(204))
    asked(server, lambda client: client.delete_webhook("w"))
    assert len(server.requests) == 2
    with pytest.raises(errors.QuotaExceeded) as raised:
        asked(Server(problem(429, "QuotaExceeded", limit=3)), lambda client: client.create_catalogue("fruit"))
    assert raised.value.details["limit"] == 3
    assert raised.value.retry_after_s is None


def test_what_is_no_answer_of_holotype_says_so(asked):
    with pytest.raises(errors.Unavailable, match="answered 502 Bad Gateway, which is no answer of Holotype"):
        asked(Server(httpx.Response(502, text="<html>")), lambda client: client.create_tenant("acme"))
    with pytest.raises(errors.HolotypeError, match="another version"):
        asked(Server(httpx.Response(200, json={"items": 1})), lambda client: client.list_webhooks())


@pytest.mark.parametrize("url", ["", "server", "ftp://server", "http://", "http://a:b"])
def test_a_url_that_is_none_is_refused(url):
    with pytest.raises(errors.InvalidInput):
        Holotype(url)


def pictures(count, size=10):
    return [Picture(source=f"a/{number}.png", content=b"x" * size, label="a") for number in range(count)]


def test_batches_are_bounded_and_name_a_source_once():
    assert [len(batch) for batch in batches(pictures(2 * BATCH_PICTURES + 1))] == [BATCH_PICTURES, BATCH_PICTURES, 1]
    assert [len(batch) for batch in batches(pictures(3, 9 * 1024 * 1024))] == [1, 1, 1]
    twice = Picture(source="a/0.png", content=b"x", label="b")
    assert [len(batch) for batch in batches([*pictures(2), twice])] == [2, 1]
    assert list(batches([])) == []


def test_an_upload_goes_on_where_the_connection_was_cut(asked):
    opened = httpx.Response(202, json=JOB)
    sent = []
    gone = Server(opened, httpx.Response(202, json=JOB), httpx.ConnectError("refused"))
    with pytest.raises(errors.Unavailable) as raised:
        asked(gone, lambda client: client.upload(Upload(name="fruit", on_sent=sent.append), pictures(300)))
    assert sent == [200]
    assert raised.value.details["job"] == "j"

    items = [{"id": n, "source": f"a/{n}.png", "label": "a", "state": "pending"} for n in range(200)]
    rows = [{**item, "reason": None, "example": None, "metadata": {}} for item in items]
    pages = [
        httpx.Response(200, json={"items": rows[:150], "next_cursor": "c"}),
        httpx.Response(200, json={"items": rows[150:], "next_cursor": None}),
    ]
    back = Server(*pages, httpx.Response(202, json=JOB))
    asked(back, lambda client: client.upload(Upload(name="fruit", job="j", on_sent=sent.append), pictures(300)))
    assert sent == [200, 300]
    assert [request.url.path for request in back.requests] == [
        *["/v1/jobs/j/items"] * 2,
        "/v1/jobs/j/pictures",
        "/v1/jobs/j:seal",
    ]
    assert back.requests[2].content.count(b'name="pictures"') == 100


def test_a_folder_that_is_none_opens_no_job(asked, tmp_path):
    server = Server(httpx.Response(202, json=JOB))
    with pytest.raises(errors.InvalidInput, match="is not a folder"):
        asked(server, lambda client: client.upload_folder("fruit", tmp_path / "none"))
    assert server.requests == []


@pytest.mark.parametrize("refused", ["by the server", "by the reader"])
def test_an_upload_that_is_refused_leaves_no_open_job(asked, refused):
    def read():
        yield from pictures(BATCH_PICTURES + 1)
        if refused == "by the reader":
            raise errors.InvalidInput("the next one cannot be read")

    answers = [httpx.Response(202, json=JOB), httpx.Response(202, json=JOB)]
    if refused == "by the server":
        answers.append(problem(429, "QuotaExceeded", quota="examples"))
    server = Server(*answers, httpx.Response(200, json={**JOB, "state": "cancelled"}))
    with pytest.raises((errors.QuotaExceeded, errors.InvalidInput)):
        asked(server, lambda client: client.upload(Upload(name="fruit"), read()))
    assert server.requests[-1].url.path == "/v1/jobs/j:cancel"


def test_a_job_is_waited_for_over_a_restart_of_the_server(asked):
    gone = [httpx.ConnectError("refused"), problem(503, "Unavailable")] * 8
    done = httpx.Response(200, json={**JOB, "state": "done"})
    assert asked(Server(*gone, done), lambda client: client.wait("j", poll_s=0.0)).state == "done"
    with pytest.raises(errors.Unavailable, match="job j goes on by itself") as raised:
        asked(Server(httpx.ConnectError("refused")), lambda client: client.wait("j", poll_s=0.0))
    assert raised.value.details["job"] == "j"


def test_a_job_is_followed_by_its_events_and_taken_up_where_they_end(asked):
    done = httpx.Response(200, json={**JOB, "state": "done", "stage": "embedding", "done": 4, "total": 4})
    told = [{"stage": "embedding", "done": done, "total": 4} for done in (1, 3)]
    stream = "".join(f"id: {n}\nevent: progress\ndata: {json.dumps(one)}\n\n" for n, one in enumerate(told))
    server = Server(
        httpx.Response(200, json=JOB),
        httpx.Response(200, text=stream + "data: no job\n\n"),
        httpx.Response(200, json=JOB),
        httpx.Response(200, text=""),
        done,
    )
    seen = []
    job = asked(server, lambda client: client.wait("j", lambda *progress: seen.append(progress), poll_s=0.0))
    assert job.finished
    assert seen == [("", 0, 0), ("embedding", 1, 4), ("embedding", 3, 4), ("", 0, 0), ("embedding", 4, 4)]
    assert server.requests[3].headers["last-event-id"] == "1"


@pytest.mark.parametrize(("state", "words"), [("failed", "failed: the disk is full"), ("cancelled", "was cancelled")])
def test_a_job_that_fails_raises(asked, state, words):
    server = Server(httpx.Response(200, json={**JOB, "state": state, "error": "the disk is full"}))
    with pytest.raises(errors.JobFailed, match=words):
        asked(server, lambda client: client.wait("j"))


def test_where_events_cannot_be_had_the_job_is_asked_after(asked):
    server = Server(
        httpx.Response(200, json=JOB),
        problem(404, "NotFound"),
        httpx.Response(200, json=JOB),
        httpx.ReadError("cut"),
        httpx.Response(200, json={**JOB, "state": "done"}),
    )
    assert asked(server, lambda client: client.wait("j", poll_s=0.0)).state == "done"
