"""Without the bus jobs are accepted all the same; without the store they are refused in time."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from sqlalchemy import Engine, select, text

from schemas.store import open_store
from schemas.tables import jobs
from tests.gateway.conftest import Start
from tests.gateway.gateway_thread import JOB, GatewayThread
from tests.gateway.recording import Recording
from tests.publisher.lab import eventually
from tests.tcp_proxy import TcpProxy


def test_jobs_accepted_while_the_bus_is_away_are_published_when_it_is_back(gateway: GatewayThread) -> None:
    gateway.bus.cut = True
    answers = [gateway.post(JOB) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert max(answer.elapsed.total_seconds() for answer in answers) < 2
    assert (gateway.outbox_depth(), gateway.depth()) == (5, 0)
    gateway.bus.cut = False
    eventually(lambda: (gateway.outbox_depth(), gateway.depth()) == (0, 5))


def test_jobs_that_fail_on_their_way_are_published_again(gateway: GatewayThread, monkeypatch: pytest.MonkeyPatch) -> None:
    publish = gateway.bus.publish
    failures: list[object] = []

    def fail_once(message):  # type: ignore[no-untyped-def]
        gateway.bus.cut = len(failures) < 1
        failures.append(message)
        try:
            return publish(message)
        finally:
            gateway.bus.cut = False

    monkeypatch.setattr(gateway.bus, "publish", fail_once)
    gateway.accepted()
    eventually(lambda: (gateway.outbox_depth(), gateway.depth()) == (0, 1))
    assert len(failures) == 2


def test_another_gateway_publishes_what_one_left(start: Start) -> None:
    left = start()
    left.bus.cut = True
    left.accepted()
    other = start()
    eventually(lambda: other.depth() == 1)
    eventually(lambda: left.outbox_depth() == 0)


def test_two_gateways_seldom_publish_the_same(start: Start) -> None:
    one, other = start(), start()
    one.bus.cut = other.bus.cut = True
    for _ in range(50):
        one.accepted()
    one.bus.cut = other.bus.cut = False
    eventually(lambda: one.outbox_depth() == 0)
    assert one.depth() == 50


def test_a_job_that_nobody_takes_waits_for_its_queue(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.outbox.GRACE_S", 0.5)
    without_queue = start(queues=["count"])
    job = without_queue.accepted()
    eventually(lambda: f"job {job['job_id']} stays in the outbox" in caplog.text)
    assert without_queue.outbox_depth() == 1
    start()
    eventually(lambda: without_queue.outbox_depth() == 0)
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1


@pytest.fixture
def proxy(database_url: str) -> Iterator[TcpProxy]:
    parts = urlsplit(database_url)
    with TcpProxy(parts.hostname or "127.0.0.1", parts.port or 5432) as proxy:
        yield proxy


@pytest.fixture
def through(proxy: TcpProxy, database_url: str, tmp_path: Path) -> Iterator[GatewayThread]:
    """A gateway whose way to PostgreSQL can be cut."""
    parts = urlsplit(database_url)
    netloc = f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{proxy.port}"
    engine = open_store(urlunsplit(parts._replace(scheme="postgresql+psycopg2", netloc=netloc)))
    with GatewayThread(engine, tmp_path) as gateway:
        yield gateway
    engine.dispose()


@pytest.mark.parametrize("silent", [False, True], ids=["refused", "silent"])
def test_without_the_store_every_answer_is_503_within_2_seconds(through: GatewayThread, proxy: TcpProxy, silent: bool) -> None:
    job = through.accepted()
    proxy.cut(silent=silent)
    path = f"/job/{job['job_id']}"
    asked = [lambda: through.get("/status"), lambda: through.get(path), lambda: through.delete(path)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda ask: ask(), [*asked, *[lambda: through.post(JOB)] * 8]))
    proxy.heal()

    for answer in answers:
        assert answer.status_code == 503 and isinstance(answer.json()["error"], str)
        assert answer.elapsed.total_seconds() < 2
    eventually(lambda: through.post(JOB).status_code == 200)


@pytest.fixture
def inserts(through: GatewayThread) -> Iterator[Callable[[], int]]:
    """How many jobs were inserted, those that were rolled back as well: a sequence does not go back."""
    with through.engine.begin() as connection:
        connection.execute(text("CREATE SEQUENCE inserts"))
        body = "BEGIN PERFORM nextval(''inserts''); RETURN NEW; END"
        connection.execute(text(f"CREATE FUNCTION count_insert() RETURNS trigger LANGUAGE plpgsql AS '{body}'"))
        connection.execute(text("CREATE TRIGGER counted BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION count_insert()"))
    yield lambda: _value(through.engine, "SELECT last_value FROM inserts")
    with through.engine.begin() as connection:
        connection.execute(text("DROP FUNCTION count_insert CASCADE"))
        connection.execute(text("DROP SEQUENCE inserts"))


@pytest.mark.parametrize("path", ["/job", "/job/refused"])
def test_what_was_refused_is_not_run_later(
    through: GatewayThread, proxy: TcpProxy, inserts: Callable[[], int], path: str
) -> None:
    through.accepted()  # so that its connection is trusted: what goes out first is the job itself
    known, before = _jobs(through.engine), inserts()
    proxy.cut(silent=True)
    refused = through.post(JOB, path)
    proxy.heal()
    assert refused.status_code == 503
    eventually(lambda: inserts() > before)  # what the proxy held back has arrived, too late
    eventually(lambda: _transactions(through.engine) == 0)  # and whatever came of it is decided
    eventually(lambda: _jobs(through.engine) == known)
    eventually(lambda: through.post(JOB).status_code == 200)


@pytest.mark.parametrize("path", ["/job", "/job/locked"])
def test_a_table_that_is_locked_is_waited_for_2_seconds_at_most_and_the_refused_job_never_appears(
    through: GatewayThread, path: str
) -> None:
    known = _jobs(through.engine)
    with through.engine.begin() as connection:
        connection.execute(text("LOCK TABLE jobs IN EXCLUSIVE MODE"))
        answer = through.post(JOB, path)
        assert answer.status_code == 503 and answer.elapsed.total_seconds() < 2
        eventually(lambda: _waiting_for_locks(through.engine) == 0)
    assert _jobs(through.engine) == known
    assert through.post(JOB, path).status_code == 200


def _jobs(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.execute(select(jobs.c.job_id)).scalars())


def _waiting_for_locks(engine: Engine) -> int:
    return _value(
        engine, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )


def _transactions(engine: Engine) -> int:
    others = "datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    return _value(engine, f"SELECT count(*) FROM pg_stat_activity WHERE xact_start IS NOT NULL AND {others}")


def _value(engine: Engine, query: str) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text(query)).scalar_one())


def test_a_store_that_another_process_locks_is_waited_for_2_seconds_at_most(tmp_path: Path) -> None:
    engine = open_store(f"sqlite:///{tmp_path}/store.db")
    with GatewayThread(engine, tmp_path) as gateway:
        with _locked(engine):
            answer = gateway.post(JOB, "/job/refused")
        assert answer.status_code == 503 and answer.elapsed.total_seconds() < 2
        eventually(lambda: gateway.post(JOB).status_code == 200)
        assert Recording(engine, gateway).rows(jobs, "refused") == []
    engine.dispose()


class _locked:
    """Holds SQLite's write lock on a connection of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __enter__(self) -> None:
        self._connection = self._engine.connect()
        self._transaction = self._connection.begin()

    def __exit__(self, *about_error: object) -> None:
        self._transaction.rollback()
        self._connection.close()


def test_health_says_what_is_missing(gateway: GatewayThread) -> None:
    whole = gateway.get("/health/ready", key=None)
    gateway.bus.cut = True
    busless = gateway.get("/health/ready", key=None)
    assert (whole.status_code, whole.json()["status"], busless.status_code) == (200, "ok", 503)
    assert not busless.json()["checks"]["bus"]["ok"] and busless.json()["checks"]["store"]["ok"]
    assert "outbox" in busless.json()["error"] == busless.json()["checks"]["bus"]["reason"]
    assert gateway.get("/health/live", key=None).status_code == 200


def test_health_tells_of_a_store_that_is_away(through: GatewayThread, proxy: TcpProxy) -> None:
    proxy.cut()
    answer = through.get("/health/ready", key=None)
    assert answer.status_code == 503 and not answer.json()["checks"]["store"]["ok"]
    assert "datapusher_store_up 0.0" in through.get("/metrics", key=None).text
