"""Typed cells of spreadsheets, as text: whole columns at a time, because cell by cell costs more than parsing does."""

import datetime
from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

#: Up to here every whole float is an exact integer and prints as one without detours.
EXACT_FLOAT = 2**53
#: Whole floats from here on keep their exponent: nothing that large fits an integer column (38 digits).
PLAIN_DIGITS = 1e38
#: As OpenDocument 1.3 part 3, 19.384 (office:time-value) has it, and programs write it: all three parts, whole seconds.
_ISO_DURATION = r"^(-?)PT([0-9]{2,})H([0-9]{2})M([0-9]{2})(?:[.,]0*)?S$"


def texts(cells: Sequence[object]) -> pa.Array:
    """One column of cells as an Arrow array of strings, in the form that `table.Chunk` names; "" and None are NULL.

    Cells are str, float, int, bool, date, datetime, time or timedelta, in any mixture.
    """
    return joined([packed(cells)])


def packed(cells: Sequence[object]) -> pa.Array:
    """The same as floats or booleans where all cells are such, else as strings. To be called with few cells at a time,
    while they are in the processor's cache: later on each of them would have to be fetched from memory again."""
    kinds = set(map(type, cells))
    if kinds <= {str, type(None)}:
        return pa.array(cells, pa.string())
    if str in kinds or type(None) in kinds:
        cells = [None if cell == "" else cell for cell in cells]
        kinds = set(map(type, cells)) - {type(None)}
    if kinds <= {float}:
        return pa.array(cells, pa.float64())
    if kinds <= {bool}:
        return pa.array(cells, pa.bool_())
    return _other_texts(cells, kinds)


def joined(parts: Sequence[pa.Array]) -> pa.Array:
    """One column's packed cells as strings."""
    runs = [pa.concat_arrays(list(run)) for _, run in groupby(parts, key=lambda part: part.type)]
    found = [_strings(run) for run in runs]
    return found[0] if len(found) == 1 else pa.concat_arrays(found)


def _strings(cells: pa.Array) -> pa.Array:
    if cells.type == pa.float64():
        return _float_texts(pl.Series(pl.from_arrow(cells)))
    return cells.cast(pa.string())


def _other_texts(cells: Sequence[object], kinds: set[type]) -> pa.Array:
    try:
        if kinds <= {datetime.date}:
            return pa.array(cells, pa.date32()).cast(pa.string())
        if kinds <= {datetime.time}:
            return pa.array(cells, pa.time64("us")).cast(pa.time32("s")).cast(pa.string())
        if kinds <= {datetime.date, datetime.datetime}:
            return _moment_texts(cells)
    except pa.ArrowInvalid:
        pass  # fractions of a second: cell by cell
    return pa.array([text(cell) for cell in cells], pa.string())


def text(cell: object) -> str | None:
    """One cell as text; None for an empty one."""
    if cell is None or isinstance(cell, str):
        return cell or None
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return float_text(cell)
    if isinstance(cell, datetime.date | datetime.time):
        return cell.isoformat()
    if isinstance(cell, datetime.timedelta):
        return duration_text(cell)
    return str(cell)


def float_text(number: float) -> str | None:
    """The shortest text that gives the same float; whole numbers as integers; None for NaN and infinities."""
    if number != number or number in (float("inf"), float("-inf")):
        return None
    if not number.is_integer() or abs(number) >= PLAIN_DIGITS:
        return repr(number)
    return str(int(number)) if abs(number) < EXACT_FLOAT else format(Decimal(repr(number)), "f").removesuffix(".0")


def duration_text(duration: datetime.timedelta) -> str:
    """`H:MM:SS` with as many hours as it takes: how spreadsheets show `[h]:mm:ss`."""
    seconds, fraction = divmod(abs(duration) // datetime.timedelta(microseconds=1), 1_000_000)
    sign = "-" if duration < datetime.timedelta(0) else ""
    clock = f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{clock}.{fraction:06d}" if fraction else clock


def plain_durations(cells: pa.Array) -> pa.Array:
    """Texts, where those that are durations of ISO 8601 are as `duration_text` has them: calamine leaves them in ODS when they
    are negative, or a day or longer."""
    return pc.replace_substring_regex(cells, pattern=_ISO_DURATION, replacement=r"\1\2:\3:\4")


def _moment_texts(cells: Sequence[object]) -> pa.Array:
    """calamine gives a timestamp at midnight as a date. Raises ArrowInvalid where a fraction of a second would go."""
    moments = [datetime.datetime(cell.year, cell.month, cell.day) if type(cell) is datetime.date else cell for cell in cells]
    found = pa.array(moments, pa.timestamp("us")).cast(pa.timestamp("s")).cast(pa.string())
    return pc.replace_substring(found, " ", "T", max_replacements=1)


def _float_texts(numbers: pl.Series) -> pa.Array:
    largest = numbers.abs().max()
    if largest is None:
        return pa.nulls(len(numbers), pa.string())
    if not isinstance(largest, float) or not largest < EXACT_FLOAT or numbers.is_nan().any():
        return pa.array([None if number is None else float_text(number) for number in numbers], pa.string())
    whole = numbers.cast(pl.Int64)
    are_whole = whole.cast(pl.Float64) == numbers
    if are_whole.all():
        return whole.cast(pl.String).to_arrow().cast(pa.string())
    if not are_whole.any():
        return numbers.cast(pl.String).to_arrow().cast(pa.string())
    found = pl.select(pl.when(are_whole).then(whole.cast(pl.String)).otherwise(numbers.cast(pl.String))).to_series()
    return found.to_arrow().cast(pa.string())
