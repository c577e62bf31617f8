"""A collector of traces: takes OTLP over HTTP, as an OpenTelemetry collector does, and keeps the spans."""

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    name: str
    kind: int
    #: Hexadecimal; *parent_id* is "" for none.
    trace_id: str
    span_id: str
    parent_id: str
    role: str
    failed: bool
    start_ns: int
    end_ns: int
    facts: dict[str, object]


class Collector:
    """A context that listens at `url`."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        spans = self.spans

        class Answers(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                spans.extend(_spans(ExportTraceServiceRequest.FromString(body)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *about: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "Collector":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def named(self, name: str) -> list[Span]:
        return [span for span in list(self.spans) if span.name == name]


def _spans(request: ExportTraceServiceRequest) -> list[Span]:
    return [
        Span(
            name=span.name, kind=span.kind, trace_id=span.trace_id.hex(), span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(), role=str(_facts(resource.resource.attributes)["datapusher.role"]),
            failed=span.status.code == 2, start_ns=span.start_time_unix_nano, end_ns=span.end_time_unix_nano,
            facts=_facts(span.attributes),
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]  # fmt: skip


def _facts(attributes: object) -> dict[str, object]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}  # type: ignore[attr-defined]
