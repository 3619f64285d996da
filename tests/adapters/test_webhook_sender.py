"""Messages over real HTTP: signed, bounded in time and size, to where they may go."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from standardwebhooks import Webhook as Verifier

from service.adapters.webhook_sender import HttpWebhookSender
from service.errors import InvalidInput
from service.records import Webhook
from tests.receiver import Receiver, receiving

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw8mVCl3Yqg2M="


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def hook(url: str) -> Webhook:
    return Webhook(id="w", tenant="t", url=url, secret=SECRET, events=("job.done",), created_at=1.0)


def test_a_message_is_signed_so_that_the_receiver_can_tell(receiver):
    sent = HttpWebhookSender(private=True).send(hook(receiver.url), "msg_1", {"id": "ä", "done": 3})
    assert (sent.error, sent.hopeless) == (None, False)
    (got,) = receiver.requests
    assert got.headers["webhook-id"] == "msg_1"
    assert got.headers["content-type"] == "application/json"
    assert Verifier(SECRET).verify(got.body, got.headers) == {"id": "ä", "done": 3}
    with pytest.raises(Exception, match="signature"):
        Verifier("whsec_" + "A" * 43 + "=").verify(got.body, got.headers)


@pytest.mark.parametrize(
    ("status", "told", "hopeless"),
    [(204, None, False), (400, "400", False), (410, "410", True), (500, "500", False), (302, "redirect", False)],
)
def test_what_the_receiver_answers(receiver, status, told, hopeless):
    receiver.answers = [(status, {"Location": f"{receiver.url}/elsewhere"}, b"x")]
    sent = HttpWebhookSender(private=True).send(hook(receiver.url), "msg_1", {})
    assert sent.hopeless is hopeless
    assert (sent.error is None) if told is None else told in sent.error
    assert len(receiver.requests) == 1, "redirects are not followed"


def test_a_receiver_that_drips_has_one_deadline_for_all(receiver):
    receiver.drip_s = 0.1
    begun = threading.Event()
    receiver.on_request = begun.set
    sent = HttpWebhookSender(private=True, timeout_s=1.0).send(hook(receiver.url), "msg_1", {})
    assert begun.is_set()
    assert "within 1 s" in sent.error


def test_a_long_answer_is_not_read(receiver):
    receiver.endless = True
    sent = HttpWebhookSender(private=True).send(hook(receiver.url), "msg_1", {})
    assert sent.error is None, "it was read until the deadline"


def test_nobody_there(receiver):
    sent = HttpWebhookSender(private=True).send(hook("http://127.0.0.1:9/x"), "msg_1", {})
    assert "could not be reached" in sent.error


def test_private_addresses_are_not_called(receiver):
    sender = HttpWebhookSender()
    for url in (receiver.url, "https://127.0.0.1/x", "https://localhost/x", "https://[::1]/x"):
        with pytest.raises(InvalidInput):
            sender.check(url)
        assert sender.send(hook(url), "msg_1", {}).error is not None
    assert receiver.requests == []
    with pytest.raises(InvalidInput, match="cannot be registered"):
        sender.check("https://nowhere.invalid/x")


def test_a_certificate_that_nobody_vouches_for_is_refused():
    with receiving(tls=True) as receiver:
        sent = HttpWebhookSender(private=True).send(hook(receiver.url), "msg_1", {})
        assert "could not be reached" in sent.error
        assert "certificate" in sent.error.lower()
        assert receiver.requests == []
