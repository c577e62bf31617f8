"""Opens the store: the one place that makes an engine, and brings the tables to the version this code knows.

SQLite: WAL, so that readers never wait for the writer; `synchronous=FULL`, so that what was accepted survives a power cut
(https://www.sqlite.org/pragma.html#pragma_synchronous). PostgreSQL: connections that lay idle are checked before use, since
the server may have been restarted.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, insert, inspect, select, text, update
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import (
    DatabaseError,
    InterfaceError,
    InternalError,
    InvalidatePoolError,
    OperationalError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from schemas.addresses import store_address
from schemas.errors import BadSetting, DataPusherError, StoreUnavailable
from schemas.old_store import move_away
from schemas.tables import metadata, schema_version
from schemas.turns import CHECKPOINT_PAGES, turn_at

#: The version of `schemas.tables`; a change of the tables adds a step to MIGRATIONS.
VERSION = 4
#: Version reached → the statements that reach it from the one before.
MIGRATIONS: dict[int, tuple[str, ...]] = {
    2: ("ALTER TABLE claims ADD COLUMN callback_until TIMESTAMP",),
    3: (),  # the table `workers`: missing tables are made without a statement
    4: (
        "ALTER TABLE claims ADD COLUMN kept JSON",
        "CREATE INDEX claims_kept ON claims (resource_key) WHERE kept IS NOT NULL",
    ),
}
#: How long a writer waits for another one's transaction; group commits last milliseconds.
SQLITE_BUSY_MS = 10_000
#: Any number does, as long as all our processes lock the same: it keeps two starts from creating tables at once.
ADVISORY_LOCK = 7_303_014
#: Connections of a process to PostgreSQL at most: each of a gateway's threads has its own, and none is made anew under load.
POOL_SIZE = 10
#: A connection that was used so recently is not checked before it is used again: that would be a round trip for each use.
TRUSTED_S = 1.0
USED_AT = "used at"
#: PostgreSQL's codes (https://www.postgresql.org/docs/current/errcodes-appendix.html).
INSUFFICIENT_PRIVILEGE, UNDEFINED_TABLE = "42501", "42P01"
#: No transaction of ours does anything but statements, for milliseconds. One of a process that has vanished (its host lost the
#: network or its power, and nobody told PostgreSQL) would keep its rows locked until TCP gives up on it, in two hours.
IDLE_S = 20.0


def store_url(url: str, data_dir: str) -> str:
    """The setting SQLALCHEMY_DATABASE_URI, or `datapusher.db` in the data folder."""
    if url:
        return url.replace("postgresql://", "postgresql+psycopg2://", 1)
    return f"sqlite:///{Path(data_dir).expanduser() / 'datapusher.db'}"


def open_store(url: str, *, pool_size: int = POOL_SIZE) -> Engine:
    """An engine for *url*, with every table there and up to date. On PostgreSQL it keeps up to *pool_size* connections.

    Raises: StoreUnavailable where the database cannot be reached, BadSetting where the URL or its database cannot be used or
    the tables belong to a newer Data Pusher.
    """
    engine = _sqlite_engine(url) if url.startswith("sqlite") else _postgresql_engine(url, pool_size)
    try:
        with unavailable_store_said(), _refusal_said(engine):
            _bring_up_to_date(engine)
    except DataPusherError:
        engine.dispose()  # whoever tries again opens another one
        raise
    return engine


@contextmanager
def unavailable_store_said() -> Iterator[None]:
    """Turns a database that cannot be reached, is locked, out of space, or has taken its tables or our rights to them away
    into StoreUnavailable: what is wrong there is no fault of what was to be written."""
    try:
        yield
    except PoolTimeout as error:
        raise StoreUnavailable("The store is overloaded: no connection is free.") from error
    except (OperationalError, InterfaceError, InternalError) as error:
        raise StoreUnavailable(f"The store did not answer: {str(error.orig).strip()}") from error
    except ProgrammingError as error:
        if getattr(error.orig, "pgcode", "") not in (INSUFFICIENT_PRIVILEGE, UNDEFINED_TABLE):
            raise
        raise StoreUnavailable(f"The store refuses us: {str(error.orig).splitlines()[0]}") from error


@contextmanager
def _refusal_said(engine: Engine) -> Iterator[None]:
    """Turns a database that answers, but not to us, or is none, into BadSetting."""
    try:
        yield
    except (OperationalError, InternalError):
        raise
    except DatabaseError as error:
        why = str(error.orig).splitlines()[0]
        if getattr(error.orig, "pgcode", "") == INSUFFICIENT_PRIVILEGE:
            why += "; its user must own our tables, or be allowed to create them (GRANT CREATE ON SCHEMA … TO …)"
        raise BadSetting("DATAPUSHER_SQLALCHEMY_DATABASE_URI", f"cannot use {store_address(engine)}: {why}") from error


def _sqlite_engine(url: str) -> Engine:
    path = url.removeprefix("sqlite:///")
    if path and path != ":memory:":
        _make_folder(Path(path).parent)
    engine = create_engine(url, connect_args={"timeout": SQLITE_BUSY_MS / 1000, "check_same_thread": False})
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise BadSetting("DATAPUSHER_DATA_DIR", f"cannot make the folder {folder}: {error.strerror}") from error


def _set_pragmas(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    # The driver's own BEGIN comes too late (only before the first write): see _begin.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"wal_autocheckpoint={CHECKPOINT_PAGES}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    """A transaction that will write takes the lock at once: one that reads first and writes later would fail with
    SQLITE_BUSY without waiting (https://www.sqlite.org/isolation.html). Mark readers with `reading()`."""
    reads = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection for queries only: on SQLite it waits for no writer."""
    with unavailable_store_said(), engine.connect().execution_options(reading=True) as connection:
        yield connection


@contextmanager
def reading_alone(engine: Engine) -> Iterator[Connection]:
    """As `reading`, for queries that need no transaction: on PostgreSQL its begin and its end are a round trip each."""
    with reading(engine) as connection, _autocommit(connection):
        yield connection


@contextmanager
def writing(engine: Engine, *, relaxed: bool = False) -> Iterator[Connection]:
    """One transaction, committed at the end. Raises: StoreUnavailable; a broken constraint stays an IntegrityError.

    *relaxed*: on SQLite without waiting for the disk. A power cut (not the death of a process) may take the transaction
    back, and then everything that was committed to the file after it.
    """
    with unavailable_store_said(), engine.connect() as connection, _turn(engine), _synchronous(connection, relaxed):
        with connection.begin():
            yield connection


@contextmanager
def writing_alone(engine: Engine, *, relaxed: bool = False) -> Iterator[Connection]:
    """As `writing`, for statements that need no common transaction: on PostgreSQL begin and commit are a round trip each."""
    if engine.dialect.name == "postgresql":
        with unavailable_store_said(), engine.connect() as connection, _autocommit(connection):
            yield connection
    else:
        with writing(engine, relaxed=relaxed) as connection:
            yield connection


@contextmanager
def _autocommit(connection: Connection) -> Iterator[None]:
    """Each statement by itself, on PostgreSQL. By the driver's own switch, which is no call of the server: SQLAlchemy's
    `isolation_level` is two of them, one there and one back."""
    if connection.dialect.name != "postgresql":
        yield
        return
    driver: Any = connection.connection.driver_connection
    driver.autocommit = True
    try:
        yield
    finally:
        if not driver.closed:
            driver.autocommit = False


def _turn(engine: Engine) -> AbstractContextManager[None]:
    """For one writer at a time, where the database has room for no more."""
    if engine.dialect.name != "sqlite":
        return nullcontext()
    return turn_at(engine.url.database or "", limit_s=SQLITE_BUSY_MS / 1000)


@contextmanager
def _synchronous(connection: Connection, relaxed: bool) -> Iterator[None]:
    if not relaxed or connection.dialect.name != "sqlite":
        yield
        return
    driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    driver.execute("PRAGMA synchronous = NORMAL")
    try:
        yield
    finally:
        driver.execute("PRAGMA synchronous = FULL")


def store_now(connection: Connection) -> datetime:
    """Naive UTC: the database's clock on PostgreSQL, so that processes with wrong clocks agree; an SQLite file has one
    machine's anyway."""
    if connection.dialect.name == "postgresql":
        moment: datetime = connection.execute(select(func.timezone("UTC", func.clock_timestamp()))).scalar_one()
        return moment
    return datetime.now(UTC).replace(tzinfo=None)


def _postgresql_engine(url: str, pool_size: int) -> Engine:
    try:
        engine = create_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_use_lifo=True,  # few of them are used again and again: the check of one that was idle is a round trip
            pool_timeout=5,
            # A server that has vanished (no RST, as when its host loses power) is noticed within 10 s, not after hours.
            connect_args={
                "connect_timeout": 3,
                "tcp_user_timeout": 8000,
                "keepalives_idle": 4,
                "keepalives_interval": 2,
                "keepalives_count": 2,
            },
        )
    except Exception as error:  # SQLAlchemy raises a different one for each thing that can be wrong with a URL
        raise BadSetting("DATAPUSHER_SQLALCHEMY_DATABASE_URI", f"cannot be used: {error}") from error
    event.listen(engine, "connect", _let_go_when_idle)
    _check_idle_connections(engine)
    return engine


def _let_go_when_idle(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    """Has PostgreSQL end a transaction that nobody goes on with. By a statement: PgBouncer takes no startup option for it."""
    driver: Any = connection
    driver.autocommit = True
    with driver.cursor() as cursor:
        cursor.execute("SET idle_in_transaction_session_timeout = %s", (f"{IDLE_S * 1000:.0f}ms",))
    driver.autocommit = False


def _check_idle_connections(engine: Engine) -> None:
    """Before use, so that nobody notices a restart of the server: one that is dead is replaced, and all older ones with it."""

    def used(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        record.info[USED_AT] = time.monotonic()

    def check(connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
        if time.monotonic() - record.info[USED_AT] > TRUSTED_S:
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as error:
                raise InvalidatePoolError from error

    event.listen(engine, "connect", used)
    event.listen(engine, "checkin", used)
    event.listen(engine, "checkout", check)


def _bring_up_to_date(engine: Engine) -> None:
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        fresh = not inspect(connection).has_table(schema_version.name)
        if fresh:
            move_away(connection)
        metadata.create_all(connection)
        _migrate(connection, VERSION if fresh else _version(connection), fresh)


def _version(connection: Connection) -> int:
    return int(connection.execute(select(schema_version.c.version)).scalar_one())


def _migrate(connection: Connection, version: int, fresh: bool) -> None:
    if fresh:
        connection.execute(insert(schema_version).values(version=VERSION))
        return
    if version > VERSION:
        raise BadSetting(
            "DATAPUSHER_SQLALCHEMY_DATABASE_URI", f"its tables have version {version}, newer than {VERSION}: update Data Pusher"
        )
    for step in range(version + 1, VERSION + 1):
        for statement in MIGRATIONS[step]:
            connection.execute(text(statement))
    if version != VERSION:
        connection.execute(update(schema_version).values(version=VERSION))
