"""What this gateway counts of its own work, for Prometheus: routes by their pattern, methods and statuses as they are."""

from collections.abc import Collection

from aiohttp import web
from prometheus_client import Counter, Histogram

from gateway.gauges import Gauges
from schemas.metrics import Figures, bounded

METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"})


class Metrics:
    """The gateway's part of *figures*."""

    def __init__(self, figures: Figures, job_types: Collection[str]) -> None:
        self.figures = figures
        self.gauges = Gauges(figures, job_types)
        self._job_types = job_types
        self._requests = figures.counter("datapusher_http_requests_total")
        self._seconds = figures.histogram("datapusher_http_request_seconds")
        self._accepted = figures.counter("datapusher_jobs_accepted_total")
        self.streams = figures.gauge("datapusher_streams")
        self.connected = figures.gauge("datapusher_bus_connected").labels("gateway")
        self._counters: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def answered(self, request: web.Request, status: int, seconds: float) -> None:
        counter, histogram = self._of(request, status)
        counter.inc()
        histogram.observe(seconds)

    def accepted(self, job_type: str) -> None:
        self._accepted.labels(bounded(job_type, self._job_types)).inc()

    def _of(self, request: web.Request, status: int) -> tuple[Counter, Histogram]:
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "unknown"
        method = bounded(request.method, METHODS)
        key = (method, route, status)
        if key not in self._counters:
            counter = self._requests.labels(method, route, str(status))
            self._counters[key] = (counter, self._seconds.labels(method, route))
        return self._counters[key]
