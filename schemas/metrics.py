"""Every figure that Prometheus can read, in one table, and the object that counts them; `docs/metrics.md` is made of it.

Labels are bounded: job types, queues, routes and stages are those of the code, never what a client or a file chose.
"""

from collections.abc import Collection
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics import MetricWrapperBase

#: Of the answers that `Figures.text` makes.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: What a label says where the value is none that was known at the start.
OTHER = "other"

HTTP_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 30)
JOB_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
CALL_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


@dataclass(frozen=True)
class Metric:
    """A row of the table. *roles* are the processes that show it, *buckets* those of a histogram, in seconds."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    roles: tuple[str, ...] = ("gateway",)
    buckets: tuple[float, ...] = ()


GATEWAY, WORKER, RECORDER = ("gateway",), ("worker",), ("recorder",)
ALL = (*GATEWAY, *WORKER, *RECORDER)

METRICS = (
    Metric("datapusher_info", "gauge", "Always 1; says which role runs here, in which version.", ("role", "version"), ALL),
    Metric("datapusher_bus_connected", "gauge", "1 while the bus can be reached.", ("role",), ALL),
    # What is asked of the gateway
    Metric("datapusher_http_requests_total", "counter", "Requests answered.", ("method", "route", "status")),
    Metric("datapusher_http_request_seconds", "histogram", "Time to the answer.", ("method", "route"), buckets=HTTP_S),
    Metric("datapusher_streams", "gauge", "Requests that last: streams of events, and those that wait for a synchronous job."),
    Metric("datapusher_jobs_accepted_total", "counter", "Jobs that this gateway has accepted.", ("job_type",)),
    # What the whole service does, as the store and the bus tell it; the same from every gateway
    Metric("datapusher_store_up", "gauge", "1 when the store answered this scrape; else the figures from it are old."),
    Metric("datapusher_jobs", "gauge", "Jobs that have not ended, and dead ones, by state.", ("state",)),
    Metric("datapusher_outbox_jobs", "gauge", "Accepted jobs that the bus does not have yet."),
    Metric("datapusher_outbox_oldest_seconds", "gauge", "Age of the oldest of them; 0 for none."),
    Metric("datapusher_queue_messages", "gauge", "Messages that wait in a queue; NaN while the bus does not tell.", ("queue",)),
    Metric("datapusher_queue_oldest_seconds", "gauge", "How long the oldest job of a type has waited; 0 for none.",
           ("job_type",)),
    Metric("datapusher_claims_running", "gauge",
           "Jobs that workers hold: `held`, and `expired` where the worker is gone or hangs.", ("state",)),
    Metric("datapusher_workers", "gauge", "Workers that have told within three beats that they live."),
    Metric("datapusher_workers_slots", "gauge", "Slots of those workers, `busy` and `free`.", ("state",)),
    # What one worker does
    Metric("datapusher_slots", "gauge", "Slots of this worker.", roles=WORKER),
    Metric("datapusher_slots_busy", "gauge", "Those that have a job in hand.", roles=WORKER),
    Metric("datapusher_claims_total", "counter", "Deliveries by what the claim said: `taken`, `busy`, `finished`, `cancelled`,"
           " `poison`.", ("result",), WORKER),
    Metric("datapusher_attempts_total", "counter", "Attempts by how they ended: `complete`, `error`, `cancelled`, `dead`,"
           " `retry`, `drained`, `lost`.", ("job_type", "outcome"), WORKER),
    Metric("datapusher_jobs_finished_total", "counter", "Jobs that this worker brought to their end.", ("job_type", "outcome"),
           WORKER),
    Metric("datapusher_attempt_seconds", "histogram", "How long attempts took.", ("job_type",), WORKER, JOB_S),
    Metric("datapusher_stage_seconds", "histogram", "How long their stages took.", ("job_type", "stage"), WORKER, JOB_S),
    Metric("datapusher_file_bytes_total", "counter", "Bytes of the files that were loaded.", ("job_type",), WORKER),
    Metric("datapusher_rows_total", "counter", "Rows of those files: `loaded`, `rejected`.", ("job_type", "result"), WORKER),
    Metric("datapusher_callbacks_total", "counter", "Tries to deliver a callback: `delivered`, `retrying`, `dead`.", ("state",),
           WORKER),
    Metric("datapusher_callback_seconds", "histogram", "Time to the answer to a callback.", (), WORKER, CALL_S),
    # What one recorder does
    Metric("datapusher_recorded_total", "counter", "Messages written to the store, copies included; `job` for published jobs.",
           ("kind",), RECORDER),
    Metric("datapusher_record_seconds", "histogram", "Time to write one batch.", (), RECORDER, CALL_S),
    Metric("datapusher_record_lag_seconds", "gauge", "Age of the oldest event of the last batch when it was written.",
           roles=RECORDER),
    Metric("datapusher_record_failures_total", "counter", "Batches that the store did not take; they are tried again.",
           roles=RECORDER),
    Metric("datapusher_unrecorded_total", "counter", "Messages laid with the dead because they cannot be recorded.",
           roles=RECORDER),
)  # fmt: skip


class Figures:
    """The figures of one process; a metric is there from its first use on. May be used from any thread.

    Has a registry of its own, so that two services in one process do not count together.
    """

    def __init__(self) -> None:
        # Else each counter comes with the time of its first use.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._table = {metric.name: metric for metric in METRICS}
        self._made: dict[str, MetricWrapperBase] = {}
        ProcessCollector(registry=self._registry)

    def counter(self, name: str) -> Counter:
        made = self._get(name, Counter)
        assert isinstance(made, Counter)
        return made

    def gauge(self, name: str) -> Gauge:
        made = self._get(name, Gauge)
        assert isinstance(made, Gauge)
        return made

    def histogram(self, name: str) -> Histogram:
        made = self._get(name, Histogram)
        assert isinstance(made, Histogram)
        return made

    def says(self, role: str) -> None:
        """What this process is."""
        self.gauge("datapusher_info").labels(role, version()).set(1)

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self._registry)

    def _get(self, name: str, kind: type[MetricWrapperBase]) -> MetricWrapperBase:
        made = self._made.get(name)
        if made is None:
            metric = self._table[name]
            options = {"buckets": metric.buckets} if metric.buckets else {}
            made = self._made[name] = kind(name, metric.help, metric.labels, registry=self._registry, **options)  # type: ignore[arg-type]
        return made


def version() -> str:
    """That of this Data Pusher."""
    return files("schemas").joinpath("VERSION").read_text().strip()


def bounded(word: str, known: Collection[str]) -> str:
    """A label's value: *word* where it is one of *known*."""
    return word if word in known else OTHER


class Words:
    """The first *most* different words that come, for labels whose values the code chooses, but not ours."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()

    def bounded(self, word: str) -> str:
        if len(self._known) < self._most:
            self._known.add(word)
        return bounded(word, self._known)
