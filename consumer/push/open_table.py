"""From a downloaded file to a table: what format it is, what it is packed in, which reader takes it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from consumer.push import formats
from consumer.push.containers import UnpackLimits, nested, unpack
from consumer.push.formats import Hints, detect
from consumer.push.options import Options, Override
from consumer.push.read import read
from consumer.push.readers.dbf import open_dbf
from consumer.push.readers.fixed import open_fixed
from consumer.push.readers.json import open_json
from consumer.push.readers.parquet import open_parquet
from consumer.push.readers.workbook import open_workbook
from consumer.push.readers.xls import open_xls
from consumer.push.table import DelimitedText, Source, Table

NO_LIMITS_SAID = UnpackLimits()


def open_table(
    path: Path,
    hints: Hints,
    options: Options,
    folder: Path,
    *,
    overrides: Mapping[str, Override] | None = None,
    limits: UnpackLimits = NO_LIMITS_SAID,
) -> Table:
    """The table in the file *path*; its heading is known on return.

    *folder* is for files made on the way (unpacked, recoded); it must stay until the table is read, and is the caller's
    to delete. Raises FileError.
    """
    return read(open_source(path, hints, options, folder, limits=limits), options, overrides)


def open_source(path: Path, hints: Hints, options: Options, folder: Path, *, limits: UnpackLimits = NO_LIMITS_SAID) -> Source:
    """The file *path* as the rows or the text it holds. Raises FileError."""
    hints = replace(hints, forced=options.format or hints.forced)
    kind = detect(path, hints)
    if kind in formats.CONTAINERS:
        unpacked = unpack(path, kind, folder / "unpacked", member=options.member, limits=limits)
        hints = replace(hints, **_inner(hints, kind, unpacked.name))
        path, kind = unpacked.path, detect(unpacked.path, hints)
        if kind in formats.CONTAINERS:
            raise nested(unpacked.name)
    return _source(path, kind, options, folder)


def _inner(hints: Hints, kind: str, name: str | None) -> dict[str, str | None]:
    """What is said of the archive holds for its content but for its own extension: `data.tsv.gz` holds `data.tsv`."""
    if kind == "zip":
        return {"filename": name, "url": None, "declared": None}
    return {
        "filename": hints.filename and hints.filename.rpartition(".")[0],
        "url": hints.url and hints.url.partition("?")[0].rpartition(".")[0],
    }


def _source(path: Path, kind: str, options: Options, folder: Path) -> Source:
    if kind in formats.WORKBOOKS:
        return open_workbook(path, kind, options.sheet)
    if kind == formats.XLS:
        return open_xls(path, options.sheet)
    if kind in (formats.JSON, formats.NDJSON, formats.GEOJSON):
        return open_json(path, kind, options, folder)
    if kind == formats.PARQUET:
        return open_parquet(path)
    if kind == formats.DBF:
        return open_dbf(path, options)
    if kind == formats.FIXED:
        return open_fixed(path, options)
    return DelimitedText(path, format=kind, delimiter="\t" if kind == formats.TSV else None)
