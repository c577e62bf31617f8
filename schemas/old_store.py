"""Makes room where a store is to be that holds the tables of the service before: DataPusher with ckanserviceprovider.

An installation that keeps its DATAPUSHER_SQLALCHEMY_DATABASE_URI has a table `jobs` there that is not ours. Nothing of it is
read or deleted; docs/from-datapusher.md tells why, and where it is then.
"""

import logging

from sqlalchemy import Connection, inspect, text

logger = logging.getLogger(__name__)

#: All that ckanserviceprovider makes (ckanserviceprovider/db.py), and its scheduler.
TABLES = ("metadata", "logs", "jobs", "apscheduler_jobs")
#: A schema on PostgreSQL, the beginning of the names on SQLite.
AWAY = "ckanserviceprovider"


def move_away(connection: Connection) -> None:
    """Moves such tables out of the way, in the transaction of *connection*; does nothing where there are none."""
    there = set(inspect(connection).get_table_names()) & set(TABLES)
    if "jobs" not in there or not _is_theirs(connection):
        return
    move = _to_schema if connection.dialect.name == "postgresql" else _to_name
    for table in (table for table in TABLES if table in there):
        move(connection, table)
    logger.warning("tables of the old DataPusher are moved away, to %s: %s", AWAY, ", ".join(sorted(there)))


def _is_theirs(connection: Connection) -> bool:
    names = {column["name"] for column in inspect(connection).get_columns("jobs")}
    return "status" in names and "state" not in names


def _to_schema(connection: Connection, table: str) -> None:
    """Indexes and their names go along."""
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {AWAY}"))
    connection.execute(text(f"ALTER TABLE {table} SET SCHEMA {AWAY}"))


def _to_name(connection: Connection, table: str) -> None:
    """SQLite has no schemas, and names of indexes are of the whole file."""
    for index in inspect(connection).get_indexes(table):
        connection.execute(text(f'DROP INDEX "{index["name"]}"'))
    connection.execute(text(f"ALTER TABLE {table} RENAME TO {AWAY}_{table}"))
