"""A request with an idempotency key is done once."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from service.errors import IdempotencyConflict, InvalidInput, LeaseHeld, RequestInFlight, Unavailable
from service.usecases.idempotency import IN_FLIGHT_S, REMEMBERED_S, Keyed, do_once, forget_old_requests
from tests.fakes import fake_context

REQUEST = Keyed(tenant="acme", scope="start_ingest", key="abc", sha256="1" * 64)


class Work:
    """Counts how often it is done."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> dict[str, object]:
        self.times += 1
        return {"status": 202, "body": {"id": self.times}}


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def context():
    return fake_context()


def test_the_second_one_gets_the_answer_of_the_first(context, work):
    assert do_once(context, REQUEST, work) == ({"status": 202, "body": {"id": 1}}, False)
    assert do_once(context, REQUEST, work) == ({"status": 202, "body": {"id": 1}}, True)
    assert work.times == 1


@pytest.mark.parametrize("other", [{"tenant": "globex"}, {"scope": "create_webhook"}, {"key": "abd"}])
def test_a_key_belongs_to_its_tenant_and_route(context, work, other):
    do_once(context, REQUEST, work)
    assert do_once(context, replace(REQUEST, **other), work)[1] is False
    assert work.times == 2


def test_another_request_with_the_key_is_refused_and_not_done(context, work):
    do_once(context, REQUEST, work)
    with pytest.raises(IdempotencyConflict, match="'abc' was used for another request"):
        do_once(context, replace(REQUEST, sha256="2" * 64), work)
    assert work.times == 1


def test_a_request_that_failed_may_be_sent_again_with_the_same_key(context, work):
    def failing():
        raise InvalidInput("no such label")

    with pytest.raises(InvalidInput, match="no such label"):
        do_once(context, REQUEST, failing)
    assert do_once(context, replace(REQUEST, sha256="2" * 64), work)[1] is False


def test_a_failure_during_an_outage_is_told_as_it_is(context, monkeypatch):
    def failing():
        def down(*_args):
            raise Unavailable("the database does not answer")

        monkeypatch.setattr(context.registry, "forget_request", down)
        raise InvalidInput("no such label")

    with pytest.raises(InvalidInput, match="no such label"):
        do_once(context, REQUEST, failing)


def test_a_lease_that_the_work_itself_does_not_get_is_told_as_it_is(context):
    def busy():
        raise LeaseHeld("somebody optimises", lease="optimise:1")

    with pytest.raises(LeaseHeld, match="somebody optimises"):
        do_once(context, REQUEST, busy)


def test_while_the_first_is_at_work_the_second_is_refused_by_other_threads_too(context, work):
    started, go_on = threading.Event(), threading.Event()

    def slow():
        started.set()
        assert go_on.wait(30)
        return work()

    first = threading.Thread(target=do_once, args=(context, REQUEST, slow))
    first.start()
    assert started.wait(30)
    with pytest.raises(RequestInFlight, match="'abc' is still being worked on"):
        do_once(context, REQUEST, work)
    go_on.set()
    first.join()
    assert do_once(context, REQUEST, work)[1] is True
    assert work.times == 1


def test_a_process_that_died_keeps_others_away_no_longer_than_its_lease(context, work, monkeypatch):
    class Died(BaseException):
        """Nothing that runs at the end of a block runs in a process that is killed."""

    def dies():
        raise Died

    with monkeypatch.context() as killed:
        killed.setattr(context.registry, "release_lease", lambda *_: None)
        killed.setattr(context.registry, "forget_request", lambda *_: None)
        with pytest.raises(Died):
            do_once(context, REQUEST, dies)
    with pytest.raises(RequestInFlight):
        do_once(context, REQUEST, work)
    context.clock.now += IN_FLIGHT_S + 1
    assert do_once(context, REQUEST, work)[1] is False
    assert work.times == 1


def test_answers_are_forgotten_after_a_day(context, work):
    do_once(context, REQUEST, work)
    context.clock.now += REMEMBERED_S - 1
    assert forget_old_requests(context) == 0
    assert do_once(context, REQUEST, work)[1] is True
    context.clock.now += 2
    assert forget_old_requests(context) == 1
    assert do_once(context, REQUEST, work)[1] is False
