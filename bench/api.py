"""How fast files get into a real CKAN when only its API can be used, against what that CKAN can take and against DataPusher.

    python -m bench api            (or python bench/api.py [--rows 100000] [--times 2] [--only loads|small|burst] [--jobs 100])

Brings up the CKAN of `make test-ckan` (uWSGI with two processes; PostgreSQL, Redis and RabbitMQ of this machine), or takes
the one that `python -m tests.ckan --keep` has exported. All ways take turns in one run; the median of the rounds' ratios
counts. Merges into bench/results.json:

    api_vs_saturation    rows a second of our load, file to counted table, over those of a poster of bodies that were made
                         beforehand and are as large as CKAN likes them, on one connection
    api2_vs_saturation   the same on two (*unordered*)
    api_vs_datapusher    DataPusher's seconds over ours, to the last row, one connection: the original from PyPI with its
                         fetching (some per cent), or where it cannot be had our stand-in (api_datapusher.py) without
    api2_vs_datapusher   … over ours on two
    small_vs_datapusher  from resource_create to 100 visible rows: our median over DataPusher's, CKAN asking either in turn
    burst_per_minute     100 resources at once through gateway, RabbitMQ, worker and recorder: complete tasks a minute
    burst_vs_bare        … over those that come of the bare calls: what CKAN is asked at least, bodies made beforehand
    burst_vs_xloader     … over XLoader's in a CKAN of its own: the original from PyPI, with its one worker
    datapusher_is        which of the two it was

Rows a second of our load on one connection by the file's rows go into the plot (load_plot.py).
"""

import argparse
import http.client
import json
import multiprocessing
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import api_rival
from api_datapusher import DataPusherWay
from api_pushes import burst, small_files
from api_site import Site, real_ckan
from load_plot import add_points
from read import DATA, make_csv, merge

from tests.push.file_server import Answer, FileServer, running

#: Rows of a pre-built body. Larger ones take CKAN no less time a row (measured: 20,000 against 5,000 is 2 %).
BODY_ROWS = 20_000
#: What our reader finds out about the file of bench/read.py.
TYPES = {
    "id": "numeric", "lat": "numeric", "lon": "numeric", "amount": "numeric", "share": "numeric", "count": "numeric",
    "rate": "numeric", "opened": "timestamp", "updated": "timestamp", "seen_at": "timestamp",
}  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ the ways


def ours(site: Site, resource_id: str, path: Path) -> Callable[[], None]:
    return _ours(site, resource_id, path, unordered=False)


def ours_unordered(site: Site, resource_id: str, path: Path) -> Callable[[], None]:
    return _ours(site, resource_id, path, unordered=True)


def _ours(site: Site, resource_id: str, path: Path, *, unordered: bool) -> Callable[[], None]:
    from consumer.push.ckan import Ckan
    from consumer.push.load import Target
    from consumer.push.load_api import ApiLimits, ApiLoader
    from consumer.push.options import Options
    from consumer.push.read import read
    from consumer.push.table import DelimitedText
    from consumer.report import Report, logging_outlet
    from schemas.settings import Settings

    limits = ApiLimits(Settings().chunk_insert_rows, Settings().chunk_insert_bytes)
    for _ in read(DelimitedText(_small()), Options()).batches():
        pass  # a worker's child has run other jobs before

    def load() -> None:
        table = read(DelimitedText(path), Options())
        with tempfile.TemporaryDirectory() as folder:
            loader = ApiLoader(Ckan(site.url, site.token), limits, Path(folder))
            loader.load(table, Target(resource_id=resource_id, unordered=unordered), Report(logging_outlet))

    return load


def _small() -> Path:
    path = DATA / "read_1000.csv"
    make_csv(path, 1000)
    return path


def poster(site: Site, resource_id: str, path: Path) -> Callable[[], None]:
    return _poster(site, resource_id, path, 1)


def poster_of_two(site: Site, resource_id: str, path: Path) -> Callable[[], None]:
    return _poster(site, resource_id, path, 2)


def _poster(site: Site, resource_id: str, path: Path, connections: int) -> Callable[[], None]:
    """Bodies of text values, as ours are; the table is there already, and nobody counts."""
    import csv
    import threading

    with path.open(encoding="utf-8", newline="") as file:
        records = [{name: _cell(name, value) for name, value in row.items()} for row in csv.DictReader(file)]
    fields = [(name, TYPES.get(name, "text")) for name in records[0]]
    site.ckan.create(resource_id, fields)
    head = {"resource_id": resource_id, "force": True, "method": "insert", "calculate_record_count": False}
    rows = -(-len(records) // max(connections, round(len(records) / BODY_ROWS)))
    bodies = [json.dumps({**head, "records": records[at : at + rows]}).encode() for at in range(0, len(records), rows)]

    def post_all() -> None:
        threads = [threading.Thread(target=post, args=(bodies[number::connections],)) for number in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def post(mine: list[bytes]) -> None:
        where = urlsplit(site.url)
        for body in mine:
            connection = http.client.HTTPConnection(where.hostname or "", where.port)
            headers = {"Authorization": site.token, "Content-Type": "application/json"}
            connection.request("POST", "/api/3/action/datastore_upsert", body, headers)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            answer.read()
            connection.close()

    return post_all


def _cell(name: str, value: str) -> str | None:
    if value in ("", "NA"):
        return None
    if name == "seen_at":  # the one date that PostgreSQL would read the other way round
        return "-".join(reversed(value.split("/")))
    return value


def datapusher(site: Site, resource_id: str, path: Path) -> Callable[[], float | None]:
    """The original's job with its fetching, or our stand-in without."""
    if api_rival.installed() is None:
        way = DataPusherWay(site.url, site.token)
        return lambda: way.load(resource_id, path.read_text(encoding="utf-8"))
    return lambda: _original(site, resource_id, path)


def _original(site: Site, resource_id: str, path: Path) -> float:
    server = FileServer()
    server.answers["/file.csv"] = Answer(path.read_bytes())
    with running(server), api_rival.Rival() as rival:
        site.ckan.call("resource_patch", id=resource_id, url=server.url())
        return rival.push(site, resource_id)


# -------------------------------------------------------------------------------------------------------------- timing


def timed(way: Callable[[Site, str, Path], Callable[[], float | None]], site: Site, path: Path, rows: int) -> float:
    """Seconds of *way* into a new resource, in a process of its own; what it prepares is not timed."""
    resource_id = site.ckan.resource()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        seconds = pool.apply(_measured, (way, site, resource_id, path))
    found = site.ckan.total(resource_id)
    assert found == rows, f"{way.__name__}: {found} of {rows} rows"
    site.ckan.call("datastore_delete", resource_id=resource_id, force=True)
    return seconds


def _measured(way: Callable[[Site, str, Path], Callable[[], float | None]], site: Site, resource_id: str, path: Path) -> float:
    work = way(site, resource_id, path)
    started = time.perf_counter()
    told = work()  # its own time, where it does more than is to be measured
    return time.perf_counter() - started if told is None else told


def loads(site: Site, rows: int, times: int) -> dict[str, Any]:
    path = DATA / f"read_{rows}.csv"
    make_csv(path, rows)
    ways = (ours, poster, ours_unordered, poster_of_two, datapusher)
    rounds = []
    for _ in range(times):
        rounds.append({way.__name__: timed(way, site, path, rows) for way in ways})
        print("   ".join(f"{name} {rows / seconds:,.0f} rows/s" for name, seconds in rounds[-1].items()), flush=True)

    def ratio(way: str, other: str) -> float:
        return round(median(one[way] / one[other] for one in rounds), 3)

    points = growth(site) | {rows: rows / median(one["ours"] for one in rounds)}
    add_points("CKAN's API, one connection", points)
    return {
        "api_vs_saturation": ratio("poster", "ours"),
        "api2_vs_saturation": ratio("poster_of_two", "ours_unordered"),
        "api_vs_datapusher": ratio("datapusher", "ours"),
        "api2_vs_datapusher": ratio("datapusher", "ours_unordered"),
        "datapusher_is": api_rival.name(),
    }


def growth(site: Site) -> dict[int, float]:
    """Rows a second of our load by the file's rows."""
    found: dict[int, float] = {}
    for rows in (1_000, 10_000):
        path = DATA / f"read_{rows}.csv"
        make_csv(path, rows)
        found[rows] = rows / min(timed(ours, site, path, rows) for _ in range(2))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=2)
    parser.add_argument("--files", type=int, default=20, help="small files of either service")
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--only", choices=("loads", "small", "burst"))
    given = parser.parse_args()
    # SIGTERM as Ctrl-C: what was started and made must go in any case.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with real_ckan() as site:
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "small": lambda: small_files(site, given.files),
            "burst": lambda: burst(site, given.jobs, given.times),
            "loads": lambda: loads(site, given.rows, given.times),
        }
        for name, part in parts.items():
            if given.only in (None, name):
                figures = part()
                print(figures, flush=True)
                merge(figures)


if __name__ == "__main__":
    main()
