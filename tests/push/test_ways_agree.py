"""Whichever way a block of delimited text is read, fast, tolerant or by the scanner, the table is the same."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.push.convert import convert
from consumer.push.options import Options, RejectLimit
from consumer.push.readers.delimited import DelimitedReader, Way
from consumer.push.reading import ReadTable
from consumer.push.table import DelimitedText

_OPTIONS = Options(delimiter=",", quote='"', escape="", max_rejects=RejectLimit(share=1.0), header_row=1)

_PIECES = st.sampled_from(
    ["a", "é", "東", "1", "-2.5", "NA", " ", "\u00a0", ",", '"', '""', ";", "'", "2024-02-29", "\\", "true", "\x1f", ""]
)
_BARE = st.lists(st.sampled_from(["a", "é", "7", " ", "x'y", "2024-01-31", "NA", "1.5", "\u3000"]), max_size=3)
_QUOTED = st.lists(st.one_of(_PIECES, st.sampled_from(["\n", "\r\n", "\r"])), max_size=4)
_BREAKS = st.sampled_from(["\n", "\r\n", "\r"])


def _quoted(pieces: list[str]) -> str:
    return '"' + "".join(pieces).replace('"', '""') + '"'


_CELL = st.one_of(_BARE.map("".join), _QUOTED.map(_quoted))
_REGULAR_ROW = st.lists(_CELL, min_size=3, max_size=3).map(",".join)
_RAGGED_ROW = st.lists(_CELL, max_size=5).map(",".join)
_WILD_ROW = st.lists(_PIECES, max_size=8).map("".join)


@st.composite
def regular_files(draw: st.DrawFn) -> bytes:
    rows = draw(st.lists(st.one_of(_REGULAR_ROW, _RAGGED_ROW), max_size=12))
    return _joined(draw, rows)


@st.composite
def wild_files(draw: st.DrawFn) -> bytes:
    rows = draw(st.lists(st.one_of(_REGULAR_ROW, _RAGGED_ROW, _WILD_ROW), max_size=12))
    return _joined(draw, rows)


def _joined(draw: st.DrawFn, rows: list[str]) -> bytes:
    breaks = draw(st.one_of(_BREAKS.map(lambda one: [one] * 20), st.lists(_BREAKS, min_size=20, max_size=20)))
    text = "".join(row + end for row, end in zip(["x,y,z", *rows], breaks, strict=False))
    return (text if draw(st.booleans()) else text.removesuffix(breaks[len(rows)])).encode()


def _read(data: bytes, way: Way, block_bytes: int) -> tuple[object, ...]:
    """Everything a loader would see."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv"
        path.write_bytes(data)
        table = ReadTable(DelimitedReader(DelimitedText(path), _OPTIONS, way=way, block_bytes=block_bytes), _OPTIONS, {}, {})
        batches = list(table.batches())
    rows, numbers = [], []
    for batch in batches:
        rows += list(zip(*(c.to_pylist() for c in convert(batch, table.columns).columns), strict=True))
        numbers += [int(one) for one in batch.row_numbers]
    # Why a column is text is told from its first block on, so it may depend on where that ends.
    facts = [(one.name, one.rich, one.ckan, one.nulls, one.tokens, one.layout) for one in table.columns]
    return rows, numbers, facts, table.tally, table.heading


@settings(max_examples=60, deadline=None)
@given(regular_files())
def test_fast_and_tolerant_ways_make_the_same_table(data: bytes) -> None:
    assert _read(data, "fast", 1 << 20) == _read(data, "tolerant", 1 << 20)


@settings(max_examples=60, deadline=None)
@given(wild_files())
def test_fast_and_tolerant_ways_agree_on_text_with_quotes_anywhere(data: bytes) -> None:
    assert _read(data, "fast", 1 << 20) == _read(data, "tolerant", 1 << 20)


@settings(max_examples=60, deadline=None)
@given(regular_files(), st.integers(3, 40))
def test_where_the_blocks_are_cut_makes_no_difference(data: bytes, block_bytes: int) -> None:
    assert _read(data, "fast", 1 << 20) == _read(data, "fast", block_bytes)


@settings(max_examples=60, deadline=None)
@given(wild_files(), st.integers(3, 40))
def test_where_the_blocks_are_cut_makes_no_difference_to_misplaced_quotes(data: bytes, block_bytes: int) -> None:
    assert _read(data, "fast", 1 << 20) == _read(data, "fast", block_bytes)
