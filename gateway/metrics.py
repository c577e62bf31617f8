"""What the gateway counts, for Prometheus. Labels are bounded: routes by their pattern, methods and statuses as they are."""

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"})
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Has a registry of its own, so that two gateways in one process do not count together."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "datapusher_http_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "datapusher_http_request_seconds", "Time to the answer.", ("method", "route"), registry=self.registry,
            buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 30),
        )  # fmt: skip
        self.jobs = Gauge("datapusher_jobs", "Jobs in the store.", ("state",), registry=self.registry)
        self.outbox = Gauge("datapusher_outbox_jobs", "Accepted jobs that the bus does not have yet.", registry=self.registry)
        self.outbox_age = Gauge(
            "datapusher_outbox_oldest_seconds", "Age of the oldest of them; 0 for none.", registry=self.registry
        )
        self.connected = Gauge("datapusher_bus_connected", "1 while the bus can be reached.", registry=self.registry)
        self.store_up = Gauge("datapusher_store_up", "1 when the store answered this scrape.", registry=self.registry)
        self._counters: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def answered(self, request: web.Request, status: int, seconds: float) -> None:
        counter, histogram = self._of(request, status)
        counter.inc()
        histogram.observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self.registry)

    def _of(self, request: web.Request, status: int) -> tuple[Counter, Histogram]:
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "unknown"
        method = request.method if request.method in METHODS else "other"
        key = (method, route, status)
        if key not in self._counters:
            counter = self._requests.labels(method, route, str(status))
            self._counters[key] = (counter, self._seconds.labels(method, route))
        return self._counters[key]
