"""One trace from an HTTP request over the queue to the worker's task and the stores it asks."""

from __future__ import annotations

import sys
import time

import pytest
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from service.adapters import tracing
from service.api.app import create_app
from service.bootstrap import open_context
from service.errors import InvalidInput
from service.records import Quotas, Scope
from service.settings import Settings
from service.usecases.keys import create_key
from service.usecases.tenants import create_tenant
from tests.api.filled import PATIENCE_S
from tests.api.test_ingests import finished, fruit, ingest
from workers.embedded import embedded_workers


@pytest.fixture
def spans(monkeypatch):
    """What was traced. OpenTelemetry has one provider a process: each test adds its own exporter to it."""
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield exporter
    exporter.shutdown()
    monkeypatch.setattr(tracing, "_tracer", None)


@pytest.fixture
def client(tmp_path, spans):
    settings = Settings(data_dir=tmp_path / "data", encoder="pixel", sweep_interval_s=60, otel=True)
    with open_context(settings) as context, embedded_workers(context, settings):
        create_tenant(context, "acme", Quotas())
        key = create_key(context, "acme", "test", tuple(Scope))
        with TestClient(create_app(context, settings)) as opened:
            opened.headers["Authorization"] = f"Bearer {key.credential}"
            yield opened


def ended(spans, name):
    """Wait for a span's end: a job is done a moment before the task that ended it."""
    until = time.monotonic() + PATIENCE_S
    while name not in {span.name for span in spans.get_finished_spans()} and time.monotonic() < until:
        time.sleep(0.01)


def test_an_ingest_is_one_trace_from_the_request_to_the_store(client, spans):
    assert client.post("/v1/catalogues", json={"name": "fruit"}).status_code == 201
    answer = ingest(client, fruit())
    assert answer.status_code == 202
    finished(client, answer.json())
    ended(spans, "task FinishIngest")
    found = {span.context.span_id: span for span in spans.get_finished_spans()}
    (request,) = [one for one in found.values() if one.name == "POST /v1/catalogues/{catalogue}/ingests"]
    assert request.kind is SpanKind.SERVER

    def way(span):
        """The names from the span up to the request."""
        names = [span.name]
        while span.parent is not None:
            span = found[span.parent.span_id]
            names.append(span.name)
        return names

    ours = [one for one in found.values() if one.context.trace_id == request.context.trace_id]
    (insert,) = [one for one in ours if one.name == "vectors.insert"]
    names = way(insert)
    assert names[:4] == ["vectors.insert", "task EmbedChunk", "queue.enqueue", *names[3:4]]
    assert names[-1] == request.name
    told = {one.name for one in ours}
    assert {"database.add_items", "database.settle_chunk", "blobs.put", "task FinishIngest"} <= told
    task = found[insert.parent.span_id]
    assert task.kind is SpanKind.CONSUMER
    assert insert.attributes["holotype.task"] == "EmbedChunk"
    assert insert.attributes["holotype.job"] == answer.json()["id"]


def test_no_span_holds_a_credential_a_label_or_a_name_of_a_file(client, spans):
    client.post("/v1/catalogues", json={"name": "fruit"})
    finished(client, ingest(client, fruit()).json())
    told = " ".join(str(span.to_json()) for span in spans.get_finished_spans())
    assert client.headers["Authorization"].removeprefix("Bearer ").rpartition("_")[2] not in told
    assert "apple" not in told


def test_who_only_looks_whether_it_lives_leaves_no_trace(client, spans):
    spans.clear()
    client.get("/livez")
    client.get("/readyz")
    assert not [one for one in spans.get_finished_spans() if one.kind is SpanKind.SERVER]


def test_without_the_setting_nothing_is_traced(api, acme, spans):
    acme.get("/v1/catalogues/fruit")
    assert spans.get_finished_spans() == ()


def test_without_the_sdk_the_setting_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    settings = Settings(data_dir=tmp_path / "data", encoder="pixel", otel=True)
    with pytest.raises(InvalidInput, match="otel"), open_context(settings):
        pass
