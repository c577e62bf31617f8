"""PostgreSQL's column types, as far as the DataStore uses them: what each accepts, keeps and gives back.

A value comes as parsed JSON, is kept in SQLite as `Stored`, and leaves as something orjson can write. numeric is
kept as PostgreSQL would print it, so that no digit is lost. Messages are PostgreSQL 15's, since clients match on them.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson

from sandbox.literals import Accept, BadValue, Stored, literal
from sandbox.moments import NotAMoment, OutOfRange, in_utc, parse_day, parse_moment, parse_time
from sandbox.numerics import float_type, integer_type, scaled_numeric, show_float, show_numeric
from sandbox.numerics import numeric as accept_numeric
from sandbox.refusals import InternalError

#: What is kept to what orjson writes. Never called with None.
Show = Callable[[Stored], object]

_TRUE = ("t", "true", "y", "yes", "on", "1", "tr", "tru", "ye")
_FALSE = ("f", "false", "n", "no", "off", "0", "fa", "fal", "fals", "of")


@dataclass(frozen=True)
class PgType:
    """*short* is pg_type.typname (what datastore_search calls it), *native* the SQL name (what messages call it)."""

    short: str
    native: str
    accept: Accept
    show: Show
    #: SQL after the column's name in SQLite; a collation gives PostgreSQL's order.
    sqlite: str = ""


def parse_type(name: str) -> PgType | None:
    """The type *name* declares (`int`, `numeric(12,2)`, `text[]`, `json`, …), None when there is no such type."""
    wanted = " ".join(name.lower().split())
    scaled = re.fullmatch(r"(?:numeric|decimal)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)", wanted)
    if scaled:
        accept = scaled_numeric(int(scaled[1]), int(scaled[2] or 0))
        return PgType("numeric", "numeric", accept, show_numeric, "COLLATE pgnumeric")
    if wanted.endswith("[]") or (wanted.startswith("_") and wanted != "_"):
        inner = parse_type(wanted[:-2] if wanted.endswith("[]") else wanted[1:])
        return inner and PgType(f"_{inner.short}", f"{inner.native}[]", _array, _as_fragment)
    return _TYPES.get(wanted)


def _text(value: object) -> Stored:
    if type(value) is str:
        if "\0" in value:
            raise InternalError
        return value
    if value is None or isinstance(value, dict):
        return None if value is None else literal(value)
    if isinstance(value, list):
        return "{" + ",".join(_array_item(item) for item in value) + "}"
    return str(value).lower() if isinstance(value, bool) else accept_numeric(value)


def _array_item(value: object) -> str:
    if value is None:
        return "NULL"
    return str(value).lower()[0] if isinstance(value, bool) else str(_text(value))


def _varchar(value: object) -> Stored:
    return None if value == "" else _text(value)  # only type `text` keeps the empty string


def _uuid(value: object) -> Stored:
    if value is None or value == "":
        return None
    text = literal(value)
    try:
        return str(UUID(text))
    except ValueError:
        raise BadValue(f'invalid input syntax for type uuid: "{text}"') from None


def _boolean(value: object) -> Stored:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return int(value)
    text = literal(value)
    if text.strip().lower() in _TRUE:
        return 1
    if text.strip().lower() in _FALSE:
        return 0
    raise BadValue(f'invalid input syntax for type boolean: "{text}"')


def _moment(native: str, parse: Callable[[str], str]) -> Accept:
    """A type written as date and time; *parse* turns the text into what is kept."""

    def accept(value: object) -> Stored:
        if value is None or value == "":
            return None
        text = literal(value)
        try:
            return parse(text)
        except NotAMoment:
            raise BadValue(f'invalid input syntax for type {native}: "{text}"') from None
        except (OutOfRange, OverflowError):
            raise BadValue(f'date/time field value out of range: "{text}"') from None

    return accept


def _timestamp(text: str) -> str:
    if text[4:5] == "-" and text[7:8] == "-" and text[19:20] in ("", ".") and len(text) <= 26:  # the usual shape: in C
        try:
            return datetime.fromisoformat(text).replace(tzinfo=None).isoformat(timespec="microseconds")
        except ValueError:
            pass
    return parse_moment(text).replace(tzinfo=None).isoformat(timespec="microseconds")


def _timestamptz(text: str) -> str:
    moment = in_utc(parse_moment(text))
    fraction = f".{moment.microsecond:06}".rstrip("0").rstrip(".")
    return f"{moment.replace(tzinfo=None, microsecond=0).isoformat()}{fraction}+00:00"


def _date(text: str) -> str:
    return parse_day(text).isoformat()


def _time(text: str) -> str:
    return parse_time(text).isoformat()


def _json(value: object) -> Stored:
    return None if value is None else json.dumps(value)


def _jsonb(value: object) -> Stored:
    if value is None or value == "":
        return None
    try:
        return json.dumps(json.loads(literal(value)))
    except ValueError:
        raise BadValue("invalid input syntax for type json") from None


def _array(value: object) -> Stored:
    if value is None or value == "":
        return None
    if isinstance(value, list):
        return json.dumps(value)
    text = literal(value)
    if not (text.startswith("{") and text.endswith("}")):
        raise BadValue(f'malformed array literal: "{text}"')
    return json.dumps(text[1:-1].split(",") if text != "{}" else [])


def _as_fragment(stored: Stored) -> object:
    return orjson.Fragment(str(stored))


def _as_kept(stored: Stored) -> object:
    return stored


def _table_of_types() -> dict[str, PgType]:
    """Every spelling a `fields` entry may use."""
    text = PgType("text", "text", _text, _as_kept)
    numeric = PgType("numeric", "numeric", accept_numeric, show_numeric, "COLLATE pgnumeric")
    whole: dict[tuple[str, ...], PgType] = {
        names: PgType(names[0], native, integer_type(native, bits), _as_kept)
        for names, native, bits in (
            (("int4", "int", "integer"), "integer", 32),
            (("int8", "bigint"), "bigint", 64),
            (("int2", "smallint"), "smallint", 16),
        )
    }
    others: dict[tuple[str, ...], PgType] = {
        ("text",): text,
        ("varchar", "character varying"): PgType("varchar", "character varying", _varchar, _as_kept),
        ("uuid",): PgType("uuid", "uuid", _uuid, _as_kept),
        ("numeric", "decimal"): numeric,
        ("float8", "float", "double precision"): PgType(
            "float8", "double precision", float_type("double precision"), show_float
        ),
        ("float4", "real"): PgType("float4", "real", float_type("real"), show_float),
        ("bool", "boolean"): PgType("bool", "boolean", _boolean, bool),
        ("timestamp", "timestamp without time zone"): PgType(
            "timestamp", "timestamp without time zone", _moment("timestamp", _timestamp), lambda kept: str(kept)[:23]
        ),
        ("timestamptz", "timestamp with time zone"): PgType(
            "timestamptz", "timestamp with time zone", _moment("timestamp with time zone", _timestamptz), _as_kept
        ),
        ("date",): PgType("date", "date", _moment("date", _date), _as_kept),
        ("time", "time without time zone"): PgType("time", "time without time zone", _moment("time", _time), _as_kept),
        ("nested", "json"): PgType("nested", "nested", _json, _as_fragment),
        ("jsonb",): PgType("jsonb", "jsonb", _jsonb, _as_fragment),
    }
    return {name: pg_type for names, pg_type in (whole | others).items() for name in names}


_TYPES = _table_of_types()
