"""The span of a request that brings a job, and the lines logged meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from gateway.service import service_of
from gateway.submission import Refused, trace_of
from publisher.tracing import trace_id
from schemas.logs import about


@contextmanager
def traced(request: web.Request) -> Iterator[str]:
    """Gives the trace context (W3C `traceparent`) for the job of *request*: child of the request's own, if it has one."""
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else request.path
    tracer, parent = service_of(request).watch.tracer, request.headers.get("traceparent", "")
    with tracer.span(f"{request.method} {route}", "server", parent, http_method=request.method, http_route=route) as span:
        context = trace_of(span.traceparent)
        with about(trace_id=trace_id(context)):
            try:
                yield context
            except Refused as error:
                span.note(http_status=error.status)
                raise
        span.note(http_status=200)
