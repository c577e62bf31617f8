"""Text rows stream into an UNLOGGED table of the loader's transaction while the file is still being read.

The table is named `_stg_…`: CKAN takes relations that begin with `_` for none of its own. Nobody else ever sees it, and
a rollback, for whatever reason, leaves nothing of it. UNLOGGED, not TEMP: PostgreSQL reads no temporary table in parallel.
"""

import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.csv as arrow_csv
from psycopg2.extensions import connection as Connection

from consumer.push.printed import Form, Forms
from consumer.push.sql_text import identifier, qualified
from consumer.push.table import Batch

PREFIX = "_stg_"

#: Batches that wait for the server: enough that neither side waits for the other, little memory.
WAITING_BATCHES = 2
#: CSV that is built at a time.
BLOCK_BYTES = 4_194_304
#: How soon a reader notices that the server refused.
LOOK_S = 0.2

_QUOTED = arrow_csv.WriteOptions(include_header=False, quoting_style="needed")


@dataclass(frozen=True)
class Staged:
    """A staging table with columns `_id` (1, 2, … in the file's order) and `c0`, `c1`, … of type text.

    forms  of the texts of `c0`, `c1`, …, where they are such as PostgreSQL prints values.
    """

    name: str
    rows: int
    blocks: int
    forms: tuple[Form | None, ...]

    @property
    def relation(self) -> str:
        return qualified(self.name)


def new_name() -> str:
    """`_stg_<unix time>_<random>`: a sweeper can tell its age."""
    return f"{PREFIX}{int(time.time())}_{secrets.token_hex(4)}"


def stage(connection: Connection, batches: Iterable[Batch], width: int, told: Callable[[int], None]) -> Staged:
    """Every row of *batches* in a new staging table of *width* columns; *told* hears how many rows were handed over.

    The connection is used by another thread until this returns. Raises what *batches* raises, psycopg2.Error, and
    SystemError for a refusal whose text psycopg2 cannot decode; the transaction is then good for a rollback only.
    """
    name = new_name()
    cells = [f"c{position}" for position in range(width)]
    with connection.cursor() as cursor:
        columns = ", ".join(f"{cell} text" for cell in cells)
        cursor.execute(f"CREATE UNLOGGED TABLE {qualified(name)} (_id integer, {columns})")
    copy = f"COPY {qualified(name)} (_id, {', '.join(cells)}) FROM STDIN (FORMAT csv, NULL '', ENCODING 'UTF8')"
    feed = _Feed(width)
    copying = _Copying(connection, copy, feed)
    copying.start()
    try:
        for batch in batches:
            feed.put(batch.cells, copying)
            told(feed.rows)
    except BaseException:
        feed.break_off()
        copying.join()
        raise
    feed.put(None, copying)
    copying.finish()
    return Staged(name, feed.rows, feed.blocks, feed.forms.found())


class _BrokenOff(Exception):
    """The reader failed; COPY has to end."""


class _Feed:
    """What COPY reads from: a file of CSV blocks made of queued batches. `read` runs in COPY's thread."""

    def __init__(self, width: int) -> None:
        self.rows = 0
        self.blocks = 0
        self.forms = Forms(width)
        self._waiting: queue.Queue[pa.RecordBatch | None] = queue.Queue(WAITING_BATCHES)
        self._broken = threading.Event()
        self._blocks = self._encoded()

    def put(self, cells: pa.RecordBatch | None, copying: "_Copying") -> None:
        """Hands a batch over, None at the end; raises COPY's error if it has ended already."""
        while copying.is_alive():
            try:
                self._waiting.put(cells, timeout=LOOK_S)
            except queue.Full:
                continue
            self.rows += cells.num_rows if cells is not None else 0
            return
        copying.finish()

    def break_off(self) -> None:
        self._broken.set()

    def read(self, _size: int = -1, /) -> bytes:
        return next(self._blocks, b"")

    def readline(self, _size: int = -1, /) -> bytes:
        raise NotImplementedError("COPY reads blocks")

    def _encoded(self) -> Iterator[bytes]:
        number = 1
        while (cells := self._next()) is not None:
            self.forms.see(cells)
            for block in _blocks(cells, number):
                self.blocks += 1
                yield block
            number += cells.num_rows

    def _next(self) -> pa.RecordBatch | None:
        while not self._broken.is_set():
            try:
                return self._waiting.get(timeout=LOOK_S)
            except queue.Empty:
                continue
        raise _BrokenOff()


class _Copying(threading.Thread):
    """COPY in a thread of its own: psycopg2 and Arrow both let go of the GIL, so that reading goes on."""

    def __init__(self, connection: Connection, statement: str, feed: _Feed) -> None:
        super().__init__(name="copy", daemon=True)
        self._connection, self._statement, self._feed = connection, statement, feed
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            with self._connection.cursor() as cursor:
                cursor.copy_expert(self._statement, self._feed)
        except BaseException as error:  # handed over to the thread that waits
            self._error = error

    def finish(self) -> None:
        self.join()
        if self._error:
            raise self._error


def _blocks(cells: pa.RecordBatch, first: int) -> Iterator[bytes]:
    """CSV of numbered rows. Arrow quotes every text and leaves NULL bare, so COPY cannot mistake anything: not `\\.`,
    not a line break, not a text that looks like NULL."""
    rows = max(1, cells.num_rows * BLOCK_BYTES // max(1, cells.nbytes))
    for start in range(0, cells.num_rows, rows):
        part = cells.slice(start, rows)
        numbers = pa.array(range(first + start, first + start + part.num_rows), pa.int32())
        numbered = pa.record_batch([numbers, *part.columns], names=["_id", *part.schema.names])
        sink = pa.BufferOutputStream()
        arrow_csv.write_csv(numbered, sink, _QUOTED)
        yield sink.getvalue().to_pybytes()


def is_leftover(name: str, older_than_s: float) -> bool:
    """Whether *name* is of a staging table made that long ago."""
    made = name.removeprefix(PREFIX).split("_")[0]
    return name.startswith(PREFIX) and made.isdigit() and time.time() - int(made) > older_than_s


def drop_statement(name: str) -> str:
    return f"DROP TABLE IF EXISTS public.{identifier(name)}"
