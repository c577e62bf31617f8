"""How fast a file gets into a DataStore by COPY, against what PostgreSQL needs at least and against XLoader's way.

    python bench/load.py [--rows 1000000] [--times 1] [--ways ours,xloader] [--no-growth] [--database URL]

Makes a database of its own and drops it. All ways (load_ways.py) load the same CSV file, 20 mixed columns, and are timed
in turn, so that a slow moment of the machine hits all of them; the median of the rounds' ratios counts. XLoader's way
keeps one core busy and ours all: on a machine that is busy already the two come closer. Merges into bench/results.json,
of the ways that were asked for:

    copy_vs_psql      our seconds, file to finished table, over those of `psql \\copy` into a plain text table
    copy_vs_ctas      … over those of the bare CTAS sequence: \\copy into staging, CREATE TABLE AS with casts and full text,
                      key, trigger, GiST, rename; the same result, with the types known beforehand
    copy_vs_xloader   XLoader's seconds over ours, both without the full-text index (GiST): it costs both alike, and
                      PostgreSQL cannot build it in parallel
    copy_vs_xloader_with_index      the same with it
    copy_table_vs_xloader           MB of our table over those of XLoader's, indexes apart
    copy_table_vs_ckan              … over those of a table that was filled through CKAN's trigger (way `ckans_own`)
    load_peak_mb      largest memory of the process that loads
    load_growth       our seconds a row at 1,000,000 rows over those at 10,000, start-up apart and without
                      the full-text index; load_growth_with_index with it. Draws bench/load.svg
"""

import argparse
import multiprocessing
import resource
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit, urlunsplit

import load_ways
import psycopg2
from load_plot import add_points
from read import DATA, HERE, make_csv, merge

sys.path.insert(0, str(HERE.parent))

#: Ways and the tables that they make.
WAYS = {"ours": "ours", "bare_ctas": "ctas", "xloader": "xloaded", "psql_copy": "plain"}
MORE_WAYS = {"ckans_own": "inserted"}
GROWTH_ROWS = (1_000, 10_000, 100_000, 1_000_000)


@dataclass(frozen=True)
class Run:
    """*index_seconds* of its *seconds* are those of the full-text index; *table_mb* without indexes."""

    seconds: float
    index_seconds: float
    peak_mb: float
    table_mb: float

    @property
    def before_index(self) -> float:
        return self.seconds - self.index_seconds

    def __str__(self) -> str:
        return f"{self.seconds:6.2f} s, of it index {self.index_seconds:5.2f}; table {self.table_mb:,.0f} MB"


Round = Mapping[str, Run]


def timed(name: str, path: Path, url: str) -> Run:
    """In a process of its own, on a server that has written down what came before; imports are not timed."""
    execute(url, "CHECKPOINT")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        seconds, index_seconds, peak_mb = pool.apply(_measured, (getattr(load_ways, name), path, url))
    table = (WAYS | MORE_WAYS)[name]
    run = Run(seconds, index_seconds, peak_mb, execute(url, f"SELECT pg_table_size('{table}') / 1e6"))
    execute(url, f"DROP TABLE {table}")
    print(f"{name:10} {run}", flush=True)
    return run


def _measured(way: Callable[[Path, str], float], path: Path, url: str) -> tuple[float, float, float]:
    import consumer.push.load_copy
    import consumer.push.read  # noqa: F401

    started = time.perf_counter()
    index_seconds = way(path, url)
    seconds = time.perf_counter() - started
    return seconds, index_seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


#: Figure -> the two ways that it compares, and what of them.
FIGURES: Mapping[str, tuple[str, str, Callable[[Run], float]]] = {
    "copy_vs_psql": ("ours", "psql_copy", lambda run: run.seconds),
    "copy_vs_ctas": ("ours", "bare_ctas", lambda run: run.seconds),
    "copy_vs_ctas_before_index": ("ours", "bare_ctas", lambda run: run.before_index),
    "copy_vs_xloader": ("xloader", "ours", lambda run: run.before_index),
    "copy_vs_xloader_with_index": ("xloader", "ours", lambda run: run.seconds),
    "copy_table_vs_xloader": ("ours", "xloader", lambda run: run.table_mb),
    "copy_table_vs_ckan": ("ours", "ckans_own", lambda run: run.table_mb),
}


def compared(rounds: Sequence[Round]) -> dict[str, float]:
    """Each figure whose two ways were run: the median of the rounds."""
    figures = {}
    for figure, (way, other, part) in FIGURES.items():
        ratios = [part(one[way]) / part(one[other]) for one in rounds if way in one and other in one]
        if ratios:
            figures[figure] = round(median(ratios), 3)
    return figures


def growth(url: str, times: int) -> dict[str, float]:
    """Times ours at several sizes, the fastest of some runs each."""
    runs = {}
    for rows in GROWTH_ROWS:
        path = file_of(rows)
        runs[rows] = min(
            (timed("ours", path, url) for _ in range(times if rows < 1_000_000 else 1)), key=lambda run: run.seconds
        )
    add_points("COPY", {rows: rows / run.seconds for rows, run in runs.items()})
    add_points("COPY, full-text index apart", {rows: rows / run.before_index for rows, run in runs.items()})
    return {
        "load_growth": _growth({rows: run.before_index for rows, run in runs.items()}),
        "load_growth_with_index": _growth({rows: run.seconds for rows, run in runs.items()}),
    }


def _growth(seconds: Mapping[int, float]) -> float:
    few, some, _, many = GROWTH_ROWS
    fixed = seconds[few]
    return round((seconds[many] - fixed) / (many - few) / ((seconds[some] - fixed) / (some - few)), 2)


def file_of(rows: int) -> Path:
    path = DATA / f"read_{rows}.csv"
    make_csv(path, rows)
    return path


@contextmanager
def own_database(server: str) -> Iterator[str]:
    name = f"bench_load_{uuid.uuid4().hex[:8]}"
    execute(server, f"CREATE DATABASE {name}")
    url = str(urlunsplit(urlsplit(server)._replace(path=f"/{name}")))
    try:
        execute(url, load_ways.TRIGGER)
        yield url
    finally:
        execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def _turned(ways: list[str], number: int) -> list[str]:
    """Each round begins with another one: the first is timed when nothing is warm."""
    first = number % len(ways) if ways else 0
    return ways[first:] + ways[:first]


def execute(url: str, statement: str) -> float:
    """The number that a query gives, 0.0 of other statements."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statement)
        (found,) = (cursor.fetchone() or (0,)) if cursor.description else (0,)
    connection.close()
    return float(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--ways", default=",".join(WAYS), help=f"of {', '.join(WAYS | MORE_WAYS)}")
    parser.add_argument(
        "--growth", action=argparse.BooleanOptionalAction, default=True, help="1,000 to 1,000,000 rows by our way"
    )
    parser.add_argument("--database", default="postgresql://postgres@127.0.0.1/postgres", help="a superuser's")
    arguments = parser.parse_args()
    ways = [way for way in arguments.ways.split(",") if way]
    with own_database(arguments.database) as url:
        path = file_of(arguments.rows)
        rounds = [{way: timed(way, path, url) for way in _turned(ways, number)} for number in range(arguments.times)]
        figures = compared(rounds)
        if arguments.growth:
            figures |= growth(url, max(arguments.times, 3))
    if peaks := [one["ours"].peak_mb for one in rounds if "ours" in one]:
        figures["load_peak_mb"] = round(max(peaks))
    print(figures)
    merge(figures)


if __name__ == "__main__":
    main()
