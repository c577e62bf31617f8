"""The page of metrics, from their table."""

from docs.generator.markdown import code, joined, table
from schemas.metrics import ALL, METRICS, Metric

INTRODUCTION = """# Metrics

Every figure for Prometheus, written by `make docs` from the table in the code. The gateway shows its own at
`GET /metrics`; workers and recorders do where `DATAPUSHER_METRICS_PORT` is set, with `/health/live` and
`/health/ready` beside. `datapusher up` shows those of all its roles at the gateway. With them come the usual
`process_…` figures (memory, CPU, open files).

The gauges that the gateway shows of the store and the bus are the same from each of several gateways: take their
`max`, not their `sum`. What workers and recorders count is each one's own: take the `sum`. Durations are in seconds.

`deploy/prometheus` has rules for alerts, `deploy/grafana` a dashboard; the [runbook](runbook.md) says what to do
about each alert.
"""


def page() -> str:
    return joined([INTRODUCTION, *table(("metric", "type", "labels", "shown by", "what it is"), map(_row, METRICS))])


def _row(metric: Metric) -> tuple[str, str, str, str, str]:
    roles = "all" if metric.roles == ALL else ", ".join(metric.roles)
    return code(metric.name), metric.type, ", ".join(map(code, metric.labels)), roles, metric.help
