"""Spans by OpenTelemetry, and the only module that imports it; loaded when traces are asked for (`publisher.watch`)."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from publisher.tracing import Fact
from schemas.errors import BadSetting

KINDS = {"server": SpanKind.SERVER, "consumer": SpanKind.CONSUMER, "client": SpanKind.CLIENT}
#: What becomes an attribute of its usual name (https://opentelemetry.io/docs/specs/semconv/), not one of ours.
USUAL = {
    "http_method": "http.request.method",
    "http_route": "http.route",
    "http_status": "http.response.status_code",
    "server": "server.address",
    "message_id": "messaging.message.id",
    "queue": "messaging.destination.name",
}


def otlp_tracer(environ: Mapping[str, str], role: str) -> "OtelTracer":
    """Sends spans in batches to where the OTEL_… variables say. Raises: BadSetting for an exporter that we have not."""
    name = {"service.name": environ.get("OTEL_SERVICE_NAME") or "datapusher"}
    instance = {"service.instance.id": f"{role}/{socket.gethostname()}/{os.getpid()}", "datapusher.role": role}
    provider = TracerProvider(resource=Resource.create({**name, **instance}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_exporter(environ.get("OTEL_TRACES_EXPORTER") or "otlp")))
    return OtelTracer(provider)


def _exporter(name: str) -> SpanExporter:
    if name == "console":
        return ConsoleSpanExporter()
    if name != "otlp":
        raise BadSetting("OTEL_TRACES_EXPORTER", f"{name!r} is not otlp, console or none")
    return OTLPSpanExporter()


class OtelTracer:
    """See `publisher.tracing.Tracer`. May be used from any thread."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("datapusher")

    @contextmanager
    def span(
        self, name: str, kind: Literal["server", "consumer", "client"], parent: str, **facts: Fact
    ) -> Iterator["OtelSpan"]:
        context = TraceContextTextMapPropagator().extract({"traceparent": parent}, Context())
        span = self._tracer.start_span(name, context, KINDS[kind], attributes=_attributes(facts))
        try:
            yield OtelSpan(self, span)
        except BaseException as error:
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
        finally:
            span.end()

    def part(self, whole: Span, name: str, started_s: float, seconds: float) -> None:
        start = int(started_s * 1e9)
        span = self._tracer.start_span(name, set_span_in_context(whole, Context()), start_time=start)
        span.end(start + int(seconds * 1e9))

    def close(self) -> None:
        self._provider.shutdown()


class OtelSpan:
    def __init__(self, tracer: OtelTracer, span: Span) -> None:
        self._tracer = tracer
        self._span = span
        context = span.get_span_context()
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def note(self, **facts: Fact) -> None:
        self._span.set_attributes(_attributes(facts))

    def fail(self, why: str) -> None:
        self._span.set_status(Status(StatusCode.ERROR, why))

    def stage(self, name: str, started_s: float, seconds: float) -> None:
        self._tracer.part(self._span, name, started_s, seconds)


def _attributes(facts: Mapping[str, Fact]) -> dict[str, Fact]:
    return {USUAL.get(name, f"datapusher.{name}"): value for name, value in facts.items()}
