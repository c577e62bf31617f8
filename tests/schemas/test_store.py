"""A store of an earlier version is brought up to date when it is opened, and keeps what is in it."""

import re
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Connection, Engine, create_engine, insert, inspect, select, text

from schemas import store
from schemas.errors import BadSetting, StoreUnavailable
from schemas.messages import new_id
from schemas.store import MIGRATIONS, VERSION, open_store, reading, reading_alone, store_now, store_url, writing, writing_alone
from schemas.tables import cancellations, workers

#: What came after the first version: (table, column), and indexes.
STEPS = "\n".join(step for steps in MIGRATIONS.values() for step in steps)
ADDED = re.findall(r"ALTER TABLE (\w+) ADD COLUMN (\w+)", STEPS)
INDEXES = re.findall(r"CREATE INDEX (\w+)", STEPS)


def test_an_older_store_gets_what_it_lacks(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    engine = open_store(url)
    assert len(ADDED) > 1
    with writing(engine) as connection:
        connection.execute(insert(cancellations).values(job_id="j", requested_at=store_now(connection), deleted=False))
        connection.execute(text("DROP TABLE workers"))
        for index in INDEXES:
            connection.execute(text(f"DROP INDEX {index}"))
        for table, column in ADDED:
            connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
        connection.execute(text("UPDATE schema_version SET version = 1"))
    engine.dispose()
    engine = open_store(url)
    with reading(engine) as connection:
        assert connection.execute(text("SELECT version FROM schema_version")).scalar_one() == VERSION
        assert inspect(connection).has_table(workers.name)
        for table, column in ADDED:
            assert column in {found["name"] for found in inspect(connection).get_columns(table)}
        assert connection.execute(select(cancellations.c.job_id)).scalars().all() == ["j"]
    engine.dispose()


def test_a_newer_store_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    engine = open_store(f"sqlite:///{path}")
    with writing(engine) as connection:
        connection.execute(text(f"UPDATE schema_version SET version = {VERSION + 1}"))
    engine.dispose()
    with pytest.raises(BadSetting, match="newer than"):
        open_store(f"sqlite:///{path}")
    assert str(path) not in [file.path for file in psutil.Process().open_files()]


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"no database " * 100)
    with pytest.raises(BadSetting, match=f"{path}: file is not a database"):
        open_store(f"sqlite:///{path}")


def test_a_database_in_which_we_may_not_create_tables_is_refused_with_advice(database_url: str) -> None:
    name = f"weak_{new_id()[:8]}"
    weak = f"{database_url}?options=-crole%3D{name}%20-csearch_path%3D{name}"
    engine = open_store(store_url(database_url, ""))
    with writing(engine) as connection:
        connection.execute(text(f"CREATE ROLE {name}; CREATE SCHEMA {name}; GRANT USAGE ON SCHEMA {name} TO {name}"))
    with pytest.raises(BadSetting, match=r"permission denied for schema .*GRANT CREATE"):
        open_store(store_url(weak, ""))
    with writing(engine) as connection:
        connection.execute(text(f"DROP SCHEMA {name}; DROP ROLE {name}"))
    engine.dispose()


def test_connections_that_died_while_idle_are_replaced_unnoticed(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_store(store_url(database_url, ""))
    monkeypatch.setattr(store, "TRUSTED_S", 0.0)
    _end_connection(engine)
    with reading_alone(engine) as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    monkeypatch.setattr(store, "TRUSTED_S", 1000.0)
    _end_connection(engine)
    with pytest.raises(StoreUnavailable), reading(engine) as connection:
        connection.execute(text("SELECT 1"))
    with reading(engine) as connection:  # what failed once is gone
        assert connection.execute(text("SELECT 1")).scalar() == 1
    engine.dispose()


def test_what_stands_alone_is_no_transaction_and_what_comes_after_is_one(database_url: str) -> None:
    engine = open_store(store_url(database_url, ""))
    with reading_alone(engine) as connection:
        assert not _in_one_transaction(connection)
    with writing(engine) as connection:
        assert _in_one_transaction(connection)
    with pytest.raises(ZeroDivisionError), writing_alone(engine) as connection:
        assert not _in_one_transaction(connection)
        raise ZeroDivisionError
    with writing(engine) as connection:
        assert _in_one_transaction(connection)
    engine.dispose()


def test_a_transaction_that_nobody_goes_on_with_is_ended_and_others_get_its_rows(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "IDLE_S", 0.3)
    vanished, other = (open_store(store_url(database_url, "")) for _ in range(2))
    row = text("UPDATE schema_version SET version = version")
    changed = 0
    with pytest.raises(StoreUnavailable), writing(vanished) as connection:
        connection.execute(row)
        with writing(other) as waiting:  # for the row, until PostgreSQL has ended the other transaction
            waiting.execute(text("SET LOCAL lock_timeout = '20s'"))
            changed = waiting.execute(row).rowcount
        connection.execute(row)
    assert changed == 1
    with writing(vanished) as connection:
        connection.execute(row)
    vanished.dispose()
    other.dispose()


def _end_connection(engine: Engine) -> None:
    """Ends the server's side of the connection that the pool hands out next."""
    other = create_engine(engine.url, isolation_level="AUTOCOMMIT")
    with reading(engine) as connection:
        process_id = connection.execute(text("SELECT pg_backend_pid()")).scalar()
    with other.connect() as connection:
        assert connection.execute(text("SELECT pg_terminate_backend(:id, 5000)"), {"id": process_id}).scalar()
    other.dispose()


def _in_one_transaction(connection: Connection) -> bool:
    """`now()` is the time at which the transaction began."""
    begun = text("SELECT now()")
    return connection.execute(begun).scalar() == connection.execute(begun).scalar()
