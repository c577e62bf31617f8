"""Whether a file's rows can be told apart by the table's key: looked at before the old table is given up."""

from collections.abc import Iterable, Iterator, Sequence

import polars as pl

from consumer.push.convert import convert
from consumer.push.table import Batch, Column
from schemas.errors import JobError


def check_key(batches: Iterable[Batch], columns: Sequence[Column], key: Sequence[str]) -> None:
    """Raises JobError naming the first row whose values of the *key*'s columns another row before it has.

    Values are compared as the text that is sent, so `1` and `1.0` pass here and are refused by CKAN. A row with a NULL in
    its key is like no other, as in PostgreSQL.
    """
    if not key:
        return
    frames = list(_hashes(batches, [column for column in columns if column.name in key]))
    if not frames:
        return
    # 16 bytes a row: the keys' values themselves might not fit in memory.
    rows = pl.concat(frames)
    repeated = rows.filter(pl.col("hash").is_duplicated() & ~pl.col("hash").is_first_distinct())
    if len(repeated):
        again = repeated.row(0, named=True)
        first = rows.filter(pl.col("hash") == again["hash"])["row"][0]
        raise _repeated(again["row"], first, key)


def _hashes(batches: Iterable[Batch], columns: Sequence[Column]) -> Iterator[pl.DataFrame]:
    for batch in batches:
        values = pl.DataFrame(pl.from_arrow(convert(batch, columns)))
        hashed = pl.DataFrame({"hash": values.hash_rows(), "row": pl.Series(batch.row_numbers, dtype=pl.Int64)})
        yield hashed.filter(~values.select(pl.any_horizontal(pl.all().is_null())).to_series())


def _repeated(row: int, first: int, key: Sequence[str]) -> JobError:
    names = ", ".join(f"“{name}”" for name in key)
    return JobError(
        f"Row {row} of the file has the same key ({names}) as row {first}, but the table's key tells every two rows apart."
        " Nothing was changed. Correct the file, or give the table another key with the option primary_key.",
        details={"Row": row, "Same as row": first, "Key": ", ".join(key)},
    )
