"""Fixed width: the option *widths* says where each column ends, in characters."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice, pairwise
from pathlib import Path

from consumer.push.options import Options
from consumer.push.readers.encoding import find_encoding
from consumer.push.table import Chunk
from schemas.errors import FileError

FIRST_CHUNK_ROWS = 1_000
CHUNK_ROWS = 20_000


@dataclass
class FixedRows:
    """Lines cut at *edges* as a source of rows (`table.Rows`). Text behind the last edge becomes one more column if any
    line has some, so that widths that miss the last column lose nothing."""

    path: Path
    encoding: str
    errors: str
    edges: Sequence[int]
    format: str = "FIXED"
    names: Sequence[str] | None = None
    given: Mapping[int, str] = field(default_factory=dict)
    sheet: str | None = None
    error_cells: int = 0
    error_rows: Sequence[int] = ()
    notes: Sequence[str] = ()

    @property
    def width(self) -> int:
        return len(self.edges) - 1

    def chunks(self) -> Iterator[Chunk]:
        slices = [slice(start, end) for start, end in pairwise(self.edges)]
        lines, first, size = self.lines(), 1, FIRST_CHUNK_ROWS
        while some := list(islice(lines, size)):
            rows = [[line[one].strip() for one in slices] for line in some]
            yield Chunk.of_rows(rows, range(first, first + len(rows)), self.width)
            first, size = first + len(some), CHUNK_ROWS

    def lines(self) -> Iterator[str]:
        """Raises FileError undecodable."""
        try:
            with self.path.open(encoding=self.encoding, errors=self.errors) as file:
                for line in file:
                    yield line.rstrip("\n").removeprefix("\ufeff").replace("\x00", "").rstrip("\x1a")
        except UnicodeDecodeError as error:
            raise FileError(
                "undecodable",
                f"The file cannot be read as {self.encoding}: {error.reason} at byte {error.start:,}. The option encoding"
                " can name another encoding.",
            ) from error


def open_fixed(path: Path, options: Options) -> FixedRows:
    """Raises FileError: bad-option (no widths), empty, undecodable."""
    if not options.widths:
        raise FileError(
            "bad-option",
            "A file of fixed width needs the option widths: a list of column widths in characters, such as [5, 10, 7].",
            details={"Option": "widths"},
        )
    edges = [0, *accumulate(options.widths)]
    rows = FixedRows(path, find_encoding(path, options).name, options.encoding_errors, edges)
    longest = blank = 0
    for line in rows.lines():
        text = line.rstrip()
        longest, blank = max(longest, len(text)), blank + (not text)
    if not longest:
        raise FileError("empty", "The file has only blank lines.")
    if longest > edges[-1]:
        rows.edges = [*edges, longest]
    return rows
