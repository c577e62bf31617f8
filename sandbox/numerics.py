"""PostgreSQL's numbers: what each type accepts and keeps, and their order.

numeric is kept as the text PostgreSQL would print, so that no digit is lost; the others as SQLite's own numbers.
"""

import math
import re
from decimal import ROUND_HALF_UP, Decimal

import orjson

from sandbox.literals import Accept, BadValue, Stored, literal

_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?", re.ASCII)
_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)
_INTEGER = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
_NOT_FINITE = {
    "nan": "NaN", "infinity": "Infinity", "+infinity": "Infinity", "inf": "Infinity", "+inf": "Infinity",
    "-infinity": "-Infinity", "-inf": "-Infinity",
}  # fmt: skip
_MAX_NUMERIC_DIGITS = 131_072  # digits before the decimal point


def numeric(value: object) -> Stored:
    """A numeric without limits."""
    if value is None or value == "":
        return None
    if type(value) is str:
        if _PLAIN_NUMBER.fullmatch(value) and value[0] != "-":
            return value
        return _numeric_from_text(literal(value))
    if type(value) is int:
        return str(value)
    if type(value) is float:
        return _numeric_from_text(repr(value))
    return _numeric_from_text(literal(value))


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


def scaled_numeric(precision: int, scale: int) -> Accept:
    """numeric(*precision*, *scale*): halves are rounded away from zero."""

    def accept(value: object) -> Stored:
        text = numeric(value)
        if text is None or text == "NaN":
            return text
        if Decimal(str(text)).adjusted() >= precision or not Decimal(str(text)).is_finite():
            raise BadValue("numeric field overflow")
        rounded = Decimal(str(text)).quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)
        if rounded and rounded.adjusted() >= precision - scale:
            raise BadValue("numeric field overflow")
        return format(rounded, "f")

    return accept


def integer_type(native: str, bits: int) -> Accept:
    """A whole number of so many bits; *native* is its name in messages."""
    limit = 2 ** (bits - 1)

    def accept(value: object) -> Stored:
        if value is None or value == "":
            return None
        if type(value) is int or type(value) is float:
            number = int(Decimal(repr(value)).quantize(Decimal(1), ROUND_HALF_UP))
            if not -limit <= number < limit:
                raise BadValue(f"{native} out of range")
            return number
        text = literal(value)
        if not _INTEGER.fullmatch(text):
            raise BadValue(f'invalid input syntax for type {native}: "{text}"')
        if not -limit <= int(text) < limit:
            raise BadValue(f'value "{text}" is out of range for type {native}')
        return int(text)

    return accept


def float_type(native: str) -> Accept:
    """A binary fraction; *native* is its name in messages."""

    def accept(value: object) -> Stored:
        if value is None or value == "":
            return None
        if type(value) is int or type(value) is float:
            return float(value)
        text = literal(value)
        if text.strip().lower() in _NOT_FINITE:
            return _NOT_FINITE[text.strip().lower()]
        if not _NUMBER.fullmatch(text):
            raise BadValue(f'invalid input syntax for type {native}: "{text}"')
        if math.isinf(float(text)):
            raise BadValue(f'"{text}" is out of range for type {native}')
        return float(text)

    return accept


def show_float(stored: Stored) -> object:
    """A whole one without `.0`, as PostgreSQL writes it."""
    if isinstance(stored, float) and stored.is_integer() and abs(stored) < 1e15:
        return int(stored)
    return stored


def show_numeric(stored: Stored) -> object:
    """Every digit as it is kept."""
    text = str(stored)
    return text if text[-1] in "Ny" else orjson.Fragment(text)  # NaN, Infinity: JSON has no such numbers


def compare_numerics(left: str, right: str) -> int:
    """PostgreSQL's order of two numerics kept as text: NaN is above everything and equal to itself."""
    one, other = Decimal(left), Decimal(right)
    if one.is_nan() or other.is_nan():
        return one.is_nan() - other.is_nan()
    return (one > other) - (one < other)
