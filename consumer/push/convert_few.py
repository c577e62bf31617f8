"""What convert.py does, for few values: one after the other in Python, which then costs less than Polars' expressions.

Both give the same texts; tests/push/test_convert_few.py holds them together.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

import polars as pl

from consumer.push.convert import MONTHS, TRUE, converted, pattern, plain_decimal
from consumer.push.layouts import Layout
from consumer.push.table import Column
from consumer.push.values import FEW_ROWS

_ODD = re.compile(r"[eE]|^-0*\.?0*\Z")
#: Most numbers and moments are in canonical form already, but for the T of a moment. That the day exists was seen before: a
#: column has the layout because its values fit that layout's rule.
_PLAIN = re.compile(r"-?[1-9][0-9]*(?:\.[0-9]+)?|0(?:\.[0-9]+)?")
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}")


def texts_of(values: Sequence[str | None], column: Column) -> list[str | None]:
    """One column's text in canonical form, however many *values* there are."""
    if len(values) <= FEW_ROWS:
        try:
            return _one_by_one(values, column)
        except (ArithmeticError, ValueError):
            pass  # a moment that UTC has in a year that Python does not know
    texts: list[str | None] = converted(pl.Series(values, dtype=pl.String), column).to_list()
    return texts


def _one_by_one(values: Sequence[str | None], column: Column) -> list[str | None]:
    change = _change(column)
    if change is None and not column.tokens:
        return list(values)
    return [None if text is None or text in column.tokens else change(text) if change else text for text in values]


def _change(column: Column) -> Callable[[str], str] | None:
    """None: texts stay as they are."""
    if column.ckan == "text":
        return None
    if column.rich in ("integer", "decimal"):
        return partial(plain_number, column=column)
    if column.layout is not None and column.rich in ("date", "timestamp"):
        return _iso_moments(column.layout, date_only=column.ckan == "date")
    return _boolean if column.rich == "boolean" else None


def _boolean(text: str) -> str:
    return "true" if text.lower() in TRUE else "false"


def plain_number(text: str, column: Column) -> str:
    if column.decimal_mark == "." and _PLAIN.fullmatch(text):
        return text
    for mark in column.grouping:
        text = text.replace(mark, "")
    if column.decimal_mark != ".":
        text = text.replace(column.decimal_mark, ".", 1)
    text = text.removeprefix("+")
    if column.rich == "decimal":
        text = text.removesuffix(".")
        text = text.replace(".", "0.", 1) if text.startswith((".", "-.")) else text
    return plain_decimal(text) if _ODD.search(text) else text


def _iso_moments(layout: Layout, *, date_only: bool) -> Callable[[str], str]:
    """What it gives raises ValueError or OverflowError for a moment that is none of Python's."""
    iso = layout.order == "ymd" and layout.separator == "-" and not layout.strptime
    fullmatch = re.compile(pattern(layout)).fullmatch

    def iso_moment(text: str) -> str:
        if iso and len(text.encode()) == 10:
            return text if date_only else text + "T00:00:00"
        if iso and _ISO.fullmatch(text):
            return text[:10] if date_only else f"{text[:10]}T{text[11:]}"
        found = fullmatch(text)
        if found is None:
            raise ValueError(text)
        moment = _moment(found.groupdict(""), layout)
        return moment.date().isoformat() if date_only else moment.isoformat()

    return iso_moment


def _moment(parts: dict[str, str], layout: Layout) -> datetime:
    year = int(parts["y"])
    if len(parts["y"]) == 2:
        year += 1900 if year >= 69 else 2000
    month = 1 + MONTHS.index(parts["m"].lower()[:3]) if layout.month_name else int(parts["m"])
    minute, second, micro = int(parts.get("M") or 0), int(parts.get("S") or 0), int((parts.get("f") or "").ljust(6, "0"))
    moment = datetime(year, month, int(parts["d"]), _hour(parts), minute, second, micro)
    return moment - _offset(parts["z"]) if parts.get("z") else moment


def _hour(parts: dict[str, str]) -> int:
    hour, half = int(parts.get("H") or 0), (parts.get("p") or "").lower()
    return hour % 12 + 12 if half == "p" else hour % 12 if half == "a" else hour


def _offset(text: str) -> timedelta:
    digits = re.sub("[^0-9]", "", text).ljust(4, "0")
    offset = timedelta(minutes=int(digits[:2]) * 60 + int(digits[2:4]))
    return -offset if text.startswith("-") else offset
