"""Whichever way a block of delimited text is read, fast, tolerant or by the scanner, the table is the same."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumer.push.convert import convert
from consumer.push.options import Options, RejectLimit
from consumer.push.readers.delimited import DelimitedReader, Way
from consumer.push.reading import ReadTable
from consumer.push.table import DelimitedText

#: Stands for the delimiter and the quote in what is drawn; each file has its own.
_D, _Q = "\ue000", "\ue001"
_DIALECTS = st.sampled_from([(one, quote) for one in ",;\t|^~: \x01" for quote in "\"'"])

_PIECES = st.sampled_from(
    [*"aé東😀1- ,;|:'\"", "\ufeff", "\t", "\u00a0", "\u2028", "\x85", "\x0b", "\x1f", "e\u0301", "-2.5", "1e3", "NA", _D, _Q,
     _Q + _Q, "\\", "\\" + _Q, "2024-02-29", "01/02/2024", "1.234,5", "true", "{}", "=1+1", ""]
)  # fmt: skip
_BARE = st.lists(
    st.sampled_from(["a", "é", "😀", "7", "-", " ", "x" + _Q + "y", "2024-01-31", "NA", "1.5", "\u3000", "\u200b", "", "\\"]),
    max_size=3,
)
_QUOTED = st.lists(st.one_of(_PIECES, st.sampled_from(["\n", "\r\n", "\r", "\n\n"])), max_size=4)
_BREAKS = st.sampled_from(["\n", "\r\n", "\r"])
_BLANK_ROW = st.sampled_from(["", " ", _D, _D * 2, _D * 5, _Q * 2, f"{_Q}{_Q}{_D}{_Q} {_Q}", "\u00a0", "\t"])


def _quoted(pieces: list[str]) -> str:
    return _Q + "".join(pieces).replace(_Q, _Q + _Q) + _Q


_CELL = st.one_of(_BARE.map("".join), _QUOTED.map(_quoted))
_REGULAR_ROW = st.lists(_CELL, min_size=3, max_size=3).map(_D.join)
_RAGGED_ROW = st.lists(_CELL, max_size=5).map(_D.join)
_WILD_ROW = st.lists(_PIECES, max_size=8).map("".join)


@dataclass(frozen=True)
class File:
    data: bytes
    options: Options


@st.composite
def regular_files(draw: st.DrawFn) -> File:
    rows = draw(st.lists(st.one_of(_REGULAR_ROW, _RAGGED_ROW, _BLANK_ROW), max_size=12))
    return _joined(draw, rows)


@st.composite
def wild_files(draw: st.DrawFn) -> File:
    rows = draw(st.lists(st.one_of(_REGULAR_ROW, _RAGGED_ROW, _BLANK_ROW, _WILD_ROW), max_size=12))
    return _joined(draw, rows)


def _joined(draw: st.DrawFn, rows: list[str]) -> File:
    breaks = draw(st.one_of(_BREAKS.map(lambda one: [one] * 20), st.lists(_BREAKS, min_size=20, max_size=20)))
    text = "".join(row + end for row, end in zip([f"x{_D}y{_D}z", *rows], breaks, strict=False))
    text = text if draw(st.booleans()) else text.removesuffix(breaks[len(rows)])
    delimiter, quote = draw(_DIALECTS)
    options = Options(
        delimiter=delimiter, quote=quote, escape="", max_rejects=RejectLimit(share=1.0), header_row=1, strip=draw(st.booleans())
    )
    return File(text.replace(_D, delimiter).replace(_Q, quote).encode(draw(st.sampled_from(["utf-8", "utf-8-sig"]))), options)


def _read(file: File, way: Way, block_bytes: int) -> tuple[object, ...]:
    """Everything a loader would see."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv"
        path.write_bytes(file.data)
        reader = DelimitedReader(DelimitedText(path), file.options, way=way, block_bytes=block_bytes)
        table = ReadTable(reader, file.options, {}, {})
        batches = list(table.batches())
    rows, numbers = [], []
    for batch in batches:
        rows += list(zip(*(c.to_pylist() for c in convert(batch, table.columns).columns), strict=True))
        numbers += [int(one) for one in batch.row_numbers]
    # Why a column is text is told from its first block on, so it may depend on where that ends.
    facts = [(one.name, one.rich, one.ckan, one.nulls, one.tokens, one.layout) for one in table.columns]
    return rows, numbers, facts, table.tally, table.heading


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(regular_files())
def test_fast_and_tolerant_ways_make_the_same_table(file: File) -> None:
    assert _read(file, "fast", 1 << 20) == _read(file, "tolerant", 1 << 20)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(wild_files())
def test_fast_and_tolerant_ways_agree_on_text_with_quotes_anywhere(file: File) -> None:
    assert _read(file, "fast", 1 << 20) == _read(file, "tolerant", 1 << 20)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(regular_files(), st.integers(3, 40))
def test_where_the_blocks_are_cut_makes_no_difference(file: File, block_bytes: int) -> None:
    assert _read(file, "fast", 1 << 20) == _read(file, "fast", block_bytes)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(wild_files(), st.integers(3, 40))
def test_where_the_blocks_are_cut_makes_no_difference_to_misplaced_quotes(file: File, block_bytes: int) -> None:
    assert _read(file, "fast", 1 << 20) == _read(file, "fast", block_bytes)
