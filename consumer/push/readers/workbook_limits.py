"""How much memory a workbook may take, and the errors of one that asks for more.

calamine keeps every part it reads in memory and gives each sheet as one rectangle from its first to its last cell. So a
few hundred bytes can ask for everything: two cells in opposite corners, a long run of zeros well compressed, a row
repeated a million times. A process that the kernel kills tells nobody why; these checks, made before calamine reads
(workbook_parts.py), do.
"""

from collections.abc import Callable, Iterator

from schemas.errors import FileError

#: Memory a sheet may take in calamine. A million rows of twenty columns take about 2.8 GiB by the sums below.
MEMORY_LIMIT_BYTES = 3 * 1024**3
#: Parts that are read at once when the workbook is opened (shared strings, styles; all of an ODS).
SHARED_LIMIT_BYTES = 1024**3
#: Cells of a rectangle that is nearly empty: fewer than one byte in the file for two of them.
EMPTY_CELLS_LIMIT = 1 << 24
#: Lists of sheets: read here as a tree, so kept small.
INDEX_LIMIT_BYTES = 16 * 1024**2
#: What one cell takes in the rectangle, and a byte of XML in the list it is made from (a cell with a value has at
#: least 16 bytes of XML and takes 40).
CELL_BYTES = 32
BYTES_PER_XML_BYTE = 2.5

#: Bytes of a part that are inflated at a time, by another thread: many enough that the two seldom wait for each other.
CHUNK_BYTES = 1024 * 1024
Chunks = Callable[[], Iterator[bytes]]


def corrupt(format: str, reason: object = None) -> FileError:
    return FileError(
        "corrupt",
        f"The file is an {format} workbook that cannot be read: it is damaged or incomplete. Open it in a spreadsheet"
        " program and save it again, or publish CSV.",
        details={"Reason": str(reason)[:200] or type(reason).__name__} if reason is not None else None,
    )


def check_size(size_bytes: float, limit_bytes: int, what: str) -> None:
    if size_bytes > limit_bytes:
        raise FileError(
            "too-large",
            f"{what} would take {size_bytes / 1024**3:,.1f} GiB of memory, and the limit is {limit_bytes / 1024**3:,.1f} GiB."
            " Delete cells far outside the table, or publish the table as CSV, which is read piece by piece.",
        )


def check_shared(size_bytes: int) -> None:
    """Raises FileError too-large for more than the parts that are read on opening may have."""
    check_size(size_bytes, SHARED_LIMIT_BYTES, "The workbook")


def check_memory(rows: int, columns: int, part_bytes: int) -> None:
    """Raises FileError too-large for a rectangle of cells, made from *part_bytes* of XML, that takes too much."""
    what = f"The sheet ({rows:,} rows by {columns:,} columns)" if rows else "The sheet"
    limit_bytes = EMPTY_CELLS_LIMIT * CELL_BYTES if nearly_empty(rows, columns, part_bytes) else MEMORY_LIMIT_BYTES
    check_size(_memory_bytes(rows, columns, part_bytes), limit_bytes, what)


def fits_memory(rows: int, columns: int, part_bytes: int) -> bool:
    return _memory_bytes(rows, columns, part_bytes) <= MEMORY_LIMIT_BYTES


def nearly_empty(rows: int, columns: int, part_bytes: int) -> bool:
    """A cell far outside the table, which a sheet of so many rows and columns hardly needs."""
    return rows * columns > max(EMPTY_CELLS_LIMIT, 2 * part_bytes)


def _memory_bytes(rows: int, columns: int, part_bytes: int) -> float:
    return rows * columns * CELL_BYTES + part_bytes * BYTES_PER_XML_BYTE


def overlapping(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, cut before a tag so that no search misses what lies across two chunks.

    A tag of more than CHUNK_BYTES is taken for damage: no program writes one, and searches could be led past it.
    """
    rest = b""
    for chunk in chunks:
        whole, tag, tail = (rest + chunk).rpartition(b"<")
        if whole:
            yield whole
        rest = tag + tail
        if len(rest) > CHUNK_BYTES:
            if tag and b">" not in tail:
                raise corrupt("XML")
            yield rest
            rest = b""
    yield rest


def check_quotes(attributes: bytes, format: str) -> None:
    """A `>` inside of a value ends the tag too soon for a search; then its quotes do not pair, or are of both kinds.
    Raises FileError corrupt."""
    double, single = attributes.count(b'"'), attributes.count(b"'")
    if double % 2 or single % 2 or (double and single):
        raise corrupt(format)
