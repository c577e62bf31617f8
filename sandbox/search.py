"""Reading tables: datastore_search's filters, order, paging and formats."""

import csv
import io
import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from sandbox.literals import BadValue, Stored, WrongKind
from sandbox.pgtypes import PgType
from sandbox.refusals import ValidationError
from sandbox.tables import Column, Table

_OPERATORS = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_SORT = re.compile(r'\s*"?(?P<name>.*?)"?(?:\s+(?P<way>asc|desc))?(?:\s+nulls\s+(?P<nulls>first|last))?\s*', re.IGNORECASE)


@dataclass(frozen=True)
class Query:
    """What datastore_search was asked. *fields* None = all of them, `_id` first."""

    filters: Mapping[str, object] = field(default_factory=dict)
    fields: Sequence[str] | None = None
    sort: Sequence[str] = ()
    limit: int = 100
    offset: int = 0
    distinct: bool = False
    records_format: str = "objects"
    include_total: bool = True


@dataclass(frozen=True)
class Page:
    """*records* as asked for: a list orjson can write, or a string for csv and tsv."""

    columns: list[Column]
    records: object
    total: int | None


def page(db: sqlite3.Connection, table: Table, query: Query) -> Page:
    """One page of *table*. Raises ValidationError for names that are not columns."""
    columns = _selected(table, query.fields)
    condition, values = where(table, query.filters)
    order = _order(table, query.sort)
    select = "DISTINCT " if query.distinct else ""
    slots = ", ".join(column.slot for column in columns)
    sql = f"SELECT {select}{slots} FROM {table.name} {condition} {order} LIMIT ? OFFSET ?"
    rows = db.execute(sql, [*values, query.limit, query.offset])
    total = _total(db, table, condition, values) if query.include_total else None
    return Page(columns, _formatted(query.records_format, columns, rows), total)


def rows_by_id(db: sqlite3.Connection, table: Table, ids: Sequence[int]) -> list[dict[str, object]]:
    """The rows with these `_id`s, in that order (`include_records`)."""
    columns = [ID_COLUMN, *table.columns]
    slots = ", ".join(column.slot for column in columns)
    sql = f"SELECT {slots} FROM {table.name} WHERE _id = ?"
    return [_as_object(columns, db.execute(sql, [row_id]).fetchone()) for row_id in ids]


def count_rows(db: sqlite3.Connection, table: Table) -> int:
    return int(db.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0])


def where(table: Table, filters: Mapping[str, object]) -> tuple[str, list[object]]:
    """`WHERE …` and its values for CKAN's filters: {name: value | [values] | {operator: value}}."""
    clauses: list[str] = []
    values: list[object] = []
    for name, wanted in filters.items():
        clause, more = _clause(_known(table, name), wanted)
        clauses.append(clause)
        values += more
    return ("WHERE " + " AND ".join(clauses) if clauses else ""), values


def _known(table: Table, name: str) -> Column:
    column = ID_COLUMN if name == "_id" else table.column(name)
    if column is None:
        raise ValidationError({"filters": [f"Unknown field: {name}"]})
    return column


def _clause(column: Column, wanted: object) -> tuple[str, list[object]]:
    if isinstance(wanted, list):
        return f"{column.slot} IN ({', '.join('?' * len(wanted))})", [_comparable(column, item) for item in wanted]
    if not isinstance(wanted, dict):
        return f"{column.slot} = ?", [_comparable(column, wanted)]
    parts = [f"{column.slot} {_operator(name)} ?" for name in wanted]
    return " AND ".join(parts) or "1", [_comparable(column, item) for item in wanted.values()]


def _operator(name: str) -> str:
    if name not in _OPERATORS:
        raise ValidationError({"filters": [f"Unknown filter operation: {name}"]})
    return _OPERATORS[name]


def _comparable(column: Column, value: object) -> Stored:
    try:
        return column.type.accept(value)
    except (BadValue, WrongKind) as error:
        raise ValidationError({"filters": [str(error)]}) from None


def _selected(table: Table, names: Sequence[str] | None) -> list[Column]:
    if names is None:
        return [ID_COLUMN, *table.columns]
    chosen: list[Column] = []
    for name in names:
        column = ID_COLUMN if name == "_id" else table.column(name)
        if column is None:
            raise ValidationError({"fields": [f'invalid value "{name}"']})
        chosen.append(column)
    return chosen


def _order(table: Table, sort: Sequence[str]) -> str:
    terms = [_sort_term(table, clause) for clause in sort]
    return "ORDER BY " + ", ".join(terms or ["_id"])


def _sort_term(table: Table, clause: str) -> str:
    match = _SORT.fullmatch(clause)
    column = match and (ID_COLUMN if match["name"] == "_id" else table.column(match["name"]))
    if not match or column is None:
        raise ValidationError({"sort": [f'invalid value "{clause}"']})
    way = (match["way"] or "asc").lower()
    nulls = (match["nulls"] or ("last" if way == "asc" else "first")).lower()  # PostgreSQL: null is the largest
    return f"{column.slot} {way} NULLS {nulls}"


def _total(db: sqlite3.Connection, table: Table, condition: str, values: list[object]) -> int:
    """The number of matches; without a filter it is CKAN's stored count, made now if there is none."""
    if condition:
        return int(db.execute(f"SELECT count(*) FROM {table.name} {condition}", values).fetchone()[0])
    if table.cached_count is None:
        table.cached_count = count_rows(db, table)
    return table.cached_count


def _formatted(kind: str, columns: list[Column], rows: Iterable[tuple[Stored, ...]]) -> object:
    if kind == "objects":
        return [_as_object(columns, row) for row in rows]
    if kind == "lists":
        return [_as_list(columns, row) for row in rows]
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t" if kind == "tsv" else ",", lineterminator="\n")
    writer.writerows([_as_csv(value) for value in _as_list(columns, row)] for row in rows)
    return out.getvalue()


def _as_object(columns: list[Column], row: tuple[Stored, ...]) -> dict[str, object]:
    return {column.name: _shown(column.type, value) for column, value in zip(columns, row, strict=True)}


def _as_list(columns: list[Column], row: tuple[Stored, ...]) -> list[object]:
    return [_shown(column.type, value) for column, value in zip(columns, row, strict=True)]


def _shown(pg_type: PgType, value: Stored) -> object:
    return None if value is None else pg_type.show(value)


def _as_csv(value: object) -> object:
    if isinstance(value, bool):
        return "t" if value else "f"
    return orjson.dumps(value).decode() if isinstance(value, orjson.Fragment) else value


def _as_kept(value: object) -> Stored:
    return value if isinstance(value, str | int | float) else None


ID_COLUMN = Column("_id", "int", PgType("int", "integer", _as_kept, _as_kept), "_id")
