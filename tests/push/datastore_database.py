"""A database shaped as CKAN's `datastore set-permissions` shapes it, and a table to load into it."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg2
import pyarrow as pa

from consumer.push.table import Batch, Column, Heading, Tally

#: Roles are the whole server's: one for each run.
READER = f"datastore_reader_{os.getpid()}"

#: What CKAN's SQL provides, in our words: the view that lists tables, the trigger's function.
SCHEMA = """
CREATE VIEW "_table_metadata" AS
SELECT DISTINCT substr(md5(t.relname || coalesce(b.relname, '')), 1, 16) AS "_id", t.relname AS name, t.oid AS oid,
       b.relname AS alias_of
FROM pg_class t LEFT JOIN pg_rewrite r ON r.ev_class = t.oid LEFT JOIN pg_depend d ON d.objid = r.oid
LEFT JOIN pg_class b ON b.oid = d.refobjid
WHERE (t.oid <> b.oid OR b.oid IS NULL) AND t.relkind IN ('r', 'v') AND t.relnamespace = 'public'::regnamespace
  AND NOT starts_with(t.relname::text, '_');
CREATE FUNCTION populate_full_text_trigger() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
    IF NEW._full_text IS NULL THEN
        NEW._full_text := (SELECT to_tsvector(string_agg(value, ' ')) FROM json_each_text(row_to_json(NEW.*))
                           WHERE NOT starts_with(key, '_'));
    END IF;
    RETURN NEW;
END $f$;
"""
STATS = 'CREATE TABLE "_table_stats" (resource_id name PRIMARY KEY, stats jsonb NOT NULL);'


class Datastore:
    """What tests ask of the database, each statement in a transaction of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.name = url.rsplit("/", 1)[1]

    @contextmanager
    def cursor(self) -> Iterator[Any]:
        connection = psycopg2.connect(self.url)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def run(self, statement: str) -> None:
        with self.cursor() as cursor:
            cursor.execute(statement)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self.cursor() as cursor:
            cursor.execute(query, values or None)
            return list(cursor.fetchall())

    def value(self, query: str, *values: object) -> Any:
        return self.rows(query, *values)[0][0]

    def as_ckan_2_12(self) -> None:
        self.run(STATS)

    def create(self, name: str, columns: str, rows: Sequence[Sequence[object]] = ()) -> None:
        """A table as `datastore_create` makes it."""
        self.run(
            f"""CREATE TABLE "{name}" (_id serial PRIMARY KEY, _full_text tsvector, {columns});
            CREATE TRIGGER zfulltext BEFORE INSERT OR UPDATE ON "{name}" FOR EACH ROW
            EXECUTE PROCEDURE populate_full_text_trigger()"""
        )
        with self.cursor() as cursor:
            for row in rows:
                places = ", ".join(["%s"] * len(row))
                cursor.execute(f'INSERT INTO "{name}" VALUES (DEFAULT, NULL, {places})', row)

    def leftovers(self) -> list[str]:
        """Relations that CKAN would not make: nothing may remain of a load."""
        return [
            name for (name,) in self.rows(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname LIKE '%\\_stg\\_%'"
            )
        ]  # fmt: skip


def reshape(url: str) -> Datastore:
    """Empties the database at *url* and makes it a DataStore of CKAN <= 2.11."""
    made = Datastore(url)
    made.run(
        f"""DROP SCHEMA public CASCADE; CREATE SCHEMA public;
        DO $$ BEGIN CREATE ROLE {READER}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
        {SCHEMA} GRANT USAGE ON SCHEMA public TO {READER};
        GRANT SELECT ON "_table_metadata" TO {READER};
        ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {READER}"""
    )
    return made


def text_column(position: int, name: str, **about: Any) -> Column:
    return Column(position, name, about.pop("label", None), **{"rich": "text", "ckan": "text", **about})


def number_column(position: int, name: str, **about: Any) -> Column:
    return text_column(position, name, **{"rich": "integer", "ckan": "numeric", **about})


@dataclass
class MadeTable:
    """A `table.Table` of given cells, in batches of *size* rows; *error* is raised behind the last."""

    columns: tuple[Column, ...]
    cells: Sequence[Sequence[str | None]]
    size: int = 1000
    error: Exception | None = None
    tally: Tally = field(default_factory=Tally)

    @property
    def heading(self) -> Heading:
        names = tuple(column.name for column in self.columns)
        return Heading("CSV", names, tuple(None for _ in names), 1)

    def batches(self) -> Iterator[Batch]:
        width = len(self.columns)
        for start in range(0, len(self.cells), self.size):
            rows = self.cells[start : start + self.size]
            arrays = [pa.array([row[position] for row in rows], pa.string()) for position in range(width)]
            batch = pa.RecordBatch.from_arrays(arrays, names=[f"c{position}" for position in range(width)])
            yield Batch(batch, range(start + 2, start + 2 + len(rows)))
        if self.error:
            raise self.error
