"""PostgreSQL's column types, as far as the DataStore uses them: what each accepts, keeps and gives back.

A value comes as parsed JSON, is kept in SQLite as `Stored`, and leaves as something orjson can write. numeric is
kept as PostgreSQL would print it, so that no digit is lost. Messages are PostgreSQL 15's, since clients match on them.
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from uuid import UUID

import orjson

from sandbox.moments import NotAMoment, OutOfRange, in_utc, parse_day, parse_moment, parse_time
from sandbox.refusals import InternalError

Stored = str | int | float | None
#: One value of a record to what is kept. Raises BadValue; InternalError where CKAN itself breaks.
Accept = Callable[[object], Stored]
#: What is kept to what orjson writes. Never called with None.
Show = Callable[[Stored], object]

_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?", re.ASCII)
_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)
_INTEGER = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
_NOT_FINITE = {
    "nan": "NaN", "infinity": "Infinity", "+infinity": "Infinity", "inf": "Infinity", "+inf": "Infinity",
    "-infinity": "-Infinity", "-inf": "-Infinity",
}  # fmt: skip
_TRUE = ("t", "true", "y", "yes", "on", "1", "tr", "tru", "ye")
_FALSE = ("f", "false", "n", "no", "off", "0", "fa", "fal", "fals", "of")
_MAX_NUMERIC_DIGITS = 131_072  # digits before the decimal point


class BadValue(Exception):
    """PostgreSQL refuses the value; the message is its own."""


class WrongKind(Exception):
    """The JSON value is of a kind that has no cast to the column's type; *kind* is PostgreSQL's name for it."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


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
        return _scaled_numeric(int(scaled[1]), int(scaled[2] or 0))
    if wanted.endswith("[]") or (wanted.startswith("_") and wanted != "_"):
        inner = parse_type(wanted[:-2] if wanted.endswith("[]") else wanted[1:])
        return inner and PgType(f"_{inner.short}", f"{inner.native}[]", _array, _as_fragment)
    return _TYPES.get(wanted)


def kind_of(value: object) -> str:
    """PostgreSQL's name for the literal psycopg2 makes of a JSON value."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer" if -(2**31) <= value < 2**31 else "bigint" if -(2**63) <= value < 2**63 else "numeric"
    if isinstance(value, float):
        return "numeric"
    if isinstance(value, dict):
        raise BadValue("can't adapt type 'dict'")
    if isinstance(value, list):
        return f"{kind_of(value[0]).removesuffix('[]')}[]" if value else "text[]"
    return "text"


def _literal(value: object) -> str:
    """*value* as text, when it is text; anything else has no cast."""
    if isinstance(value, str):
        if "\0" in value:
            raise InternalError  # psycopg2 refuses it with a ValueError that CKAN does not expect
        return value
    if isinstance(value, list) and all(item is None for item in value):
        return str(_text(value))  # such a list is sent as text: '{}'
    raise WrongKind(kind_of(value))


def _text(value: object) -> Stored:
    if type(value) is str:
        if "\0" in value:
            raise InternalError
        return value
    if value is None or isinstance(value, dict):
        return None if value is None else _literal(value)
    if isinstance(value, list):
        return "{" + ",".join(_array_item(item) for item in value) + "}"
    return str(value).lower() if isinstance(value, bool) else _numeric(value)


def _array_item(value: object) -> str:
    if value is None:
        return "NULL"
    return str(value).lower()[0] if isinstance(value, bool) else str(_text(value))


def _varchar(value: object) -> Stored:
    return None if value == "" else _text(value)  # only type `text` keeps the empty string


def _uuid(value: object) -> Stored:
    if value is None or value == "":
        return None
    text = _literal(value)
    try:
        return str(UUID(text))
    except ValueError:
        raise BadValue(f'invalid input syntax for type uuid: "{text}"') from None


def _numeric(value: object) -> Stored:
    if value is None or value == "":
        return None
    if type(value) is str:
        if _PLAIN_NUMBER.fullmatch(value) and value[0] != "-":
            return value
        return _numeric_from_text(_literal(value))
    if type(value) is int:
        return str(value)
    if type(value) is float:
        return _numeric_from_text(repr(value))
    return _numeric_from_text(_literal(value))


def _numeric_from_text(text: str) -> str:
    special = _NOT_FINITE.get(text.strip().lower())
    if special:
        return special
    if not _NUMBER.fullmatch(text):
        raise BadValue(f'invalid input syntax for type numeric: "{text}"')
    number = Decimal(text.strip())
    if number and number.adjusted() >= _MAX_NUMERIC_DIGITS:
        raise BadValue("value overflows numeric format")
    return format(number if number else abs(number), "f")


def _scaled_numeric(precision: int, scale: int) -> PgType:
    def accept(value: object) -> Stored:
        text = _numeric(value)
        if text is None or text == "NaN":
            return text
        if Decimal(str(text)).adjusted() >= precision or not Decimal(str(text)).is_finite():
            raise BadValue("numeric field overflow")
        rounded = Decimal(str(text)).quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)
        if rounded and rounded.adjusted() >= precision - scale:
            raise BadValue("numeric field overflow")
        return format(rounded, "f")

    return PgType("numeric", "numeric", accept, _show_numeric, "COLLATE pgnumeric")


def _show_numeric(stored: Stored) -> object:
    text = str(stored)
    return text if text[-1] in "Ny" else orjson.Fragment(text)  # NaN, Infinity: JSON has no such numbers


def _integer(native: str, bits: int) -> Accept:
    limit = 2 ** (bits - 1)

    def accept(value: object) -> Stored:
        if value is None or value == "":
            return None
        if type(value) is int or type(value) is float:
            number = int(Decimal(repr(value)).quantize(Decimal(1), ROUND_HALF_UP))
            if not -limit <= number < limit:
                raise BadValue(f"{native} out of range")
            return number
        text = _literal(value)
        if not _INTEGER.fullmatch(text):
            raise BadValue(f'invalid input syntax for type {native}: "{text}"')
        if not -limit <= int(text) < limit:
            raise BadValue(f'value "{text}" is out of range for type {native}')
        return int(text)

    return accept


def _float(native: str) -> Accept:
    def accept(value: object) -> Stored:
        if value is None or value == "":
            return None
        if type(value) is int or type(value) is float:
            return float(value)
        text = _literal(value)
        if text.strip().lower() in _NOT_FINITE:
            return _NOT_FINITE[text.strip().lower()]
        if not _NUMBER.fullmatch(text):
            raise BadValue(f'invalid input syntax for type {native}: "{text}"')
        if math.isinf(float(text)):
            raise BadValue(f'"{text}" is out of range for type {native}')
        return float(text)

    return accept


def _show_float(stored: Stored) -> object:
    if isinstance(stored, float) and stored.is_integer() and abs(stored) < 1e15:
        return int(stored)
    return stored


def _boolean(value: object) -> Stored:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return int(value)
    text = _literal(value)
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
        text = _literal(value)
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
        return json.dumps(json.loads(_literal(value)))
    except ValueError:
        raise BadValue("invalid input syntax for type json") from None


def _array(value: object) -> Stored:
    if value is None or value == "":
        return None
    if isinstance(value, list):
        return json.dumps(value)
    text = _literal(value)
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
    numeric = PgType("numeric", "numeric", _numeric, _show_numeric, "COLLATE pgnumeric")
    whole: dict[tuple[str, ...], PgType] = {
        names: PgType(names[0], native, _integer(native, bits), _as_kept)
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
        ("float8", "float", "double precision"): PgType("float8", "double precision", _float("double precision"), _show_float),
        ("float4", "real"): PgType("float4", "real", _float("real"), _show_float),
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
