"""`read`: a source becomes a table."""

from collections.abc import Mapping

from consumer.push.options import Options, Override
from consumer.push.table import Source, Table


def read(source: Source, options: Options, overrides: Mapping[str, Override] | None = None) -> Table:
    """The table in *source*; its heading is known on return, nothing else is read yet.

    *overrides* are the data dictionary's wishes by stored column name; *types* of the options wins over them.
    Raises FileError (`empty`, `undecodable`, `too-many-columns`, `bad-option`, …).
    """
    raise NotImplementedError
