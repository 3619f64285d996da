"""Numbers for Prometheus: of this process's requests, and of the database, which all processes share.

No label names a tenant: their number has no bound. Routes are told by their template, what matches none as "none".
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from service.errors import HolotypeError
from service.ports.telemetry import Measures
from service.usecases.context import Context

CONTENT_TYPE = CONTENT_TYPE_LATEST
KEPT_S = 5.0
"""The database is asked at most so often, however many ask for the numbers."""
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The numbers of one application. Safe for several threads."""

    def __init__(self, context: Context) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "holotype_requests_total", "HTTP requests.", ["route", "method", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "holotype_request_duration_seconds",
            "From the head of a request to the end of its answer.",
            ["route", "method"],
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "holotype_requests_in_flight", "Requests that are being answered.", registry=self.registry
        )
        self._classified = Counter(
            "holotype_classified_pictures_total",
            "Pictures classified at once: labelled, rejected (no label is trusted enough) or unusable.",
            ["outcome"],
            registry=self.registry,
        )
        for outcome in ("labelled", "rejected", "unusable"):
            self._classified.labels(outcome)
        self.registry.register(_Shared(context))

    def requested(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered."""
        known = method if method in METHODS else "other"
        self._requests.labels(route, known, str(status)).inc()
        self._seconds.labels(route, known).observe(seconds)

    def classified(self, outcome: str, pictures: int) -> None:
        """Pictures were classified: "labelled", "rejected" or "unusable"."""
        self._classified.labels(outcome).inc(pictures)

    def exposition(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self.registry)


class _Shared(Collector):
    """What the database knows, asked when somebody wants it; nothing of it while the database is silent."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._known: tuple[float, Measures] | None = None
        self._images_per_s = 0.0

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing is asked while the application is put together."""
        yield from ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges."""
        with self._lock:
            measures = self._measures()
            rate = self._images_per_s
        answers = GaugeMetricFamily("holotype_database_up", "1 while the database answers.")
        answers.add_metric([], 0.0 if measures is None else 1.0)
        yield answers
        if measures is not None:
            yield from self._of_queues(measures)
            yield from self._of_pictures(measures, rate)
            yield self._of_selections(measures)

    def _measures(self) -> Measures | None:
        now = time.monotonic()
        if self._known is not None and now - self._known[0] < KEPT_S:
            return self._known[1]
        try:
            found = self._context.registry.measures()
        except HolotypeError:
            self._known = None
            return None
        if self._known is not None:
            before, measures = self._known
            self._images_per_s = max(0, found.examples - measures.examples) / (now - before)
        self._known = (now, found)
        return found

    def _of_queues(self, measures: Measures) -> Iterator[GaugeMetricFamily]:
        waiting = GaugeMetricFamily(
            "holotype_queue_waiting", "Chunks, jobs or messages that nobody works on yet.", labels=["queue"]
        )
        age = GaugeMetricFamily(
            "holotype_queue_oldest_seconds", "Since when the job of the oldest of them is there.", labels=["queue"]
        )
        for queue, backlog in sorted(measures.backlogs.items()):
            waiting.add_metric([queue], backlog.waiting)
            age.add_metric([queue], self._age(backlog.oldest_at))
        yield waiting
        yield age

    def _of_pictures(self, measures: Measures, rate: float) -> Iterator[GaugeMetricFamily]:
        stored = GaugeMetricFamily("holotype_images_stored", "Examples of all catalogues.")
        stored.add_metric([], measures.examples)
        yield stored
        speed = GaugeMetricFamily(
            "holotype_images_per_second", "By how many examples that grew a second, between the last two looks."
        )
        speed.add_metric([], rate)
        yield speed

    def _of_selections(self, measures: Measures) -> GaugeMetricFamily:
        age = GaugeMetricFamily(
            "holotype_active_selection_age_seconds", "Of the selections that serve.", labels=["which"]
        )
        if measures.selections:
            age.add_metric(["oldest"], self._age(measures.oldest_selection_at))
            age.add_metric(["newest"], self._age(measures.newest_selection_at))
        return age

    def _age(self, at: float | None) -> float:
        return 0.0 if at is None else max(0.0, self._context.clock() - at)
