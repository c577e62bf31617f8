"""Small files pushed by CKAN itself: how soon rows are visible, and how many of them a minute."""

import csv
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import median

import psycopg2
from api_datapusher import DataPusherService, DataPusherWay
from api_rival import RivalService, installed
from api_site import Site
from api_xloader import ckan_with_xloader
from api_xloader import installed as xloader_installed
from read import DATA, make_csv

from tests.acceptance.service import Service
from tests.ckan.client import RealCkan
from tests.push.file_server import Answer, FileServer, running
from tests.services import postgresql, rabbitmq

SMALL_ROWS = 100
#: Resources made at the same time, as when a harvester or a script makes them.
AT_ONCE = 20
LIMIT_S = 240.0
#: Of the burst's jobs, one in so many is enough for XLoader.
XLOADER_SHARE = 3


class Switch:
    """Listens where CKAN posts its jobs to and passes connections on to whichever service is to have them: `target`.

    So both services are asked over the same way, and neither has to be started anew for its turn.
    """

    def __init__(self, port: int) -> None:
        self.target = 0
        self._server = socket.create_server(("127.0.0.1", port), backlog=128)

    def __enter__(self) -> "Switch":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_about_error: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                service = socket.create_connection(("127.0.0.1", self.target))
                for one, other in ((client, service), (service, client)):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


class Databases:
    """DataStore's tables and CKAN's tasks, looked at without asking CKAN, which has other things to do."""

    def __init__(self, site: Site) -> None:
        self._connection, self._ckan = psycopg2.connect(site.write_url), psycopg2.connect(site.database_url)
        self._connection.autocommit = self._ckan.autocommit = True

    def await_tasks(self, resources: Sequence[str], kind: str = "datapusher") -> None:
        """Until the tasks of all have ended, and well; *kind*: of which plugin."""
        deadline = time.monotonic() + LIMIT_S
        while (states := self._states(resources, kind)) != Counter(complete=len(resources)):
            assert time.monotonic() < deadline and not states["error"], states
            time.sleep(0.02)

    def _states(self, resources: Sequence[str], kind: str) -> Counter[str]:
        with self._ckan.cursor() as cursor:
            cursor.execute(
                "SELECT state FROM task_status WHERE task_type = %s AND entity_id = ANY(%s)", (kind, list(resources))
            )
            return Counter(str(state) for (state,) in cursor.fetchall())

    def rows(self, resource_id: str) -> int:
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s)", (f'public."{resource_id}"',))
            if cursor.fetchone() == (None,):
                return 0
            cursor.execute(f'SELECT count(*) FROM "{resource_id}"')
            (count,) = cursor.fetchone() or (0,)
            return int(count)

    def await_rows(self, resource_id: str) -> None:
        deadline = time.monotonic() + LIMIT_S
        while self.rows(resource_id) != SMALL_ROWS:
            assert time.monotonic() < deadline, "rows do not come"
            time.sleep(0.002)


@contextmanager
def our_service() -> Iterator[Service]:
    """Gateway, worker and recorder as an administrator starts them, with RabbitMQ and PostgreSQL."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="datapusher-bench-")))
        variables = {
            "DATAPUSHER_BROKER_URL": stack.enter_context(rabbitmq()).url,
            "DATAPUSHER_SQLALCHEMY_DATABASE_URI": stack.enter_context(postgresql()),
            "DATAPUSHER_ALLOWED_NETWORKS": "127.0.0.1",
        }
        service = Service(folder, variables)
        stack.callback(service.stop)
        service.start("gateway", "worker", "recorder")
        yield service


@contextmanager
def small_file() -> Iterator[str]:
    """Its address."""
    path = DATA / f"read_{SMALL_ROWS}.csv"
    make_csv(path, SMALL_ROWS)
    server = FileServer()
    server.answers["/small.csv"] = Answer(path.read_bytes())
    with running(server):
        yield server.url("/small.csv")


def datapusher_service(site: Site) -> RivalService | DataPusherService:
    return RivalService() if installed() else DataPusherService(DataPusherWay(site.url, site.token))


def small_files(site: Site, times: int) -> dict[str, float]:
    """*times* files of each; one more before them warms up."""
    ckan, databases = site.ckan, Databases(site)
    seconds: dict[str, list[float]] = {"ours": [], "datapusher": []}
    with (
        small_file() as url, our_service() as ours, datapusher_service(site) as theirs,
        Switch(site.service_port) as switch,
    ):  # fmt: skip
        ports = {"ours": ours.port, "datapusher": theirs.port}
        for number in range(times + 1):
            for name, port in ports.items():
                switch.target = port
                needed = _visible_after(ckan, databases, url)
                if number:
                    seconds[name].append(needed)
    for name, each in seconds.items():
        print(f"{SMALL_ROWS} rows visible, {name:10}: median {median(each):.3f} s, best {min(each):.3f}, worst {max(each):.3f}")
    return {"small_vs_datapusher": round(median(seconds["ours"]) / median(seconds["datapusher"]), 3)}


def _visible_after(ckan: RealCkan, databases: Databases, url: str) -> float:
    """Seconds from resource_create to the rows; returns once CKAN's task has ended, too."""
    dataset = ckan.dataset()
    started = time.perf_counter()
    resource_id = _linked(ckan, dataset, url)
    databases.await_rows(resource_id)
    seconds = time.perf_counter() - started
    databases.await_tasks([resource_id])
    return seconds


class BareCalls:
    """What CKAN is asked at least for a small file, all bodies made beforehand: what no loader's burst can be faster than."""

    def __init__(self, site: Site) -> None:
        self._ckan = site.ckan
        with (DATA / f"read_{SMALL_ROWS}.csv").open(encoding="utf-8", newline="") as file:
            self._records = list(csv.DictReader(file))
        self._fields = [{"id": name, "type": "text"} for name in self._records[0]]

    def push(self, resource_id: str) -> None:
        self._ckan.call("resource_show", id=resource_id)
        self._ckan.call("datastore_create", resource_id=resource_id, force=True, fields=self._fields, records=self._records,
                        calculate_record_count=False)  # fmt: skip
        self._ckan.call("resource_patch", id=resource_id, hash="0" * 32, datastore_contains_all_records_of_source_file=True)


def burst(site: Site, jobs: int, times: int) -> dict[str, float]:
    """Ours, the bare calls and XLoader's in turn; the medians of the rounds, and of their ratios."""
    with small_file() as url, ExitStack() as stack:
        ours, bare = stack.enter_context(our_service()), stack.enter_context(DataPusherService(BareCalls(site)))
        switch = stack.enter_context(Switch(site.service_port))
        programs = xloader_installed()
        other = stack.enter_context(ckan_with_xloader(programs)) if programs else None
        rounds = []
        for _ in range(times):
            one = {}
            for name, port in (("ours", ours.port), ("bare", bare.port)):
                switch.target = port
                one[name] = _burst(site, jobs, url, "datapusher", name)
            if other:  # it has one worker: its minutes are long
                one["xloader"] = _burst(other, jobs // XLOADER_SHARE, url, "xloader", "xloader")
            rounds.append(one)
    figures = {"burst_per_minute": round(median(one["ours"] for one in rounds))}
    ratios = {f"burst_vs_{way}": [one["ours"] / one[way] for one in rounds if way in one] for way in ("bare", "xloader")}
    return figures | {name: round(median(each), 2) for name, each in ratios.items() if each}


def _burst(site: Site, jobs: int, url: str, kind: str, name: str) -> float:
    """Complete tasks a minute, *jobs* at once; *kind*: of which plugin."""
    ckan, databases = site.ckan, Databases(site)
    datasets = [ckan.dataset() for _ in range(jobs)]
    databases.await_tasks([ckan.link(url)], kind)  # warm
    started = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        resources = list(pool.map(lambda dataset: _linked(ckan, dataset, url), datasets))
    made_s = time.perf_counter() - started
    databases.await_tasks(resources, kind)
    seconds = time.perf_counter() - started
    assert all(databases.rows(resource_id) == SMALL_ROWS for resource_id in resources)
    print(f"{jobs} resources, {name}: made in {made_s:.1f} s, all complete after {seconds:.1f} s", flush=True)
    return jobs / seconds * 60


def _linked(ckan: RealCkan, dataset: str, url: str) -> str:
    return str(ckan.call("resource_create", package_id=dataset, url=url, format="CSV")["id"])
