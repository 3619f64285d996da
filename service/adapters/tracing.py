"""Traces by OpenTelemetry: from an HTTP request over the queue to a worker's task and the stores it asks.

Off unless HOLOTYPE_OTEL is set. The provider is the process's own where somebody has set one up; else spans go to where
OpenTelemetry's own variables say (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME, ...). What a span holds are names of
calls and ids, never arguments: those are pictures, labels and keys. FastAPI puts path and query into its spans, so what
looks like a credential is masked in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from threading import Lock
from typing import Any, TypeVar, cast

from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind, Tracer

from service import __version__
from service.errors import InvalidInput
from service.usecases.log_context import current_ids

T = TypeVar("T")

SERVICE = "holotype"
_lock = Lock()
_tracer: Tracer | None = None


def start_tracing() -> trace.TracerProvider:
    """The provider of this process's traces, set up on first use.

    Raises:
        InvalidInput: OpenTelemetry's SDK is not installed.
    """
    global _tracer  # OpenTelemetry has one provider a process, too
    try:
        from opentelemetry.sdk.trace import TracerProvider
    except ImportError as error:
        raise InvalidInput(
            "HOLOTYPE_OTEL is set, and OpenTelemetry's SDK is not installed: pip install 'holotype[otel]'"
        ) from error
    with _lock:
        provider = trace.get_tracer_provider()
        if not isinstance(provider, TracerProvider):
            provider = _exporting()
            trace.set_tracer_provider(provider)
        _tracer = provider.get_tracer(SERVICE, __version__)
    return provider


def _exporting() -> trace.TracerProvider:
    """A provider that sends spans by OTLP over HTTP, as OpenTelemetry's variables say."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from service.adapters.masked_spans import MaskingExporter

    ours = Resource.create({"service.name": SERVICE, "service.version": __version__})
    provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()))
    provider.add_span_processor(BatchSpanProcessor(MaskingExporter(OTLPSpanExporter())))
    return provider


def traced(part: T, system: str) -> T:
    """The part, each call of whose methods is a span `system.method` within the trace that it belongs to, if any."""
    return cast("T", _Traced(part, system))


def outgoing() -> dict[str, str]:
    """Headers of a message that let the worker's task belong to this trace; none where there is none."""
    headers: dict[str, str] = {}
    if _tracer is not None:
        propagate.inject(headers)
    return headers


@contextmanager
def continued(headers: Mapping[str, Any], name: str) -> Iterator[None]:
    """A worker's task as a span of the trace that the message's headers name, or of one of its own."""
    if _tracer is None:
        yield
        return
    carrier = {key: value for key, value in headers.items() if isinstance(value, str)}
    parent = propagate.extract(carrier)
    with _tracer.start_as_current_span(f"task {name}", context=parent, kind=SpanKind.CONSUMER):
        yield


class _Traced:
    """A proxy. Calls outside of any trace stay what they are: somebody who polls makes no traces of his own."""

    def __init__(self, part: object, system: str) -> None:
        self._part = part
        self._system = system

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever the part has
        found = getattr(self._part, name)
        if not callable(found) or name.startswith("_"):
            return found
        wrapped = self._wrapped(found, name)
        setattr(self, name, wrapped)
        return wrapped

    def _wrapped(self, method: Callable[..., Any], name: str) -> Callable[..., Any]:
        kind = SpanKind.PRODUCER if name == "enqueue" else SpanKind.CLIENT

        @wraps(method)
        def call(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 -- as the method
            if _tracer is None or not trace.get_current_span().get_span_context().is_valid:
                return method(*arguments, **options)
            with _tracer.start_as_current_span(f"{self._system}.{name}", kind=kind, record_exception=False) as span:
                span.set_attributes({f"holotype.{key}": value for key, value in current_ids().items()})
                return method(*arguments, **options)

        return call
