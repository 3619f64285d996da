"""Spans go out without credentials, wherever in them those stood."""

from __future__ import annotations

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from service.adapters.masked_spans import MaskingExporter
from service.usecases.masking import masked_value

SECRET = "b6a730de8d4612d0d257" * 3
KEY = f"holo_7cba68decd3dfba7_{SECRET}"


def test_no_part_of_a_span_holds_a_key_and_the_rest_is_as_it_was():
    inner = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(MaskingExporter(inner)))
    with provider.get_tracer("test").start_as_current_span(
        f"GET {KEY}", attributes={"url.query": f"key={KEY}"}
    ) as span:
        span.set_attribute("many", [KEY, "lime"])
        span.set_attribute("status", 404)
        span.add_event(KEY, {"where": KEY})
    (told,) = inner.get_finished_spans()
    assert SECRET not in told.to_json()
    assert told.attributes["status"] == 404
    assert told.attributes["many"][1] == "lime"
    assert told.context == span.get_span_context()
    assert (told.start_time, told.end_time) == (span.start_time, span.end_time)


def test_values_are_masked_through_and_through():
    assert SECRET not in str(masked_value({KEY: [KEY, {"a": (KEY,)}], "n": 7}))
    assert masked_value({"catalogue": "fruit", "n": [7, None]}) == {"catalogue": "fruit", "n": [7, None]}
