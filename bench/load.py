"""How fast a file gets into a DataStore by COPY, against what PostgreSQL needs at least and against XLoader's way.

    python bench/load.py [--rows 100000] [--times 3] [--growth] [--database postgresql://postgres@127.0.0.1/postgres]

Makes a database of its own and drops it. All ways load the same CSV file and are timed in turn, so that a slow moment of
the machine hits all of them; the median of the rounds' ratios counts. XLoader's way keeps one core busy and ours all: on
a machine that is busy already the two come closer. Merges into bench/results.json:

    copy_vs_psql      our seconds, file to finished table, over those of `psql \\copy` into a plain text table
    copy_vs_ctas      … over those of \\copy into staging, CREATE TABLE AS with casts and full text, key, trigger, GiST,
                      rename: the same result by bare SQL, with the types known beforehand
    copy_vs_xloader   XLoader's seconds over ours: text columns, \\copy, UPDATE for the full text, GiST
    copy_vs_xloader_before_index    the same without the GiST index, which costs both alike and which PostgreSQL cannot
                      build in parallel
    load_peak_mb      largest memory of the process that loads
    load_growth       (--growth) seconds a row at 1,000,000 rows over those at 10,000, start-up apart; bench/load.svg
"""

import argparse
import multiprocessing
import resource
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit, urlunsplit

import psycopg2
from read import DATA, HERE, make_csv, merge

sys.path.insert(0, str(HERE.parent))

TRIGGER = """
CREATE FUNCTION populate_full_text_trigger() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
    IF NEW._full_text IS NULL THEN
        NEW._full_text := (SELECT to_tsvector(string_agg(value, ' ')) FROM json_each_text(row_to_json(NEW.*))
                           WHERE NOT starts_with(key, '_'));
    END IF;
    RETURN NEW;
END $f$;
CREATE VIEW "_table_metadata" AS SELECT relname AS name FROM pg_class WHERE relkind = 'r';
CREATE TABLE "_table_stats" (resource_id name PRIMARY KEY, stats jsonb NOT NULL)"""
ZFULLTEXT = (
    "CREATE TRIGGER zfulltext BEFORE INSERT OR UPDATE ON {0} FOR EACH ROW EXECUTE PROCEDURE populate_full_text_trigger()"
)
#: What our reader finds out; the bare ways are given it.
TYPES = {
    "id": "numeric", "lat": "numeric", "lon": "numeric", "amount": "numeric", "share": "numeric", "count": "numeric",
    "rate": "numeric", "opened": "timestamp", "updated": "timestamp", "seen_at": "timestamp",
}  # fmt: skip
WORKERS = 8
#: Rows that XLoader updates at a time.
UPDATED_ROWS = 100_000


# ------------------------------------------------------------------------------------------------------------ the ways


def ours(path: Path, url: str) -> None:
    from consumer.push.load import Target
    from consumer.push.load_copy import CopyLoader
    from consumer.push.options import Options
    from consumer.push.read import read
    from consumer.push.table import DelimitedText
    from consumer.report import Report, logging_outlet

    table = read(DelimitedText(path), Options())
    CopyLoader(url, None).load(table, Target(resource_id="ours"), Report(logging_outlet))
    found = {column.name: column.ckan for column in table.columns if column.ckan != "text"}
    assert found == TYPES, found


def ours_before_index(path: Path, url: str) -> None:
    import consumer.push.replacing

    # A process of its own (timed), so nothing else sees this.
    vars(consumer.push.replacing)["full_text_indexes"] = lambda *_: []
    ours(path, url)


def psql_copy(path: Path, url: str) -> None:
    names = names_of(path)
    psql(url, f"CREATE TABLE plain ({texts(names)})", copy("plain", path))


def bare_ctas(path: Path, url: str) -> None:
    names = names_of(path)
    values = [f"nullif({name}, 'NA')::{TYPES[name]}" if name in TYPES else name for name in names]
    words = [f"replace(({value})::text, ' ', 'T')" if TYPES.get(name) == "timestamp" else f"({value})::text"
             for name, value in zip(names, values, strict=True)]  # fmt: skip
    columns = ", ".join(f"{value} AS {name}" for name, value in zip(names, values, strict=True))
    psql(
        url,
        "BEGIN; SET LOCAL datestyle = 'ISO, DMY'; SET LOCAL jit = off",
        f"CREATE UNLOGGED TABLE _stg (_id serial, {texts(names)})",
        copy(f"_stg ({', '.join(names)})", path),
        f"""SET LOCAL max_parallel_workers_per_gather = {WORKERS}; SET LOCAL parallel_setup_cost = 0;
        SET LOCAL parallel_tuple_cost = 0; ALTER TABLE _stg SET (parallel_workers = {WORKERS})""",
        f"CREATE TABLE _new AS SELECT _id, to_tsvector(concat_ws(' ', {', '.join(words)})) AS _full_text, {columns} FROM _stg",
        "DROP TABLE _stg; ALTER TABLE _new ADD PRIMARY KEY (_id)",
        "CREATE SEQUENCE new_id OWNED BY _new._id; ALTER TABLE _new ALTER _id SET DEFAULT nextval('new_id')",
        ZFULLTEXT.format("_new"),
        "CREATE INDEX ON _new USING gist (_full_text)",
        "ALTER TABLE _new RENAME TO ctas; COMMIT",
    )


def xloader(path: Path, url: str) -> None:
    """The SQL of ckanext-xloader's COPY mode (2.x), without CKAN around it; nothing is typed."""
    xloader_before_index(path, url)
    psql(url, "CREATE INDEX ON xloaded USING gist (_full_text)")


def xloader_before_index(path: Path, url: str) -> None:
    names = names_of(path)
    with path.open("rb") as file:
        rows = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    words = " || ' ' || ".join(f"coalesce({name}, '')" for name in names)
    updates = [
        f"UPDATE xloaded SET _full_text = to_tsvector({words}) WHERE _id BETWEEN {start + 1} AND {start + UPDATED_ROWS}"
        for start in range(0, rows, UPDATED_ROWS)
    ]
    psql(
        url,
        f"CREATE TABLE xloaded (_id serial PRIMARY KEY, _full_text tsvector, {texts(names)}); {ZFULLTEXT.format('xloaded')}",
        "ALTER TABLE xloaded DISABLE TRIGGER zfulltext",
        copy(f"xloaded ({', '.join(names)})", path),
        *updates,
        "ALTER TABLE xloaded ENABLE TRIGGER zfulltext",
        "ANALYZE xloaded",
    )


def names_of(path: Path) -> list[str]:
    with path.open(encoding="utf-8") as file:
        return file.readline().strip().split(",")


def texts(names: list[str]) -> str:
    return ", ".join(f"{name} text" for name in names)


def copy(table: str, path: Path) -> str:
    return f"\\copy {table} FROM '{path}' WITH (FORMAT csv, HEADER)"


def psql(url: str, *commands: str) -> None:
    arguments = [part for command in commands for part in ("-c", command)]
    subprocess.run(["psql", url, "-qX", "-v", "ON_ERROR_STOP=1", *arguments], check=True)


# -------------------------------------------------------------------------------------------------------------- timing


@dataclass(frozen=True)
class Run:
    seconds: float
    peak_mb: float


def timed(way: Callable[[Path, str], None], path: Path, url: str) -> Run:
    """In a process of its own, on a server that has written down what came before; imports are not timed."""
    execute(url, "CHECKPOINT")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        run = pool.apply(_measured, (way, path, url))
    execute(url, "DROP TABLE IF EXISTS ours, plain, ctas, xloaded")
    return run


def _measured(way: Callable[[Path, str], None], path: Path, url: str) -> Run:
    import consumer.push.load_copy
    import consumer.push.read  # noqa: F401

    started = time.perf_counter()
    way(path, url)
    seconds = time.perf_counter() - started
    return Run(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def in_turn(path: Path, url: str, times: int) -> list[dict[str, Run]]:
    """Rounds: a run of each way, by its name."""
    ways = (ours, bare_ctas, xloader, psql_copy, ours_before_index, xloader_before_index)
    rounds = []
    for _ in range(times):
        rounds.append({way.__name__: timed(way, path, url) for way in ways})
        print("   ".join(f"{name} {run.seconds:.2f} s" for name, run in rounds[-1].items()), flush=True)
    return rounds


def ratio(rounds: list[dict[str, Run]], way: str, other: str) -> float:
    return median(round_[way].seconds / round_[other].seconds for round_ in rounds)


@contextmanager
def own_database(server: str) -> Iterator[str]:
    name = f"bench_load_{uuid.uuid4().hex[:8]}"
    execute(server, f"CREATE DATABASE {name}")
    url = str(urlunsplit(urlsplit(server)._replace(path=f"/{name}")))
    try:
        execute(url, TRIGGER)
        yield url
    finally:
        execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def execute(url: str, statement: str) -> None:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()


# ---------------------------------------------------------------------------------------------------------- the growth


def growth(url: str, times: int) -> dict[int, float]:
    """Seconds by rows."""
    found = {}
    for rows in (1_000, 10_000, 100_000, 1_000_000):
        path = DATA / f"read_{rows}.csv"
        make_csv(path, rows)
        found[rows] = min(timed(ours, path, url).seconds for _ in range(times if rows < 1_000_000 else 1))
        print(f"{rows:9,} rows {found[rows]:7.2f} s   {rows / found[rows]:9,.0f} rows/s", flush=True)
    return found


def svg(seconds: dict[int, float], path: Path) -> None:
    """Rows a second over rows, logarithmic to the right: flat is linear growth."""
    rates = {rows: rows / needed for rows, needed in seconds.items()}
    top = max(rates.values()) * 1.15
    spots = [(80 + 160 * place, 260 - 220 * rate / top, rows, rate) for place, (rows, rate) in enumerate(rates.items())]
    line = " ".join(f"{x:.0f},{y:.0f}" for x, y, _, _ in spots)
    marks = "".join(
        f'<circle cx="{x:.0f}" cy="{y:.0f}" r="4" fill="#1f6f8b"/>'
        f'<text x="{x:.0f}" y="{y - 10:.0f}" text-anchor="middle">{rate:,.0f}</text>'
        f'<text x="{x:.0f}" y="280" text-anchor="middle">{rows:,}</text>'
        for x, y, rows, rate in spots
    )
    path.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 320" font-family="sans-serif" font-size="12" fill="#333">'
        '<rect width="640" height="320" fill="#fff"/><path d="M40 20V260H620" fill="none" stroke="#999"/>'
        f'<polyline points="{line}" fill="none" stroke="#1f6f8b" stroke-width="2"/>{marks}'
        '<text x="320" y="306" text-anchor="middle">rows in the file (20 columns)</text>'
        '<text x="40" y="14">rows per second, file to finished DataStore table, full text included</text></svg>\n'
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--growth", action="store_true", help="also 1,000 to 1,000,000 rows")
    parser.add_argument("--database", default="postgresql://postgres@127.0.0.1/postgres", help="a superuser's")
    arguments = parser.parse_args()
    path = DATA / f"read_{arguments.rows}.csv"
    make_csv(path, arguments.rows)
    with own_database(arguments.database) as url:
        rounds = in_turn(path, url, arguments.times)
        figures = {
            "copy_vs_psql": round(ratio(rounds, "ours", "psql_copy"), 2),
            "copy_vs_ctas": round(ratio(rounds, "ours", "bare_ctas"), 3),
            "copy_vs_xloader": round(ratio(rounds, "xloader", "ours"), 2),
            "copy_vs_xloader_before_index": round(ratio(rounds, "xloader_before_index", "ours_before_index"), 2),
            "load_peak_mb": round(max(one["ours"].peak_mb for one in rounds)),
        }
        if arguments.growth:
            seconds = growth(url, arguments.times)
            svg(seconds, HERE / "load.svg")
            steady = (seconds[1_000_000] - seconds[1_000]) / 999_000 / ((seconds[10_000] - seconds[1_000]) / 9_000)
            figures["load_growth"] = round(steady, 2)
    print(figures)
    merge(figures)


if __name__ == "__main__":
    main()
