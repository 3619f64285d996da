"""The JobQueue port over Celery: which message goes to which queue, on which broker, and what happens when it is down.

Messages carry ids as JSON, nothing else; the name of a task is the name of the message's class. What only workers
need (acknowledging late, pools, shutdown) is added by `workers.app` to the same Celery application.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import asdict

from celery import Celery
from kombu import pools
from kombu.exceptions import OperationalError

from service.errors import Unavailable
from service.ports import QUEUES, Message, Sweep

VISIBILITY_TIMEOUT_S = 3600
"""A worker that vanished whole gives its message back after this; the sweeper is quicker, leases make it harmless."""

CONNECT_TIMEOUT_S = 3.0
PUBLISH_RETRIES = {"max_retries": 3, "interval_start": 0.2, "interval_step": 0.4, "interval_max": 1.0}

EMBEDDED_BROKER = "memory://localhost/"
EMBEDDED_POLL_S = 0.01
"""The in-memory transport polls; its default of one second would be felt between any two tasks."""

_SCHEMES = {
    "valkey://": "redis://",
    "valkeys://": "rediss://",
    "valkey+unix://": "redis+socket://",
    "unix://": "redis+socket://",
}


class Application(Celery):  # type: ignore[misc]  # Celery has no types
    """A Celery application that closes its connections: `with make_celery(...) as app`."""

    def close(self) -> None:
        """Close connections too; Kombu keeps their pools by broker and options in two tables of the process."""
        connection = self.connection_for_write()
        pools.producers.pop(connection, None)
        pool = pools.connections.pop(connection, None)
        if pool is not None:
            pool.force_close_all()
        super().close()


def make_celery(broker_url: str, namespace: str = "") -> Application:
    """A Celery application for one broker, as producers need it; it connects on first use.

    Args:
        broker_url: Redis or Valkey URL, or `EMBEDDED_BROKER`.
        namespace: put before the names of the queues. The in-memory broker is one for the whole process, so each data
            directory has its own there.
    """
    app = Application("holotype", broker=_redis_url(broker_url), set_as_current=False)
    names = [namespace + name for name in sorted({*QUEUES.values()})]
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_queues={name: {"exchange": "holotype", "exchange_type": "direct", "routing_key": name} for name in names},
        task_routes={kind.__name__: {"queue": namespace + name} for kind, name in QUEUES.items()},
        task_default_queue=namespace + QUEUES[Sweep],
        task_publish_retry=True,
        task_publish_retry_policy=PUBLISH_RETRIES,
        broker_connection_timeout=CONNECT_TIMEOUT_S,
        broker_connection_retry_on_startup=True,
        broker_transport_options=_transport_options(broker_url),
    )
    return app


class CeleryQueue:
    """Sends messages; it never waits for results, the registry has them."""

    def __init__(self, app: Celery, headers: Callable[[], dict[str, str]] = dict) -> None:
        """`headers` gives what goes with each message beside its body: which trace it belongs to."""
        self._app = app
        self._headers = headers

    def ping(self) -> None:
        try:
            with self._app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, timeout=CONNECT_TIMEOUT_S)
        except (OperationalError, OSError) as error:
            raise self._silent(error) from error

    def enqueue(self, message: Message) -> None:
        """Raises Unavailable when the broker cannot be reached after `PUBLISH_RETRIES`."""
        try:
            self._app.send_task(type(message).__name__, kwargs=asdict(message), headers=self._headers())
        except (OperationalError, OSError) as error:
            raise self._silent(error) from error

    def _silent(self, error: Exception) -> Unavailable:
        broker = self._app.connection_for_write().as_uri()  # without the password
        return Unavailable(
            f"the queue at {broker} does not answer ({error}): start the broker or correct HOLOTYPE_BROKER_URL",
            broker=broker,
        )


def _redis_url(url: str) -> str:
    """Kombu knows Valkey's protocol under the name of Redis only."""
    for scheme, known in _SCHEMES.items():
        if url.startswith(scheme):
            return known + url.removeprefix(scheme)
    return url


def _transport_options(broker_url: str) -> dict[str, object]:
    # Applications with equal options share connections; a name of its own keeps one usable while another is closed.
    own = {"application": uuid.uuid4().hex}
    if broker_url == EMBEDDED_BROKER:
        return {**own, "polling_interval": EMBEDDED_POLL_S}
    return {
        **own,
        "visibility_timeout": VISIBILITY_TIMEOUT_S,
        # Kombu looks for messages of vanished workers every tenth time of every 10 s: 104 s were measured.
        "unacked_restore_interval": 2,
        "unacked_restore_throttle": 1,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_keepalive": True,
    }
