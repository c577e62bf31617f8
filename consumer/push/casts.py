"""The SQL that turns a staged text into the value of a column: convert.py's rules (table.Column), in PostgreSQL.

The session must have `DateStyle` as `date_order` says (`ISO, DMY` or `ISO, MDY`), time zone UTC, and
`standard_conforming_strings` on. Every expression is parallel safe.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from consumer.push.layouts import Layout
from consumer.push.printed import Form
from consumer.push.sql_text import literal
from consumer.push.table import Column

#: What PostgreSQL calls them, and what CKAN or a data dictionary may.
_ONE_NAME = {
    "int": "integer", "int4": "integer", "int8": "bigint", "int2": "smallint", "float8": "double precision",
    "float": "double precision", "float4": "real", "decimal": "numeric", "bool": "boolean", "varchar": "character varying",
    "string": "text", "timestamp": "timestamp without time zone", "timestamptz": "timestamp with time zone",
    "time": "time without time zone", "timetz": "time with time zone",
}  # fmt: skip
_NUMBERS = frozenset({"numeric", "integer", "bigint", "smallint", "double precision", "real"})
_TEXTS = frozenset({"text", "character varying", "character", "name"})
_MOMENTS = frozenset({"timestamp without time zone", "timestamp with time zone"})
#: Types that print a number with the digits that it was written with.
_EXACT = frozenset({"numeric", "integer", "bigint", "smallint"})
#: rich type -> types (without their modifier) that can hold its values unchanged, text aside.
_HOLDERS = {
    "integer": _NUMBERS, "decimal": _NUMBERS, "boolean": frozenset({"boolean"}), "date": _MOMENTS | {"date"},
    "timestamp": _MOMENTS, "time": frozenset({"time without time zone", "time with time zone"}),
    "json": frozenset({"json", "jsonb"}),
}  # fmt: skip


@dataclass(frozen=True)
class Output:
    """A column of the finished table and the SQL of its value, over the staging table's *cell* (`c0`, `c1`, …).

    printed  the SQL of the value as JSON shows it, where that needs no cast; None elsewhere.
    """

    name: str
    type: str
    expression: str
    cell: str
    printed: str | None = None


def plain_type(name: str) -> str:
    """PostgreSQL's own name of a type, its modifier kept: `int4` -> `integer`, `numeric(12,2)` as it is."""
    words = " ".join(name.lower().split())
    return _ONE_NAME.get(words, words)


def base_type(name: str) -> str:
    """As plain_type, without the modifier: `numeric(12,2)` -> `numeric`."""
    return plain_type(re.sub(r"\s*\([^)]*\)", "", name))


def holds(type_name: str, column: Column) -> bool:
    """Whether an existing column of *type_name* can take the values of *column* as they are. Text is left to
    PostgreSQL: it takes what it can read."""
    base = base_type(type_name)
    return column.rich == "text" or base in _TEXTS or base in _HOLDERS[column.rich]


def date_order(columns: Iterable[Column]) -> str:
    """`DMY` or `MDY`: the order that most columns of the table have, so that few need a rewrite."""
    orders = Counter(column.layout.order for column in columns if column.layout and not column.layout.strptime)
    return "DMY" if orders["dmy"] > orders["mdy"] else "MDY"


def output(column: Column, order: str, type_name: str | None = None, form: Form | None = None) -> Output:
    """The column as its own CKAN type, or as *type_name*; *order* is what `date_order` gave, *form* that of its texts."""
    wanted = type_name or column.ckan
    text = _without_tokens(column)
    expression = _typed(column, text, base_type(wanted), wanted, order)
    printed = _printed(column, text, plain_type(wanted), form.name) if form and form.misfits <= set(column.tokens) else None
    return Output(column.name, wanted, expression, f"c{column.position}", printed)


def _printed(column: Column, text: str, wanted: str, form: str) -> str | None:
    """A type with a modifier rounds, a layout of another kind reads the text otherwise."""
    layout = column.layout
    if form == "number" and wanted in _EXACT and column.decimal_mark == "." and not column.grouping:
        return text
    if layout and (layout.strptime or layout.offset or layout.order != "ymd" or layout.separator != "-"):
        return None
    if form == "day" and wanted == "date":
        return text
    if wanted == "timestamp without time zone":
        return {"day": f"({text} || 'T00:00:00')", "moment": f"replace({text}, ' ', 'T')"}.get(form)
    return None


def _typed(column: Column, text: str, base: str, wanted: str, order: str) -> str:
    if base == "text":
        return text
    if base in _TEXTS:
        return f"({text})::{wanted}"
    if column.rich in ("integer", "decimal"):
        return f"({_number(column, text)})::{wanted}"
    if column.rich in ("date", "timestamp") and column.layout:
        return _moment(column.layout, text, base, wanted, order)
    return f"({text})::{wanted}"


def _without_tokens(column: Column) -> str:
    cell = f"c{column.position}"
    if not column.tokens:
        return cell
    if len(column.tokens) == 1:
        return f"nullif({cell}, {literal(column.tokens[0])})"
    return f"CASE WHEN {cell} IN ({', '.join(map(literal, column.tokens))}) THEN NULL ELSE {cell} END"


def _number(column: Column, text: str) -> str:
    """`translate` maps the mark to a point and deletes what has no counterpart: the grouping."""
    if column.decimal_mark == "." and not column.grouping:
        return text
    return f"translate({text}, {literal(column.decimal_mark + column.grouping)}, '.')"


def _moment(layout: Layout, text: str, base: str, wanted: str, order: str) -> str:
    readable = _strptime(layout, text) if layout.strptime else _readable(layout, text, order)
    if base == "date" and not layout.offset:
        return f"({readable})::date"
    if not layout.offset or base == "timestamp with time zone":
        return f"({readable})::{wanted}"
    utc = f"(({readable})::timestamp with time zone AT TIME ZONE 'UTC')"
    return utc if wanted == "timestamp" else f"{utc}::{wanted}"


def _readable(layout: Layout, text: str, order: str) -> str:
    """A text that PostgreSQL's input reads, given DateStyle *order*."""
    if layout.meridiem and layout.offset:
        # It reads `3:27 pm-05:00` without complaint, and wrongly: am and the offset's sign turned.
        text = f"regexp_replace({text}, '([AaPp][Mm])([Z+-])', '\\1 \\2')"
    if layout.month_name:
        return _named_month(layout, text)
    if layout.order == "ymd" or layout.order == order.lower():
        return text
    part, mark = "([0-9]{1,2})", f"[{layout.separator}]"
    turned = r"\3-\2-\1" if layout.order == "dmy" else r"\3-\1-\2"
    return f"regexp_replace({text}, '^{part}{mark}{part}{mark}([0-9]{{4}})', '{turned}')"


def _named_month(layout: Layout, text: str) -> str:
    """PostgreSQL reads these in any DateStyle, but takes 69 for 2069, and no `T` behind `31-Jan-2024`."""
    if layout.time and layout.separator == "-":
        text = f"regexp_replace({text}, 'T([0-9])', ' \\1')"
    return f"regexp_replace({text}, '([ -])69($|[T ])', '\\11969\\2')"


# ------------------------------------------------------------------------------------------------------ *date_format*

_PARTS = {"%Y": "([0-9]{4})", "%y": "([0-9]{2})", "%m": "([0-9]{1,2})", "%d": "([0-9]{1,2})", "%b": "([A-Za-z]+)",
          "%B": "([A-Za-z]+)", "%H": "([0-9]{1,2})", "%I": "([0-9]{1,2})", "%M": "([0-9]{1,2})", "%S": "([0-9]{1,2})",
          "%f": "([0-9]{1,6})", "%p": "([AaPp][Mm])"}  # fmt: skip


def _strptime(layout: Layout, text: str) -> str:
    """`regexp_replace` to `Y-m-d H:M:S.f p`. At most eight directives, so nine groups are enough."""
    pieces = re.split("(%.)", layout.strptime or "")
    touching = any(not between for between in pieces[2:-1:2])
    found = [piece for piece in pieces[1::2] if piece in _PARTS]
    pattern = "".join(_piece(piece, touching) for piece in pieces)
    wanted = _rewritten({name: f"\\{number}" for number, name in enumerate(found, 1)})
    rewritten = f"regexp_replace({text}, {literal(f'^{pattern}$')}, {literal(wanted)})"
    if not layout.short_year:
        return rewritten
    # Year first now: 69-99 are of the last century, as in the rules.
    return f"(CASE WHEN left({rewritten}, 2) >= '69' THEN '19' ELSE '20' END || {rewritten})"


def _piece(piece: str, touching: bool) -> str:
    if piece == "%%":
        return "%"
    if piece not in _PARTS:
        return re.sub(r"([^\w\s])", r"\\\1", piece)
    return _PARTS[piece].replace("{1,2}", "{2}") if touching else _PARTS[piece]


def _rewritten(group: dict[str, str]) -> str:
    year, month = group.get("%Y") or group["%y"], group.get("%m") or group.get("%b") or group["%B"]
    day = f"{year}-{month}-{group['%d']}"
    hour = group.get("%H") or group.get("%I")
    if hour is None:
        return day
    fraction = f".{group['%f']}" if "%f" in group else ""
    meridiem = f" {group['%p']}" if "%p" in group else ""
    return f"{day} {hour}:{group.get('%M', '00')}:{group.get('%S', '00')}{fraction}{meridiem}"
