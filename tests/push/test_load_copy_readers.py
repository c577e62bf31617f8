"""While a table is loaded: what its readers see and wait for, and what is left when somebody is killed."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psycopg2
import pytest

from consumer.push.load import Target
from consumer.push.load_copy import CopyLoader
from consumer.report import Report, logging_outlet
from schemas.errors import DataPusherError, Transient
from tests.push.copying import PEOPLE, RID, T, content, load
from tests.push.datastore_database import Datastore, MadeTable

#: What one reader may be held up by the swap.
LONGEST_WAIT_S = 0.2
SPAWN = multiprocessing.get_context("spawn")


def many(rows: int = 20_000) -> MadeTable:
    return MadeTable(PEOPLE, [[f"person {number} of many", str(number)] for number in range(rows)], size=2_000)


@dataclass
class Reader:
    """Counts the rows of *query* again and again, each time anew, and keeps what it saw and how long it took."""

    url: str
    query: str
    seen: set[int] = field(default_factory=set)
    waits: list[float] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        connection = psycopg2.connect(self.url)
        connection.autocommit = True
        with connection.cursor() as cursor:
            while not self.over.is_set():
                started = time.monotonic()
                try:
                    cursor.execute(self.query)
                    self.seen.add(cursor.fetchone()[0])  # type: ignore[index]
                except psycopg2.Error as error:
                    self.errors.append(error)
                self.waits.append(time.monotonic() - started)
                time.sleep(0.002)
        connection.close()


@contextmanager
def reading(ds: Datastore, *queries: str) -> Iterator[list[Reader]]:
    readers = [Reader(ds.url, query) for query in queries]
    threads = [threading.Thread(target=reader.run) for reader in readers]
    for thread in threads:
        thread.start()
    try:
        yield readers
    finally:
        for reader in readers:
            reader.over.set()
        for thread in threads:
            thread.join()


def test_readers_see_old_or_new_and_hardly_wait(old: Datastore) -> None:
    old.run(f"CREATE VIEW people AS SELECT * FROM {T}")
    old.create("other", "a text")
    with reading(old, f"SELECT count(*) FROM {T}", "SELECT count(*) FROM people", "SELECT count(*) FROM other") as readers:
        load(old, many())
        time.sleep(0.1)
    *concerned, unconcerned = readers
    for reader in concerned:
        assert reader.errors == []
        assert reader.seen == {1, 20_000}
        # What the reader of another table waits for is the machine's doing, not ours.
        assert max(reader.waits) - max(unconcerned.waits) < LONGEST_WAIT_S


def test_a_long_reader_holds_up_the_swap_but_nobody_else(old: Datastore) -> None:
    old.create("other", "a text")
    queries = f"SELECT count(*) FROM {T}", "SELECT count(*) FROM other"
    with held(old, f"SELECT * FROM {T}"), reading(old, *queries) as (reader, unconcerned):
        with pytest.raises(Transient, match="being read for"):
            load(old, many(10))
    assert reader.seen == {1}
    assert max(reader.waits) - max(unconcerned.waits) < LONGEST_WAIT_S
    assert content(old) == [("Old", 99)]


def test_the_swap_happens_when_the_long_reader_has_gone(old: Datastore) -> None:
    with held(old, f"SELECT * FROM {T}") as end:
        threading.Timer(1.0, end).start()
        load(old, many(10))
    assert old.value(f"SELECT count(*) FROM {T}") == 10


def test_a_dictionary_edited_while_the_file_is_read_keeps_the_edit(old: Datastore) -> None:
    class Edited(MadeTable):
        def batches(self):  # type: ignore[no-untyped-def]
            yield from MadeTable.batches(self)
            old.run(f"COMMENT ON COLUMN {T}.name IS 'edited'; CREATE INDEX late ON {T} (name)")

    load(old, Edited(PEOPLE, [["Ada", "1"]]))
    assert old.value(f"SELECT col_description('{T}'::regclass, 3)") == "edited"
    assert old.value("SELECT count(*) FROM pg_indexes WHERE indexname = 'late'") == 1


def test_an_index_made_while_the_table_is_converted_is_made_again(old: Datastore, monkeypatch: pytest.MonkeyPatch) -> None:
    made = iter([f"CREATE INDEX late ON {T} (age)"])
    monkeypatch.setattr("consumer.push.replacing.analyze", lambda *_: old.run(next(made)))
    load(old, many(10))
    assert old.value("SELECT count(*) FROM pg_indexes WHERE indexname = 'late'") == 1


def test_a_table_being_loaded_may_be_altered_meanwhile(old: Datastore, monkeypatch: pytest.MonkeyPatch) -> None:
    old.run(f"CREATE VIEW people AS SELECT * FROM {T}")
    altering = f"SET lock_timeout = '100ms'; ALTER TABLE {T} ALTER name SET STATISTICS 50"
    monkeypatch.setattr("consumer.push.replacing.analyze", lambda *_: old.run(altering))
    load(old, many(10))
    assert old.value(f"SELECT count(*) FROM {T}") == 10


def test_a_table_dropped_while_the_file_is_read_is_made_anew(old: Datastore) -> None:
    class Dropped(MadeTable):
        def batches(self):  # type: ignore[no-untyped-def]
            old.run(f"DROP TABLE {T}")
            yield from MadeTable.batches(self)

    load(old, Dropped(PEOPLE, [["Ada", "1"]]))
    assert content(old) == [("Ada", 1)]


# ---------------------------------------------------------------------------------------------------------- the killed


@pytest.mark.parametrize("statement", ["COPY%", "CREATE TABLE%AS SELECT%", "CREATE INDEX%"])
def test_a_backend_terminated_at_any_step_leaves_the_old_table(old: Datastore, statement: str) -> None:
    failed: list[DataPusherError] = []
    loader = threading.Thread(target=lambda: failed.append(_failure(lambda: load(old, many(150_000)))))
    loader.start()
    assert until(lambda: backend_in(old, statement) and terminate(old, statement))
    loader.join()
    assert isinstance(failed[0], Transient)
    assert content(old) == [("Old", 99)]
    assert old.leftovers() == []


def test_a_loader_killed_midway_leaves_the_old_table_and_the_next_attempt_loads(old: Datastore) -> None:
    child = SPAWN.Process(target=load_many, args=(old.url,))
    child.start()
    assert until(lambda: backend_in(old, "CREATE TABLE%AS SELECT%"))
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert until(lambda: not backend_in(old, "%_stg_%"), 5.0)
    assert content(old) == [("Old", 99)]
    assert old.leftovers() == []
    load(old, many(10))
    assert old.value(f"SELECT count(*) FROM {T}") == 10


def load_many(url: str) -> None:
    """In a process of its own."""
    CopyLoader(url, None).load(many(150_000), Target(resource_id=RID), Report(logging_outlet))


def backend_in(ds: Datastore, statement: str) -> bool:
    """Whether a loader's backend is busy with such a statement just now."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'datapusher' AND query LIKE %s AND datname = %s"
    return bool(ds.value(f"{query} AND state = 'active'", statement, ds.name))


def terminate(ds: Datastore, statement: str) -> bool:
    query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'datapusher'"
    return bool(ds.value(f"{query} AND query LIKE %s AND datname = %s AND backend_type = 'client backend'", statement, ds.name))


def until(happened: Callable[[], object], timeout_s: float = 60.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if happened():
            return True
        time.sleep(0.01)
    return False


def _failure(do: Callable[[], object]) -> DataPusherError:
    try:
        do()
    except DataPusherError as error:
        return error
    raise AssertionError("nothing failed")


@contextmanager
def held(ds: Datastore, query: str) -> Iterator[Callable[[], None]]:
    """A transaction that has read the table and stays open; yields what ends it."""
    connection = psycopg2.connect(ds.url)
    connection.cursor().execute(query)
    try:
        yield connection.rollback
    finally:
        with suppress(psycopg2.Error):
            connection.close()
