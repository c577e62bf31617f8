"""`read`: a source becomes a table."""

from collections.abc import Mapping

from consumer.push.options import Options, Override
from consumer.push.readers.delimited import DelimitedReader, Way
from consumer.push.readers.sheet import RowsReader
from consumer.push.reading import ReadTable
from consumer.push.table import DelimitedText, Source, Table


def read(source: Source, options: Options, overrides: Mapping[str, Override] | None = None, *, way: Way = "fast") -> Table:
    """The table in *source*; its heading is known on return, its rows are not read yet.

    *overrides* are the data dictionary's wishes by stored column name; *types* of the options wins over them.
    Raises FileError (`empty`, `undecodable`, `too-many-columns`, `bad-option`, …).
    """
    if isinstance(source, DelimitedText):
        return ReadTable(DelimitedReader(source, options, way=way), options, overrides or {}, {})
    reader = RowsReader(source, options)
    return ReadTable(reader, options, overrides or {}, source.given, is_sheet=source.sheet is not None)
