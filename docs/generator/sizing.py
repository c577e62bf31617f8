"""The page on sizing: rules of thumb, and what the benchmarks last measured (bench/results.json)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docs.generator.markdown import joined, table

RESULTS = Path(__file__).parents[2] / "bench/results.json"
#: What a site is like, what it runs, and on what.
SITES = (
    ("up to some thousand resources, a few pushes an hour", "`datapusher up`, embedded, 2 slots", "2 cores, 4 GB, an SSD"),
    ("tens of thousands of resources, harvested every night", "1 gateway, 1 recorder, 2 workers with 2 slots, RabbitMQ,"
     " PostgreSQL", "4 cores, 8 GB, beside what RabbitMQ and PostgreSQL need"),
    ("a portal of portals, or other systems that publish", "2 gateways behind a proxy, 2 recorders, workers by the queue,"
     " a RabbitMQ cluster, PostgreSQL with a standby", "several machines"),
)  # fmt: skip
#: Place in the results -> what it is, and its unit.
ROWS = {
    "post_per_s": ("Jobs that one gateway accepts durably (RabbitMQ, PostgreSQL)", "jobs/s"),
    "post_p99_ms": ("… its slowest answer but one in a hundred, meanwhile", "ms"),
    "embedded.post_per_s": ("Jobs that one gateway accepts durably (embedded, SQLite)", "jobs/s"),
    "embedded.post_p99_ms": ("… its slowest answer but one in a hundred, meanwhile", "ms"),
    "recorder_per_s": ("Events that one recorder writes (PostgreSQL)", "events/s"),
    "embedded.recorder_per_s": ("Events that one recorder writes (SQLite)", "events/s"),
    "chain_per_s": ("Jobs that do nothing, from request to recorded end, all roles on this machine", "jobs/s"),
    "tolerant_mb_s": ("Reading a CSV file that the fast reader refuses, one core", "MB/s"),
    "read_peak_mb": ("Memory of a job that reads a large file", "MB"),
    "load_peak_mb": ("Memory of a job that loads a large file by COPY", "MB"),
    "dashboard.postgresql.overview, hour": ("The overview, of a million jobs (PostgreSQL), p95", "ms"),
    "dashboard.sqlite.overview, hour": ("The overview, of a million jobs (SQLite), p95", "ms"),
}
INTRODUCTION = """# Sizing

How many processes, how much memory, what to add when. The figures are those of `make bench`, written by `make docs`.

## Where to begin
"""
REST = """
## Slots

A slot runs one job at a time. A job waits for the network (fetching, CKAN's API) or for the DataStore's disk, or uses one
core for reading and typing; so **one slot for each core of the worker's machine**, two where the files' servers are slow.
More slots than that share the cores. In the end it is the DataStore that sets the limit: more loads at once than its
disk and its cores can serve wait there instead of in the queue.

The job that waits longest says whether there are enough (`datapusher_queue_oldest_seconds`); for how long slots were all
in use says `datapusher_workers_slots`.

## Memory

A gateway, a recorder and a worker that does nothing each take about 170 MB (90 MB of their own, the rest shared libraries),
and each idle slot about 150 MB (60 MB of its own), which is Polars and Arrow, ready for the next job. A job that reads or
loads by COPY needs what the table below says, nearly whatever the file's size; wide tables need more.
`DATAPUSHER_JOB_MEMORY` (4 GiB) is the limit at which a job is stopped: **slots times this limit, plus 512 MB**, is what a
worker can use at worst, and what its container should be allowed.

## Disk

- A worker needs room in `TMPDIR` for the file of each slot, packed and unpacked (`DATAPUSHER_MAX_CONTENT_LENGTH`,
  `DATAPUSHER_MAX_EXPANDED_LENGTH`).
- The store grows with jobs, their logs and rejected rows: `DELETE /job?days=30` once a day keeps it bounded.
- Every accepted job is synced to disk before it is answered. The store's and RabbitMQ's disks have to be SSDs, or have a
  battery: a disk that syncs in 10 ms sets the pace of all.
- Loading needs the table's size twice in the DataStore, as the old one stays until the new one is complete.

## Queues

RabbitMQ keeps queues on disk; a waiting job is about a kilobyte. Our policies stop at a million jobs waiting
(`max-length`, `reject-publish`): from there on the gateways' outbox takes the rest.

## Measured

"""


def page() -> str:
    found = json.loads(RESULTS.read_text())
    rows = [(words, _number(value), unit) for place, (words, unit) in ROWS.items() if (value := _at(found, place)) is not None]
    sites = table(("site", "run", "on"), SITES)
    return joined([INTRODUCTION, *sites, REST, _machine(found["machine"]), "", *table(("what", "figure", "unit"), rows)])


def _machine(facts: Mapping[str, Any]) -> str:
    return (
        f"On one small machine, everything on it at once: {facts['cores']} processors, {facts['system']}, Python"
        f" {facts['python']}, {facts['date']}, load {facts['load']:.1f} at the start. Take them as what the least of machines"
        " can do; only their ratios are compared between versions (`bench/results.json`)."
    )


def _at(found: Mapping[str, Any], place: str) -> float | None:
    value: Any = found
    for part in place.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value if isinstance(value, int | float) else None


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:g}"
