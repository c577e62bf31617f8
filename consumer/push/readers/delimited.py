"""Delimited text: head, header, then block after block (tables.md §2 to §5).

Each block ends with a whole record. pyarrow reads the blocks whose quotes stand in their places and whose rows all
have the header's width; csvkit reads the others, and our own scanner those with quotes in wrong places. Which of them
read a block makes no difference to the rows.
"""

import codecs
from array import array
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from threading import Lock
from typing import Literal, TypeVar

import pyarrow as pa
import pyarrow.csv

from consumer.push.header import Name, clean_name, filled, find_header, unique_names, usual_width
from consumer.push.options import Options
from consumer.push.readers import blocks
from consumer.push.readers.dialect import separator_line, sniff
from consumer.push.readers.encoding import Encoding, find_encoding, utf8_blocks
from consumer.push.readers.scan import Dialect, Record, count_lines, scan
from consumer.push.readers.tolerant import RECORD_BYTES, Parsed, read_records, read_regular
from consumer.push.readers.unnamed import kept_columns, names_of, selected
from consumer.push.table import KEPT_PLACES, DelimitedText, Heading, Short, Tally
from schemas.errors import FileError

#: Bytes of text that are read, typed and handed on together.
BLOCK_BYTES = 8 << 20

#: What pyarrow parses at a time within a block; it fits the processor's cache.
_PARSED_BYTES = 1 << 20

#: The head is read in pieces of this size until it shows enough records.
_HEAD_BYTES = 256 << 10

#: Records with data that the head should show (tables.md §4), if the file has them.
_HEAD_RECORDS = 1_000

#: Lines, blank ones too, after which the head ends in any case.
_HEAD_LINES = 200_000

#: Blocks that are read ahead of the one handed out, and threads that do it.
_AHEAD = 2
_THREADS = 2

#: `fast` is the usual way; `tolerant` leaves pyarrow out (for tests and the benchmark).
Way = Literal["fast", "tolerant"]

T = TypeVar("T")


@dataclass(frozen=True)
class Start:
    """Where the rows begin: byte of the text as UTF-8 without BOM and NULs, and the 1-based line there."""

    offset: int
    line: int


class DelimitedReader:
    """Knows the heading once made; `pieces` reads the rows and may be called again."""

    def __init__(self, source: DelimitedText, options: Options, *, way: Way = "fast", block_bytes: int = BLOCK_BYTES) -> None:
        self.source, self.options, self.way, self.block_bytes = source, options, way, block_bytes
        self.leaves_lock = way == "fast"
        self._slowly = Lock()  # Python code gains nothing from two threads, and loses by their taking turns
        self.encoding = find_encoding(source.path, options)
        text = self._head()
        self.dialect = sniff(text, options, source.delimiter)
        records = list(scan(text, self.dialect, final=True))
        sep = 1 if not options.delimiter and separator_line(text) else 0
        names, header_row, self.start = self._header(text, records, sep)
        self.width = len(names)
        self.kept = kept_columns(names, lambda: (task().cells for task in self._tasks(Tally())))
        self.names = names if self.kept is None else names_of(names, self.kept)
        named = unique_names(self.names)
        self.heading = Heading(
            format=source.format, names=tuple(one.stored for one in named.values()),
            labels=tuple(one.label for one in named.values()), header_row=header_row,
            preamble_rows=max(0, header_row - 1), encoding=self.encoding.name, delimiter=self.dialect.delimiter,
            quote=self.dialect.quote, escape=self.dialect.escape,
        )  # fmt: skip

    # ------------------------------------------------------------------------------------------------------ the head

    def _head(self) -> str:
        """The first records as text; the last one may be cut at a line break inside a cell."""
        head, lines, breaks = bytearray(), 0, 0
        for block in utf8_blocks(self.source.path, self.encoding, self.options, Tally(), _HEAD_BYTES):
            head += block
            lines += len([line for line in block.splitlines() if line.strip()])
            breaks += block.count(b"\n")
            enough = lines > _HEAD_RECORDS + 1 and len(head) > _HEAD_BYTES
            if enough or len(head) > RECORD_BYTES or breaks > _HEAD_LINES:
                whole = bytes(head[: blocks.last_break(bytes(head), len(head))])
                if not whole:
                    raise too_large_record(1)
                return whole.decode()
        return head.decode()

    def _header(self, text: str, records: list[Record], sep: int) -> tuple[list[Name], int, Start]:
        """The columns' names, the header's record (0: none) and where the rows begin."""
        rows = [record.cells or [] for record in records]
        rows[:sep] = [[]] * sep
        found = find_header(rows)
        if found is None:
            raise FileError("empty", "The file holds nothing but blank lines.")
        if self.options.header_row == 0:
            width = usual_width(rows)
            return [Name("", None)] * width, 0, _behind(text, records[:sep])
        if self.options.header_row:
            found = self.options.header_row - 1
            if found >= len(records) or not filled(rows[found]):
                raise no_header(self.options.header_row)
        return [clean_name(cell) for cell in rows[found]], found + 1, _behind(text, records[: found + 1])

    # ------------------------------------------------------------------------------------------------------ the rows

    def pieces(self, tally: Tally, short: Short, prepare: Callable[[Parsed], T]) -> Iterator[T]:
        """The rows block by block, each through *prepare*, which is called in other threads. Counts into *tally* what it
        finds, and calls *short* for padded rows."""

        def work(task: Callable[[], Parsed]) -> tuple[Parsed, T]:
            parsed = task() if self.kept is None else _narrowed(task(), self.kept)
            return parsed, prepare(parsed)

        with ThreadPoolExecutor(_THREADS, thread_name_prefix="parse") as pool:
            ahead: deque[Future[tuple[Parsed, T]]] = deque()
            try:
                for task in self._tasks(tally):
                    ahead.append(pool.submit(work, task))
                    if len(ahead) > _AHEAD:
                        yield _counted(*ahead.popleft().result(), tally, short)
                while ahead:
                    yield _counted(*ahead.popleft().result(), tally, short)
            finally:
                for future in ahead:
                    future.cancel()

    def _tasks(self, tally: Tally) -> Iterator[Callable[[], Parsed]]:
        """The work to do for each block: cut here, in order; parsed wherever there is a free thread."""
        line, rest = self.start.line, b""
        stream = utf8_blocks(self.source.path, self.encoding, self.options, tally, self.block_bytes)
        for block in chain(_skip(stream, self.start.offset), [None]):
            final = block is None
            data = rest + block if rest and block else (block or rest)
            while data:
                task, used, lines = self._cut(data, line, final)
                if task:
                    yield task
                line, data = line + lines, data[used:]
                if not used or (final and not data):
                    break
                if not final and lines < blocks.MOST_LINES and len(data) < self.block_bytes:
                    break
            rest = data

    def _cut(self, data: bytes, line: int, final: bool) -> tuple[Callable[[], Parsed] | None, int, int]:
        """A task for the first records of *data*, how many bytes they are, and how many lines."""
        if self.dialect.escape:
            return self._scanned(data, line, final)
        piece = blocks.cut(data, self.dialect.quote, self.dialect.cut, final=final)
        if not piece.regular or (final and not piece.end):
            return self._scanned(data, line, final)
        if piece.end:
            whole = memoryview(data)[: piece.end]
            return (lambda: self._parse(whole, line, piece)), piece.end, piece.lines
        return self._overlong(data, line) if len(data) > RECORD_BYTES else (None, 0, 0)

    def _parse(self, data: memoryview, line: int, piece: blocks.Cut) -> Parsed:
        width, strip = self.width, self.options.strip
        if self.way == "fast" and (parsed := read_fast(data, line, piece, self.dialect, width)) is not None:
            return parsed
        with self._slowly:
            return read_regular(bytes(data), line, self.dialect, width, strip, spanning=piece.spanning)

    def _scanned(self, data: bytes, line: int, final: bool) -> tuple[Callable[[], Parsed] | None, int, int]:
        """The block read by the scanner, at once: only it knows where its last record ends."""
        end = len(data) if final else blocks.last_break(data, len(data))
        text = data[:end].decode()
        records = list(scan(text, self.dialect, final=final))
        if not records:
            return self._overlong(data, line) if len(data) > RECORD_BYTES else (None, 0, 0)
        parsed = read_records(text, records, line, self.width, self.options.strip)
        used = end if records[-1].end == len(text) else len(text[: records[-1].end].encode())
        return (lambda: parsed), used, records[-1].line + records[-1].lines

    def _overlong(self, data: bytes, line: int) -> tuple[Callable[[], Parsed] | None, int, int]:
        """More bytes than a record may have and no end of it: a quote that never closes is given up, else an error."""
        end = blocks.last_break(data, len(data))
        text = data[:end].decode()
        record = next(scan(text, self.dialect, final=True), None)
        if record is None or record.cells is not None or record.end > RECORD_BYTES:
            raise too_large_record(line)
        parsed = read_records(text, [record], line, self.width, self.options.strip)
        return (lambda: parsed), len(text[: record.end].encode()), record.lines


def read_fast(data: memoryview, line: int, piece: blocks.Cut, dialect: Dialect, width: int) -> Parsed | None:
    """A regular block by pyarrow, or None if it has a row of another width, or a byte order mark in its first cell, which
    pyarrow would take for that of a file."""
    if bytes(data[:3]) == codecs.BOM_UTF8:
        return None
    names = [f"c{position}" for position in range(width)]
    size_bytes = len(data) + 1 if piece.spanning else _PARSED_BYTES
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(pa.py_buffer(data)),
            read_options=pyarrow.csv.ReadOptions(column_names=names, block_size=size_bytes, use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=dialect.cut, quote_char=dialect.quote or False, newlines_in_values=piece.spanning
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), check_utf8=False
            ),
        )  # fmt: skip
    except pa.ArrowInvalid:
        return None
    cells = table.combine_chunks().to_batches()[0] if table.num_rows else record_batch_of(table)
    if table.num_rows == piece.lines + (data[-1] not in b"\r\n"):
        return Parsed(cells, range(line, line + table.num_rows))
    found = blocks.lines(bytes(data), dialect.quote)
    if len(found.starts) != table.num_rows:
        return None
    few = [line + int(one) for one in found.blank[:KEPT_PLACES]]
    return Parsed(cells, array("q", (line + found.starts).tobytes()), len(found.blank), blank_rows=few)


def _narrowed(parsed: Parsed, kept: list[int]) -> Parsed:
    """Without the columns that are none."""
    short, places = Counter[int](), dict[int, list[int]]()
    for cells, rows in parsed.short.items():
        left = bisect_left(kept, cells)
        short[left] += rows
        places[left] = [*places.get(left, []), *parsed.short_rows[cells]]
    return replace(parsed, cells=selected(parsed.cells, kept), short=short, short_rows=places)


def record_batch_of(table: pa.Table) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], one.type) for one in table.columns], names=table.column_names)


def _counted(parsed: Parsed, prepared: T, tally: Tally, short: Short) -> T:
    tally.blank_skipped += parsed.blank
    tally.note("blank_skipped", parsed.blank_rows)
    for reject in parsed.rejects:
        tally.reject(reject.row, reject.reason, reject.text)
    tally.rejected += parsed.rejected - len(parsed.rejects)
    for cells, rows in parsed.short.items():
        short(cells, rows, parsed.short_rows[cells])
    return prepared


def _behind(text: str, records: list[Record]) -> Start:
    end = records[-1].end if records else 0
    return Start(len(text[:end].encode()), 1 + count_lines(text, 0, end))


def _skip(stream: Iterator[bytes], offset: int) -> Iterator[bytes]:
    for block in stream:
        if offset < len(block):
            yield block[offset:] if offset else block
        offset = max(0, offset - len(block))


def too_large_record(line: int) -> FileError:
    return FileError(
        "too-large",
        f"The record on line {line:,} is longer than {RECORD_BYTES >> 20} MB. "
        "Is this a text file with line breaks, and is every quote in it closed?",
        details={"Line": line},
    )


def no_header(header_row: int) -> FileError:
    return FileError(
        "bad-option",
        f"The option header_row is {header_row}, but there is no row with data at {header_row} near the start of the file.",
        details={"Option": "header_row"},
    )


__all__ = ["BLOCK_BYTES", "DelimitedReader", "Encoding", "read_fast"]
