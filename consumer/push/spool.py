"""Batches kept on disk until the whole file was read: an Arrow IPC file in the job's temporary folder."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from consumer.push.table import Batch, Table

#: Name of the column that keeps the rows' numbers beside the cells (`c0`, `c1`, …).
_NUMBERS = "row"


class Spool:
    """Writes a table to *path* once; reads it as often as wanted. `rows` is known after `fill`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows = 0

    def fill(self, table: Table) -> Iterator[int]:
        """Reads *table* to its end; gives the rows spooled so far after each batch. Raises FileError."""
        writer: pa.RecordBatchFileWriter | None = None
        # LZ4 costs next to nothing and makes text a third; a job's folder may be in memory (tmpfs).
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        try:
            for batch in table.batches():
                cells = _with_numbers(batch)
                writer = writer or pa.ipc.new_file(self._path, cells.schema, options=options)
                writer.write_batch(cells)
                self.rows += len(batch)
                yield self.rows
        finally:
            if writer is not None:
                writer.close()

    def batches(self) -> Iterator[Batch]:
        """The batches as they were written, in order; memory-mapped, so one at a time is in memory."""
        if not self.rows:
            return
        with pa.memory_map(str(self._path)) as file:
            reader = pa.ipc.open_file(file)
            for number in range(reader.num_record_batches):
                yield _without_numbers(reader.get_batch(number))


def _with_numbers(batch: Batch) -> pa.RecordBatch:
    return batch.cells.append_column(_NUMBERS, pa.array(batch.row_numbers, pa.int64()))


def _without_numbers(cells: pa.RecordBatch) -> Batch:
    last = cells.num_columns - 1
    return Batch(cells.select(range(last)), cells.column(last).to_pylist())
