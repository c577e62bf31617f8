"""Traces: contexts travel with or without OpenTelemetry, and nothing of it is imported unless it is asked for."""

import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from publisher.bus import HeaderValue, Message
from publisher.otel import OtelTracer
from publisher.tracing import Untraced, context_of, trace_id
from publisher.watch import start_tracing
from schemas.errors import BadSetting

ROOT = Path(__file__).parents[2]
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter: InMemorySpanExporter) -> OtelTracer:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return OtelTracer(provider)


def message(**headers: HeaderValue) -> Message:
    return Message(exchange="e", routing_key="k", body=b"", message_id="m", headers=headers)


def in_python(code: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60)


def test_a_span_is_a_child_of_what_the_message_carries(tracer: OtelTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.span("job", "consumer", TRACEPARENT, queue="q", job_id="j") as span:
        inside = span.traceparent
        span.stage("fetching", 1_700_000_000.0, 2.5)
    part, whole = exporter.get_finished_spans()
    assert whole.context and whole.parent and part.parent
    assert (f"{whole.context.trace_id:032x}", f"{whole.parent.span_id:016x}") == (TRACE, PARENT)
    assert inside == f"00-{TRACE}-{whole.context.span_id:016x}-01"
    assert part.parent.span_id == whole.context.span_id
    assert (part.start_time, part.end_time) == (1_700_000_000_000_000_000, 1_700_000_002_500_000_000)
    assert whole.attributes == {"messaging.destination.name": "q", "datapusher.job_id": "j"}


def test_without_a_parent_a_trace_begins(tracer: OtelTracer, exporter: InMemorySpanExporter) -> None:
    for nonsense in ("", "nonsense", f"00-{'0' * 32}-{PARENT}-01"):
        with tracer.span("job", "server", nonsense) as span:
            assert trace_id(span.traceparent)
    assert [span.parent for span in exporter.get_finished_spans()] == [None] * 3


def test_what_fails_is_a_failed_span(tracer: OtelTracer, exporter: InMemorySpanExporter) -> None:
    with pytest.raises(ZeroDivisionError), tracer.span("raises", "client", ""):
        raise ZeroDivisionError
    with tracer.span("told", "client", "") as span:
        span.fail("CKAN answered 403")
    raised, told = exporter.get_finished_spans()
    assert raised.status.status_code is told.status.status_code is StatusCode.ERROR
    assert told.status.description == "CKAN answered 403"


def test_a_context_is_passed_on_where_nothing_is_traced() -> None:
    with Untraced().span("job", "server", TRACEPARENT) as span:
        assert span.traceparent == TRACEPARENT


def test_a_header_that_is_no_context_is_none() -> None:
    assert context_of(message(traceparent=TRACEPARENT)) == TRACEPARENT
    for nonsense in ("", "x", 7, None, TRACEPARENT.upper(), f"00-{'0' * 32}-{PARENT}-01"):
        assert context_of(message(traceparent=nonsense)) == ""
    assert context_of(message()) == trace_id("") == ""


def test_traces_are_made_where_the_usual_variables_say_so() -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    assert isinstance(start_tracing({}, "worker"), Untraced)
    assert isinstance(start_tracing({**endpoint, "OTEL_SDK_DISABLED": "true"}, "worker"), Untraced)
    assert isinstance(start_tracing({**endpoint, "OTEL_TRACES_EXPORTER": "none"}, "worker"), Untraced)
    started = start_tracing(endpoint, "worker")
    assert isinstance(started, OtelTracer)
    started.close()
    with pytest.raises(BadSetting, match="OTEL_TRACES_EXPORTER: 'zipkin' is not otlp, console or none"):
        start_tracing({"OTEL_TRACES_EXPORTER": "zipkin"}, "worker")


def test_nothing_of_opentelemetry_is_imported_unless_it_is_asked_for() -> None:
    code = """
import sys
from publisher.watch import start_tracing
import consumer.worker, consumer.callback, consumer.recorder, gateway.app
start_tracing({}, "worker")
print(sorted(name for name in sys.modules if name.startswith("opentelemetry")))
"""
    assert in_python(code).stdout.strip() == "[]"


def test_without_the_package_a_warning_says_how_to_get_it() -> None:
    code = """
import logging, sys
sys.modules["opentelemetry"] = None
from publisher.watch import start_tracing
logging.basicConfig()
print(type(start_tracing({"OTEL_TRACES_EXPORTER": "otlp"}, "worker")).__name__)
"""
    told = in_python(code)
    assert told.stdout.strip() == "Untraced" and "pip install data-pusher[otel]" in told.stderr
