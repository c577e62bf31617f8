"""How fast the dashboard's reads are with a million jobs in the store, on SQLite and on PostgreSQL.

    python bench/dashboard.py [--jobs 1000000] [--times 40] [--database postgresql://…] [--keep FOLDER]

Fills a store of its own with jobs of the last 30 days (5 % failed, 200 CKANs of very different sizes, one job in seven of
the resource that came before), and reads each view as its page does, all its queries together, in turn. Prints p50 and
p95 in milliseconds; merges the p95 into bench/results.json as `dashboard`: {store: {view: milliseconds}}.
"""

import argparse
import contextlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, Engine, select, text

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from gateway import queries as gateway_queries  # noqa: E402
from gateway.ui import charts, job_search, pages, queries  # noqa: E402
from gateway.ui.job_search import Place, Wanted  # noqa: E402
from schemas.store import open_store, reading, store_url  # noqa: E402
from schemas.tables import jobs  # noqa: E402
from tests.services import own_database  # noqa: E402

DAYS = 30
ERRORS = (
    "The file is a PDF, not a table.", "CKAN answered 403 Forbidden to datastore_create.",
    "Connection refused after 5 attempts.", "More than 5 % of the rows were rejected.",
)  # fmt: skip
RARE = "row 4711 has 3 cells, the header has 12"
RESOURCE = "11111111-2222-4333-8444-555555555555"

#: All rows are made inside the database: a million INSERTs from here would take most of an hour on a busy machine.
ON_POSTGRESQL = """
INSERT INTO jobs (job_id, job_type, state, sequence, attempt, requested_at, started_at, finished_at, resource_id, ckan_url,
                  metadata, data, error, error_text, worker)
SELECT md5(n::text)::uuid, 'push_to_datastore', state, 1900000, 1, asked, asked + '2 s', ended,
       CASE WHEN n % 5000 = 0 THEN :resource ELSE md5((n / 7)::text)::uuid::text END,
       'https://ckan' || floor(200 * pow(h / 1000.0, 3)) || '.example.org', CAST(:metadata AS json),
       CASE WHEN state = 'complete' THEN CAST(:report AS json) END,
       CASE WHEN state = 'error' THEN json_build_object('message', error) END, CASE WHEN state = 'error' THEN error END,
       '/worker/host-1/4711/1'
FROM (SELECT n, h, state, asked, CASE WHEN state IN ('complete', 'error') THEN asked + '12 s' END AS ended,
             CASE WHEN n = :rare THEN :rare_error ELSE (CAST(:errors AS json)) ->> CAST(n / 20 % 4 AS integer) END AS error
      FROM (SELECT n, (n * CAST(7919 AS bigint)) % 1000 AS h,
                   CAST(:now AS timestamp) - n * CAST(:step AS double precision) * interval '1 s' AS asked,
                   CASE WHEN n < 500 THEN 'queued' WHEN n < 510 THEN 'running' WHEN n % 20 = 3 THEN 'error' ELSE 'complete' END
                   AS state
            FROM generate_series(1, :jobs) AS n) AS numbered) AS jobs_to_be
"""
ON_SQLITE = """
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :jobs),
numbered AS (SELECT n, (n * 7919) % 1000 AS h, (n * 2654435761) % 4294967296 AS mixed,
                    ((n / 7) * 2654435761) % 4294967296 AS other,
                    strftime('%Y-%m-%d %H:%M:%f', :now, '-' || (n * :step) || ' seconds') || '000' AS asked,
                    CASE WHEN n < 500 THEN 'queued' WHEN n < 510 THEN 'running' WHEN n % 20 = 3 THEN 'error' ELSE 'complete' END
                    AS state
             FROM numbers)
INSERT INTO jobs (job_id, job_type, state, sequence, attempt, requested_at, started_at, finished_at, resource_id, ckan_url,
                  metadata, data, error, error_text, worker)
SELECT printf('%08x-0000-4000-8000-%012x', mixed, n), 'push_to_datastore', state, 1900000, 1, asked, asked,
       CASE WHEN state IN ('complete', 'error') THEN asked END,
       CASE WHEN n % 5000 = 0 THEN :resource ELSE printf('%08x-0000-4000-8000-%012x', other, n / 7) END,
       'https://ckan' || CAST(200 * (h / 1000.0) * (h / 1000.0) * (h / 1000.0) AS INTEGER) || '.example.org', :metadata,
       CASE WHEN state = 'complete' THEN :report END,
       CASE WHEN state = 'error' THEN '{"message": "failed"}' END,
       CASE WHEN state = 'error' THEN CASE WHEN n = :rare THEN :rare_error ELSE :errors ->> (n / 20 % 4) END END,
       '/worker/host-1/4711/1'
FROM numbered
"""
CLAIMS = """
INSERT INTO claims (job_id, resource_key, starts, running, owner, changed_at, lease_until)
SELECT job_id, 'https://ckan ' || job_id, 1, state = 'running',
       CASE WHEN state = 'running' THEN '/worker/host-1/4711/1' END, requested_at, requested_at
FROM jobs WHERE state <> 'queued'
"""
View = Callable[[Connection], object]


def main() -> None:
    arguments = _arguments()
    told: dict[str, dict[str, float]] = {}
    stores = {"sqlite": _sqlite_store, "postgresql": _postgresql_store}
    for name, store in stores.items():
        if arguments.only not in ("", name):
            continue
        with store(arguments) as url:
            engine = open_store(url)
            _fill(engine, arguments.jobs)
            told[name] = _measured(engine, arguments.jobs, arguments.times)
            engine.dispose()
    _merge(told)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=40)
    parser.add_argument("--database", default="postgresql://postgres@127.0.0.1/postgres")
    parser.add_argument("--only", default="", help="sqlite or postgresql; the other's figures stay as they are.")
    parser.add_argument("--keep", type=Path, help="Folder whose store.db is used again where it is filled already.")
    return parser.parse_args()


@contextlib.contextmanager
def _sqlite_store(arguments: argparse.Namespace) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{arguments.keep or folder}/store.db"


@contextlib.contextmanager
def _postgresql_store(arguments: argparse.Namespace) -> Iterator[str]:
    with own_database(arguments.database) as url:
        yield store_url(url, "")


def _fill(engine: Engine, count: int) -> None:
    """The reports are as long as those of a table with ten columns."""
    column = {"name": "a", "ckan": "numeric", "profile": {"distinct": 10, "frequent": [["x", 1]] * 10}}
    values = {
        "jobs": count, "now": _now().isoformat(" ", "seconds"), "step": DAYS * 86400 / count, "resource": RESOURCE,
        "metadata": json.dumps({"resource_id": "x" * 36, "ckan_url": "https://ckan.example.org", "original_url": "u" * 100}),
        "report": json.dumps({"rows": 1000, "columns": [column] * 10}), "errors": json.dumps(ERRORS),
        "rare": count // 20 * 18 + 3, "rare_error": RARE,
    }  # fmt: skip
    started = time.monotonic()
    with engine.begin() as connection:
        if connection.execute(text("SELECT 1 FROM jobs LIMIT 1")).first():
            return
        connection.execute(text(ON_POSTGRESQL if engine.dialect.name == "postgresql" else ON_SQLITE), values)
        connection.execute(text(CLAIMS))
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))  # what autovacuum does within minutes
    print(f"{engine.dialect.name}: {count:,} jobs in {time.monotonic() - started:.0f} s", flush=True)


def _measured(engine: Engine, count: int, times: int) -> dict[str, float]:
    """p95 by view, in milliseconds."""
    views = _views(engine, count)
    taken: dict[str, list[float]] = {name: [] for name in views}
    for number in range(times + 2):
        for name, view in views.items():
            with reading(engine) as connection:
                started = time.perf_counter()
                view(connection)
                if number > 1:
                    taken[name].append((time.perf_counter() - started) * 1000)
    result = {}
    for name, figures in taken.items():
        figures.sort()
        result[name] = round(figures[int(len(figures) * 0.95)], 1)
        print(
            f"{engine.dialect.name:10} {name:34} p50 {figures[len(figures) // 2]:7.1f} ms   p95 {result[name]:7.1f} ms",
            flush=True,
        )
    return result


def _views(engine: Engine, count: int) -> dict[str, View]:
    """Each page of the dashboard, and the lists of jobs somebody looks for at night."""
    with reading(engine) as connection:
        places = select(jobs.c.requested_at, jobs.c.job_id).order_by(jobs.c.requested_at.desc(), jobs.c.job_id.desc())
        deep = Place(*connection.execute(places.offset(count * 9 // 10).limit(1)).one())
        some = connection.execute(select(jobs.c.job_id).where(jobs.c.state == "error").limit(100)).scalars().all()
    day = _now() - timedelta(days=20)
    lists = {
        "newest": Wanted(), "after 900,000 others": Wanted(before=deep), "state error": Wanted(state="error"),
        "state complete, deep": Wanted(state="complete", before=deep), "failed": Wanted(state="failed"),
        "unfinished": Wanted(state="unfinished"), "resource": Wanted(resource_id=RESOURCE),
        "CKAN": Wanted(ckan_url="https://ckan0.example.org"), "a day": Wanted(since=day, until=day + timedelta(days=1)),
        "CKAN and error": Wanted(ckan_url="https://ckan150.example.org", state="error"),
        "CKAN and complete": Wanted(ckan_url="https://ckan199.example.org", state="complete"),
        "error text, common": Wanted(error="forbidden"), "error text, rare": Wanted(error="row 4711"),
        "error text, none": Wanted(error="no such words", state="error", ckan_url="https://ckan3.example.org"),
    }  # fmt: skip
    views: dict[str, View] = {f"jobs: {name}": partial(_jobs, wanted=wanted) for name, wanted in lists.items()}
    return views | {
        "overview, hour": lambda connection: queries.activity(connection, _now(), _edges(pages.RANGES["hour"])),
        "overview, day": lambda connection: queries.activity(connection, _now(), _edges(pages.RANGES["day"])),
        "job": lambda connection: _job(connection, random.choice(some)),
        "resource": lambda connection: queries.newest_loads(connection, RESOURCE, 30),
    }


def _jobs(connection: Connection, wanted: Wanted) -> None:
    job_search.find(connection, wanted)
    queries.known_ckans(connection)


def _edges(shown: pages.Range) -> list[datetime]:
    return charts.edges(_now() - shown.span, _now(), shown.width)


def _job(connection: Connection, job_id: str) -> None:
    gateway_queries.job_and_log(connection, job_id, 1000)
    queries.job_facts(connection, job_id)
    queries.first_rejects(connection, job_id, 100)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _merge(told: dict[str, dict[str, float]]) -> None:
    path = HERE / "results.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    known["dashboard"] = {**known.get("dashboard", {}), **told}
    path.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
