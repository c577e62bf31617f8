"""JSON values as the text of cells, and JSON files as UTF-8 without a byte order mark."""

import codecs
import json
import math
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pyarrow as pa

from consumer.push.options import Options
from consumer.push.readers.encoding import find_encoding
from schemas.errors import FileError
from schemas.json_text import DIGITS_AS_ZEROS

COPY_CHARACTERS = 1024**2


def scalar_text(value: Any) -> str | None:
    """A string, number or boolean as a cell. Numbers keep JSON's own form: `1.0` is not `1`."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value)


def json_text(value: Any) -> str | None:
    """Any value as JSON text, for columns that hold objects or arrays."""
    return None if value is None else dumped(value)


def dumped(value: Any) -> str:
    try:
        return orjson.dumps(value, default=_number).decode()
    except TypeError:  # an integer of more than 64 bits, or half a surrogate pair
        return json.dumps(value, default=float, separators=(",", ":"))


def _number(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value).encode())
    raise TypeError(f"no JSON: {type(value).__name__}")


#: Digits that a float keeps of a decimal; one with more of them stays a Decimal.
_FLOAT_DIGITS = 17
#: orjson turns integers of more than 64 bits and long decimals into floats; these are then parsed the exact, slow way.
_LONG_NUMBER = re.compile(rb"0{20}|(?=[0.]{19})0+\.0")
_MAYBE_LONG = b"0" * (_FLOAT_DIGITS + 1)


def parsed(data: bytes) -> Any:
    """The value that *data* (UTF-8) is, with every digit of its numbers: decimals of more than 17 digits, which a float
    would not keep, as Decimal. `NaN`, which is no JSON but written by many programs, is None. Raises ValueError."""
    if not _has_long_number(data):
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            pass  # not JSON, or one of the things below that orjson is strict about
    return json.loads(data, parse_float=_exact, parse_constant=lambda _: None)


def _has_long_number(data: bytes) -> bool:
    """Of more than 19 digits, or with a point and more than _FLOAT_DIGITS; strings may look so, too."""
    if _MAYBE_LONG not in data.translate(DIGITS_AS_ZEROS, b"."):
        return False
    return _LONG_NUMBER.search(data.translate(DIGITS_AS_ZEROS)) is not None


def _exact(text: str) -> float | Decimal:
    digits = re.split("[eE]", text, maxsplit=1)[0].lstrip("-0.").replace(".", "")
    number = float(text) if len(digits) <= _FLOAT_DIGITS else Decimal(text)
    return number if math.isfinite(number) else Decimal(text)


def cells(values: Sequence[Any], *, nested: bool) -> pa.Array:
    """A column of JSON values as an Arrow array of strings."""
    if nested:
        return _strings(list(map(json_text, values)))
    kinds = set(map(type, values)) - {type(None)}
    if kinds <= {str}:
        return _strings(values)
    if kinds == {bool}:
        return pa.array(values, pa.bool_()).cast(pa.string())
    if kinds == {float}:
        numbers = pl.Series(values, dtype=pl.Float64)
        return numbers.set(~numbers.is_finite(), None).cast(pl.String).to_arrow().cast(pa.string())
    if kinds == {int}:
        try:
            return pa.array(values, pa.int64()).cast(pa.string())
        except OverflowError:
            pass
    return _strings(list(map(scalar_text, values)))


def _strings(values: Sequence[str | None]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:  # half a surrogate pair: "\\ud800" is good JSON and no character
        return pa.array([value and value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for value in values])


def any_nested(values: Iterable[Any]) -> bool:
    return not {dict, list}.isdisjoint(map(type, values))


def as_utf8(path: Path, options: Options, folder: Path) -> tuple[Path, str]:
    """(file, encoding): *path* itself where it is UTF-8 without a mark, else a copy in *folder*.

    Raises FileError undecodable or empty.
    """
    encoding = find_encoding(path, options)
    if encoding.is_utf8 and not encoding.skip:
        return path, "utf-8"
    copy = folder / f"{path.name}.utf8"
    try:
        with path.open("rb") as source, copy.open("w", encoding="utf-8", newline="") as target:
            source.seek(encoding.skip)
            reader = codecs.getreader(encoding.name)(source, options.encoding_errors)
            while text := reader.read(COPY_CHARACTERS):
                target.write(text)
    except UnicodeDecodeError as error:
        raise FileError(
            "undecodable",
            f"The file cannot be read as {encoding.name}: {error.reason}. The option encoding can name another encoding.",
        ) from error
    return copy, encoding.name
