"""CKAN's two databases and their roles, made as CKAN's manual has them made and dropped afterwards."""

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import psycopg2


@dataclass(frozen=True)
class CkanDatabases:
    """postgresql:// URLs. *datastore_admin_url* is the server's user, who may do everything, in DataStore's database."""

    ckan_url: str
    write_url: str
    read_url: str
    datastore_admin_url: str


@contextlib.contextmanager
def ckan_databases(server_url: str) -> Iterator[CkanDatabases]:
    """*server_url*: a user who may make databases and roles. One role owns and writes, another may only read."""
    mark = uuid.uuid4().hex[:8]
    password = uuid.uuid4().hex
    writer, reader, ckan, datastore = (f"{name}_{mark}" for name in ("ckan", "datastore", "ckan", "datastore"))
    for role in (writer, reader):
        execute(server_url, f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
    for database in (ckan, datastore):
        execute(server_url, f"CREATE DATABASE {database} OWNER {writer} ENCODING 'UTF8' TEMPLATE template0")
    try:
        yield CkanDatabases(
            ckan_url=_url(server_url, ckan, f"{writer}:{password}"),
            write_url=_url(server_url, datastore, f"{writer}:{password}"),
            read_url=_url(server_url, datastore, f"{reader}:{password}"),
            datastore_admin_url=_url(server_url, datastore),
        )
    finally:
        for database in (ckan, datastore):
            execute(server_url, f"DROP DATABASE {database} WITH (FORCE)")
        for role in (writer, reader):
            execute(server_url, f"DROP ROLE {role}")


def execute(url: str, statements: str) -> None:
    connection = psycopg2.connect(url, connect_timeout=10)
    try:
        connection.autocommit = True
        connection.cursor().execute(statements)
    finally:
        connection.close()


def _url(server_url: str, database: str, account: str | None = None) -> str:
    """*server_url* for another database and account."""
    parts = urlsplit(server_url)
    own_account, _, host = parts.netloc.rpartition("@")
    netloc = f"{account or own_account}@{host}"
    return str(urlunsplit(parts._replace(netloc=netloc, path=f"/{database}")))
