"""The DataStore's tables on SQLite: created, altered, dropped and described, one transaction a call.

Thread-safe: one connection, one lock; a call sees no half-done other call. Rows are written by `records`, read by `search`.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

from sandbox.numerics import compare_numerics
from sandbox.records import write
from sandbox.refusals import InternalError, NotFound, ValidationError
from sandbox.search import Page, Query, count_rows, page, rows_by_id, where
from sandbox.tables import NAME_MAX_BYTES, Table, check_field_names, guess_type, is_valid_alias

_Result = TypeVar("_Result")
_UNIQUENESS = "Cannot insert records or create index because of uniqueness constraint"


class Datastore:
    """All tables. *path* is a file or `:memory:`; nothing is read back from an old file."""

    def __init__(self, path: str = ":memory:") -> None:
        self.tables: dict[str, Table] = {}
        self._lock = threading.RLock()
        self._made = 0
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.create_collation("pgnumeric", compare_numerics)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def find(self, name: str, kind: str = "Resource") -> Table:
        """The table of a resource id or an alias. Raises NotFound."""
        with self._lock:
            if name in self.tables:
                return self.tables[name]
            for table in self.tables.values():
                if name in table.aliases:
                    return table
        raise NotFound(f'{kind} "{name}" was not found.')

    def create(self, resource_id: str, call: Mapping[str, object]) -> None:
        """What datastore_create does to the table: make or extend it, insert the records, index, alias."""
        fields = list_of_dicts(call.get("fields"))
        check_field_names(fields)
        with self._lock:
            table = self.tables.get(resource_id)
            if table is None:
                self._create_new(resource_id, fields, call)
            else:
                self._in_transaction(table, lambda: self._extend(table, fields, call))

    def upsert(self, table: Table, call: Mapping[str, object]) -> list[dict[str, object]] | None:
        """What datastore_upsert does; the rows as they are now when `include_records` was asked for."""
        method = str(call.get("method") or "upsert")
        dry_run = bool(call.get("dry_run"))
        with self._lock:

            def work() -> list[dict[str, object]] | None:
                ids = write(self._db, table, method, call.get("records"))
                if call.get("include_records") and method == "insert" and len(ids) > 1:
                    raise InternalError  # SEEN in 2.12: several rows are sent at once, and nothing comes back
                return rows_by_id(self._db, table, ids) if call.get("include_records") else None

            return self._in_transaction(table, work, keep=not dry_run)

    def delete(self, table: Table, filters: Mapping[str, object] | None) -> None:
        """Drops the table when *filters* is None, else deletes the rows they match ({} = all)."""
        with self._lock:
            if filters is None:
                self._db.execute(f"DROP TABLE {table.name}")
                del self.tables[table.resource_id]
            else:
                condition, values = where(table, filters)
                self._db.execute(f"DELETE FROM {table.name} {condition}", values)

    def search(self, table: Table, query: Query) -> Page:
        with self._lock:
            return page(self._db, table, query)

    def count(self, table: Table) -> int:
        with self._lock:
            return count_rows(self._db, table)

    def _create_new(self, resource_id: str, fields: list[dict[str, object]], call: Mapping[str, object]) -> None:
        self._made += 1
        table = Table(resource_id, f"t{self._made}")
        self._check_new_fields(fields)
        rows = first_record(call.get("records"), known_table=False)
        self.tables[resource_id] = table
        try:
            self._in_transaction(table, lambda: self._make(table, fields, rows, call))
        except BaseException:
            del self.tables[resource_id]
            raise

    def _check_new_fields(self, fields: list[dict[str, object]]) -> None:
        names = [str(field["id"]) for field in fields]
        too_long = [name for name in names if len(name) > NAME_MAX_BYTES]
        if too_long:
            messages = [f'Column heading "{name}" exceeds limit of {NAME_MAX_BYTES} characters.' for name in too_long]
            raise ValidationError({"fields": messages})
        if len(set(names)) < len(names):
            raise ValidationError({"field": ["Duplicate column names are not supported"]})

    def _make(
        self, table: Table, fields: list[dict[str, object]], first: Mapping[str, object], call: Mapping[str, object]
    ) -> None:
        self._add_fields(table, fields, first)
        slots = "".join(f", {column.slot} {column.type.sqlite}" for column in table.columns)
        self._db.execute(f"CREATE TABLE {table.name} (_id INTEGER PRIMARY KEY{slots})")
        self._fill(table, call)

    def _extend(self, table: Table, fields: list[dict[str, object]], call: Mapping[str, object]) -> None:
        first = first_record(call.get("records"), known_table=True)
        before = len(table.columns)
        new = [field for field in fields if table.column(str(field["id"])) is None]
        self._add_fields(table, new, first if fields else {})
        for column in table.columns[before:]:
            self._db.execute(f"ALTER TABLE {table.name} ADD COLUMN {column.slot} {column.type.sqlite}")
        for field in fields:
            column_of = table.column(str(field["id"]))
            if column_of is not None and isinstance(field.get("info"), dict):
                column_of.info = field["info"]  # type: ignore[assignment]
        if call.get("delete_fields") and fields:
            keep = {str(field["id"]) for field in fields} | set(first)
            table.columns = [column for column in table.columns if column.name in keep]
        self._fill(table, call)

    def _add_fields(self, table: Table, fields: list[dict[str, object]], first: Mapping[str, object]) -> None:
        for field in fields:
            name = str(field["id"])
            if "type" not in field and name not in first:
                raise ValidationError({"fields": [f'"{name}" type not guessable']})
            declared = field["type"] if "type" in field else guess_type(first[name])
            table.add(name, _declared(declared), field.get("info"))
        for name, value in first.items():
            if table.column(name) is None:
                table.add(name, guess_type(value))

    def _fill(self, table: Table, call: Mapping[str, object]) -> None:
        write(self._db, table, "insert", call.get("records"))
        self._index(table, call)
        if call.get("aliases") is not None:
            self._alias(table, names_in(call["aliases"]))

    def _index(self, table: Table, call: Mapping[str, object]) -> None:
        if call.get("indexes") is not None:
            table.indexes = [names_in(index) for index in _entries(call["indexes"])]
            _check_index_columns(table, _entries(call["indexes"]))
        if call.get("primary_key") is not None:
            key = names_in(call["primary_key"])
            _check_index_columns(table, [key])
            self._make_unique(table, key)

    def _make_unique(self, table: Table, key: list[str]) -> None:
        self._db.execute(f"DROP INDEX IF EXISTS {table.name}_key")
        table.primary_key = key
        slots = ", ".join(column.slot for column in table.columns if column.name in key)
        if not key:
            return
        try:
            self._db.execute(f"CREATE UNIQUE INDEX {table.name}_key ON {table.name} ({slots})")
        except sqlite3.IntegrityError as error:
            raise ValidationError({"constraints": [_UNIQUENESS], "info": {"pgcode": "23505"}}) from error

    def _alias(self, table: Table, aliases: list[str]) -> None:
        for alias in aliases:
            if not is_valid_alias(alias):
                raise ValidationError({"alias": [f'"{alias}" is not a valid alias name']})
            owner = next((other for other in self.tables.values() if alias in other.aliases), table)
            if owner is not table or alias in self.tables:
                raise ValidationError({"alias": [f'The alias "{alias}" already exists.']})
        table.aliases = aliases

    def _in_transaction(self, table: Table, work: Callable[[], _Result], *, keep: bool = True) -> _Result:
        """*work*, all or nothing, in SQLite and in *table*; the ids it took stay taken."""
        before = table.snapshot()
        try:
            with self._transaction(keep):
                return work()
        except BaseException:
            before.next_id = table.next_id
            vars(table).update(vars(before))
            raise

    @contextmanager
    def _transaction(self, keep: bool) -> Iterator[None]:
        self._db.execute("BEGIN")
        try:
            yield
        except UnicodeEncodeError as error:  # a lone surrogate: psycopg2 stumbles over it just the same
            self._db.execute("ROLLBACK")
            raise InternalError from error
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT" if keep else "ROLLBACK")


def list_of_dicts(value: object) -> list[dict[str, object]]:
    """`fields` as sent. Raises ValidationError when it is anything but a list of objects."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValidationError({"fields": ["Please enter a list of objects"]})
    return value


def first_record(value: object, *, known_table: bool) -> dict[str, object]:
    """The record new columns are guessed from, {} when there is none. CKAN words the refusal in two ways."""
    if not value:
        return {}
    if not isinstance(value, list) and known_table:
        raise ValidationError({"records": ["Records has to be a list of dicts"]})
    if not isinstance(value, list | str):
        raise InternalError
    if not isinstance(value[0], dict):
        raise ValidationError({"records": ["The first row is not a json object"]})
    return value[0]


def names_in(value: object) -> list[str]:
    """A list of names, given as a list or as one string with commas."""
    if isinstance(value, str):
        return [name.strip().strip('"') for name in value.split(",") if name.strip()]
    return [str(name) for name in value] if isinstance(value, list) else []


def _entries(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else names_in(value)


def _declared(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise InternalError  # CREATE TABLE ("a" ) is a syntax error CKAN does not expect
    return value


def _check_index_columns(table: Table, indexes: Sequence[object]) -> None:
    for index in indexes:
        if any(table.column(name) is None for name in names_in(index)):
            raise ValidationError({"index": [f'The field "{index}" is not a valid column name.']})
