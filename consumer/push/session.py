"""One connection to a DataStore's database and the transaction that a load happens in.

Every setting is SET LOCAL, so that a connection pool in between (pgbouncer) hands nothing of it to others.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from consumer.push.pg_errors import translated
from schemas.errors import Postponed, Transient

CONNECT_TIMEOUT_S = 10

#: First key of the advisory locks, so that they meet nobody else's: "data" in ASCII.
LOCK_SPACE = 0x64617461

_SETTINGS = """
SET LOCAL standard_conforming_strings = on;
SET LOCAL timezone = 'UTC';
SET LOCAL client_min_messages = error;
SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL jit = off"""

#: From PostgreSQL 14 on: a backend whose loader was killed ends within a second, in the middle of a statement too.
_CHECK_CLIENT = "SET LOCAL client_connection_check_interval = '1s'"


def connect(write_url: str) -> Connection:
    """Raises psycopg2.OperationalError. TCP keepalives tell within a minute that a server is gone."""
    url = "postgresql://" + write_url.split("://", 1)[1]
    return psycopg2.connect(
        url, connect_timeout=CONNECT_TIMEOUT_S, application_name="datapusher", client_encoding="utf8",
        keepalives=1, keepalives_idle=20, keepalives_interval=10, keepalives_count=4,
    )  # fmt: skip


@contextmanager
def transaction(write_url: str) -> Iterator[Connection]:
    """One transaction on a connection of its own: committed at the end, rolled back whatever else happens.

    Raises PostgreSQL's errors as ours (pg_errors.translated); what else the block raises passes through.
    """
    connection = _connected(write_url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(_SETTINGS + (f";\n{_CHECK_CLIENT}" if connection.server_version >= 140000 else ""))
        yield connection
        connection.commit()
    except (psycopg2.Error, SystemError) as error:
        raise translated(error) from error
    finally:
        # Not a polite rollback first: the connection may be in any state, and closing it undoes everything.
        connection.close()


def _connected(write_url: str) -> Connection:
    """Raises Transient: whether a server is down or an address wrong, somebody has to see to it, and then it works."""
    try:
        return connect(write_url)
    except psycopg2.Error as error:
        told = next(iter(str(error).strip().splitlines()), "")
        raise Transient(f"The DataStore's database cannot be reached: {_without_password(told, write_url)}") from None


def _without_password(text: str, url: str) -> str:
    """libpq quotes what it cannot parse, and that may be the password."""
    try:
        password = urlsplit(url).password or ""
    except ValueError:
        return "DATAPUSHER_DATASTORE_WRITE_URL is no address of a database"
    for secret in filter(None, (password, unquote(password))):
        text = text.replace(secret, "…")
    return text


def lock_resource(cursor: Cursor, resource_id: str) -> None:
    """The right to load this resource, until the transaction ends. Raises Postponed if another load has it."""
    cursor.execute("SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", (LOCK_SPACE, resource_id))
    if cursor.fetchone() != (True,):
        raise Postponed("Another load of this resource is still running in the DataStore's database.")


@contextmanager
def savepoint(cursor: Cursor) -> Iterator[None]:
    """Undoes what the block did if it raises; the transaction stays usable."""
    cursor.execute("SAVEPOINT step")
    try:
        yield
    except BaseException:
        if not cursor.connection.closed:
            cursor.execute("ROLLBACK TO SAVEPOINT step; RELEASE SAVEPOINT step")
        raise
    cursor.execute("RELEASE SAVEPOINT step")


@contextmanager
def looking(cursor: Cursor) -> Iterator[None]:
    """For reading the catalogue: what the block locked is free again behind it. (pg_get_viewdef locks a view's tables
    until the transaction ends; somebody's ALTER TABLE would then wait for the whole load, and readers behind it.)"""
    cursor.execute("SAVEPOINT look")
    yield
    cursor.execute("ROLLBACK TO SAVEPOINT look; RELEASE SAVEPOINT look")
