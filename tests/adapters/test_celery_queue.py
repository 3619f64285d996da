import json
from base64 import b64decode

import pytest
import redis

from service.adapters.celery_queue import CeleryQueue, make_celery
from service.errors import Unavailable
from service.ports import QUEUES, EmbedChunk, FinishIngest, RunOptimise, Sweep
from tests.processes import running_valkey


@pytest.fixture(scope="module")
def broker():
    with running_valkey() as url:
        yield url


def waiting(url, queue):
    """(task, keywords) of the messages that wait in a queue, oldest first, as a worker would read them."""
    with redis.Redis(unix_socket_path=url.removeprefix("valkey+unix://")) as client:
        messages = [json.loads(raw) for raw in reversed(client.lrange(queue, 0, -1))]
        client.delete(queue)
    return [(one["headers"]["task"], json.loads(b64decode(one["body"]))[1]) for one in messages]


def test_each_message_goes_to_its_queue_as_ids_in_json(broker):
    with make_celery(broker) as app:
        queue = CeleryQueue(app)
        for message in (EmbedChunk("j1", 7), EmbedChunk("j1", 8), FinishIngest("j2"), RunOptimise("j3"), Sweep()):
            queue.enqueue(message)
    assert waiting(broker, "embed") == [
        ("EmbedChunk", {"job_id": "j1", "chunk": 7}),
        ("EmbedChunk", {"job_id": "j1", "chunk": 8}),
    ]
    assert waiting(broker, "maintenance") == [("FinishIngest", {"job_id": "j2"}), ("Sweep", {})]
    assert waiting(broker, "optimise") == [("RunOptimise", {"job_id": "j3"})]


def test_every_message_has_a_route():
    with make_celery("redis://localhost", namespace="x-") as app:
        assert {name: route["queue"] for name, route in app.conf.task_routes.items()} == {
            kind.__name__: f"x-{queue}" for kind, queue in QUEUES.items()
        }
        assert set(app.conf.task_queues) == {"x-embed", "x-optimise", "x-finetune", "x-maintenance"}


def test_closing_one_application_leaves_others_on_the_same_broker_alone(broker):
    with make_celery(broker) as first:
        CeleryQueue(first).enqueue(Sweep())
        with make_celery(broker) as second:
            CeleryQueue(second).enqueue(Sweep())
        CeleryQueue(first).enqueue(Sweep())
    assert len(waiting(broker, "maintenance")) == 3


def test_a_broker_that_is_down_is_named_without_its_password():
    with make_celery("redis://:secret@127.0.0.1:1/0") as app, pytest.raises(Unavailable) as caught:
        CeleryQueue(app).enqueue(Sweep())
    assert "127.0.0.1:1" in caught.value.message
    assert "HOLOTYPE_BROKER_URL" in caught.value.message
    assert "secret" not in caught.value.message + str(caught.value.details)


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("valkey://host:1/2", "redis://host:1/2"),
        ("valkeys://host:1/2", "rediss://host:1/2"),
        ("valkey+unix:///run/s", "redis+socket:///run/s"),
        ("unix:///run/s", "redis+socket:///run/s"),
        ("redis://host:1/2", "redis://host:1/2"),
    ],
)
def test_valkeys_names_of_the_protocol_are_understood(given, known):
    with make_celery(given) as app:
        assert app.conf.broker_url == known
