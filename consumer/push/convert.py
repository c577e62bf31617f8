"""Text of a batch to canonical text of the columns' final types.

Numbers become plain exact decimals (`1e3` -> `1000`, `.5` -> `0.5`, `1.234,5` -> `1234.5`), timestamps
`YYYY-MM-DDTHH:MM:SS[.ffffff]` in UTC, dates the same at midnight (or `YYYY-MM-DD` where the DataStore type is
`date`), booleans `true`/`false`, null tokens NULL. A column whose DataStore type is `text` keeps its text.
"""

import re
from collections.abc import Sequence
from decimal import Decimal

import polars as pl
import pyarrow as pa

from consumer.push.layouts import Layout
from consumer.push.table import Batch, Column

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
TRUE = ["true", "yes", "t", "y", "1"]

_CLOCK = (
    r"(?:[T ](?P<H>[0-9]{1,2}):(?P<M>[0-9]{2})(?::(?P<S>[0-9]{2})(?:\.(?P<f>[0-9]{1,6}))?)?"
    r"(?: ?(?P<p>[AaPp])[Mm])?)?(?: ?(?P<z>Z|[+-][0-9:]{2,5}))?"
)
_GROUPS = {
    "%Y": "(?P<y>[0-9]{4})", "%y": "(?P<y>[0-9]{2})", "%m": "(?P<m>[0-9]{1,2})", "%b": "(?P<m>[A-Za-z]+)",
    "%B": "(?P<m>[A-Za-z]+)", "%d": "(?P<d>[0-9]{1,2})", "%H": "(?P<H>[0-9]{1,2})", "%I": "(?P<H>[0-9]{1,2})",
    "%M": "(?P<M>[0-9]{2})", "%S": "(?P<S>[0-9]{2})", "%f": "(?P<f>[0-9]{1,6})", "%p": "(?P<p>[AaPp])[Mm]", "%%": "%",
}  # fmt: skip


def convert(batch: Batch | pa.RecordBatch, columns: Sequence[Column]) -> pa.RecordBatch:
    """The rows of *batch* as string columns named as *columns* are, in their order."""
    cells = batch.cells if isinstance(batch, Batch) else batch
    arrays = [
        converted(pl.Series(pl.from_arrow(cells.column(column.position))), column)
        .to_arrow(compat_level=pl.CompatLevel.oldest())
        .cast(pa.string())
        for column in columns
    ]
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])


def converted(values: pl.Series, column: Column) -> pl.Series:
    """One column's text in canonical form."""
    if column.tokens:
        values = values.set(values.is_in(list(column.tokens)), None)
    if column.ckan == "text" or values.null_count() == len(values):
        return values
    if column.rich in ("integer", "decimal"):
        return plain_numbers(values, column)
    if column.layout is not None and column.rich in ("date", "timestamp"):
        return iso_moments(values, column.layout, date_only=column.ckan == "date")
    if column.rich == "boolean":
        true = values.str.to_lowercase().is_in(TRUE)
        return true.replace_strict({True: "true", False: "false"}, return_dtype=pl.String)
    return values


# ------------------------------------------------------------------------------------------------------------ numbers


def plain_numbers(values: pl.Series, column: Column) -> pl.Series:
    if column.grouping:
        values = values.str.replace_all(f"[{re.escape(column.grouping)}]", "")
    if column.decimal_mark != ".":
        values = values.str.replace(column.decimal_mark, ".", literal=True)
    values = values.str.strip_prefix("+")
    if column.rich == "decimal":
        values = values.str.strip_suffix(".").str.replace(r"^(-?)\.", "${1}0.")
    odd = values.str.contains(r"[eE]|^-0*\.?0*$").fill_null(False)
    return _with_odd(values, odd)


def _with_odd(values: pl.Series, odd: pl.Series) -> pl.Series:
    """Exponents written out, minus zero as zero: they are few, so they go through Python."""
    if not odd.any():
        return values
    plain = values.filter(odd).map_elements(plain_decimal, return_dtype=pl.String)
    return values.scatter(odd.arg_true(), plain)


def plain_decimal(text: str) -> str:
    """`-1.5e3` -> `-1500`; `-0.0` -> `0.0`."""
    number = Decimal(text)
    plain = f"{number:f}"
    return plain.removeprefix("-") if not number else plain


# -------------------------------------------------------------------------------------------------------------- dates


def iso_moments(values: pl.Series, layout: Layout, *, date_only: bool) -> pl.Series:
    """Dates and times of *layout* as ISO text; *date_only*: `YYYY-MM-DD`."""
    if _is_iso_date(values, layout):
        return values if date_only else values + "T00:00:00"
    parts = values.str.extract_groups(f"^{pattern(layout)}$").struct.unnest()
    moment = parts.select(_moment(layout, parts.columns)).to_series()
    if date_only:
        return moment.dt.strftime("%Y-%m-%d")
    text = moment.dt.strftime("%Y-%m-%dT%H:%M:%S")
    fraction = moment.dt.microsecond()
    return text + pl.select(pl.when(fraction != 0).then(moment.dt.strftime(".%6f")).otherwise(pl.lit(""))).to_series()


def _is_iso_date(values: pl.Series, layout: Layout) -> bool:
    """Already `YYYY-MM-DD`, all of them."""
    plain = layout.order == "ymd" and layout.separator == "-" and not layout.strptime
    lengths = values.str.len_bytes()
    return plain and lengths.min() == 10 and lengths.max() == 10


def pattern(layout: Layout) -> str:
    """A regular expression with named groups y m d H M S f p z, for texts that are known to fit the layout."""
    if layout.strptime:
        return "".join(_GROUPS.get(one) or re.escape(one) for one in re.split("(%.)", layout.strptime))
    month = "(?P<m>[A-Za-z]+)" if layout.month_name else "(?P<m>[0-9]{1,2})"
    part = {"y": "(?P<y>[0-9]{2,4})", "m": month, "d": "(?P<d>[0-9]{1,2})"}
    if layout.order == "mdy" and layout.month_name:
        return f"{part['m']} {part['d']}, {part['y']}{_CLOCK}"
    return re.escape(layout.separator).join(part[one] for one in layout.order) + _CLOCK


def _moment(layout: Layout, groups: Sequence[str]) -> pl.Expr:
    def number(name: str) -> pl.Expr:
        return pl.col(name).cast(pl.Int32).fill_null(0) if name in groups else pl.lit(0, pl.Int32)

    micro = pl.col("f").str.pad_end(6, "0").cast(pl.Int32).fill_null(0) if "f" in groups else pl.lit(0, pl.Int32)
    moment = pl.datetime(_year(), _month(layout), pl.col("d").cast(pl.Int32), _hour(groups), number("M"), number("S"), micro)
    return moment - _offset() if "z" in groups else moment


def _year() -> pl.Expr:
    year = pl.col("y").cast(pl.Int32)
    short = pl.col("y").str.len_bytes() == 2
    return pl.when(short & (year >= 69)).then(year + 1900).when(short).then(year + 2000).otherwise(year)


def _month(layout: Layout) -> pl.Expr:
    if not layout.month_name:
        return pl.col("m").cast(pl.Int32)
    numbers = {name: number for number, name in enumerate(MONTHS, 1)}
    return pl.col("m").str.to_lowercase().str.slice(0, 3).replace_strict(numbers, return_dtype=pl.Int32)


def _hour(groups: Sequence[str]) -> pl.Expr:
    if "H" not in groups:
        return pl.lit(0, pl.Int32)
    hour = pl.col("H").cast(pl.Int32).fill_null(0)
    if "p" not in groups:
        return hour
    half = pl.col("p").str.to_lowercase()
    return pl.when(half == "p").then(hour % 12 + 12).when(half == "a").then(hour % 12).otherwise(hour)


def _offset() -> pl.Expr:
    digits = pl.col("z").str.replace_all("[^0-9]", "").str.pad_end(4, "0").fill_null("0000")
    minutes = digits.str.slice(0, 2).cast(pl.Int64) * 60 + digits.str.slice(2, 2).cast(pl.Int64)
    sign = pl.when(pl.col("z").str.starts_with("-")).then(-1).otherwise(1)
    return pl.duration(minutes=minutes * sign)
