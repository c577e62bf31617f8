import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.push.reading import became, refused, types


def parquet(tmp_path: Path, **columns: Any) -> Path:
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table(columns), path)
    return path


MOMENT = datetime.datetime(2024, 1, 31, 10, 0, 0, 500_000)
NOON = datetime.datetime(2024, 1, 31, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))


@pytest.mark.parametrize(
    ("column", "rich", "text"),
    [
        (pa.array([1, None], pa.int8()), "integer", "1"),
        (pa.array([2**64 - 1], pa.uint64()), "integer", "18446744073709551615"),
        (pa.array([1.0, 0.1]), "decimal", "1.0"),
        (pa.array([0.1], pa.float32()), "decimal", "0.1"),
        (pa.array([Decimal("12.50")], pa.decimal128(38, 2)), "decimal", "12.50"),
        (pa.array([True]), "boolean", "true"),
        (pa.array([datetime.date(1969, 7, 20)]), "date", "1969-07-20T00:00:00"),
        (pa.array([MOMENT], pa.timestamp("us")), "timestamp", "2024-01-31T10:00:00.500000"),
        (pa.array([MOMENT], pa.timestamp("ns")), "timestamp", "2024-01-31T10:00:00.500000"),
        (pa.array([NOON], pa.timestamp("s", "Europe/Berlin")), "timestamp", "2024-01-31T11:00:00"),
        (pa.array([datetime.time(8, 5)], pa.time64("us")), "time", "08:05:00"),
        (pa.array([[1, None], None]), "json", "[1,null]"),
        (pa.array([{"a": 1, "b": {"c": "x"}}]), "json", '{"a":1,"b":{"c":"x"}}'),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), "json", '{"k":1}'),
        (pa.array([[MOMENT]], pa.list_(pa.timestamp("us"))), "json", '["2024-01-31 10:00:00.500000"]'),
        (pa.array(["007", "8"]), "text", "007"),
        (pa.array(["1", "2"], pa.large_string()), "text", "1"),
        (pa.array(["x", "x"]).dictionary_encode(), "text", "x"),
        (pa.array([b"abc", b"\xff"]), "text", "abc"),
        (pa.array([b"\xff\x00"]), "text", "\\xff00"),
        (pa.array([datetime.timedelta(seconds=5)]), "text", "00:00:05"),
    ],
)  # fmt: skip
def test_the_type_of_a_column_is_that_of_the_file(tmp_path: Path, column: Any, rich: str, text: str) -> None:
    facts = became(parquet(tmp_path, x=column))

    assert types(facts) == {"x": rich}
    assert facts["first_row"] == [text]


def test_nan_and_infinity_are_null(tmp_path: Path) -> None:
    facts = became(parquet(tmp_path, x=[float("nan"), 1.5, float("inf")], n=[1, 2, 3]))

    assert facts["data"] == [[None, "1"], ["1.5", "2"], [None, "3"]]


def test_many_row_groups_come_in_order(tmp_path: Path) -> None:
    path = tmp_path / "g.parquet"
    pq.write_table(pa.table({"n": list(range(120_000))}), path, row_group_size=7_000)

    facts = became(path)

    assert [row[0] for row in facts["data"]] == [str(n) for n in range(120_000)]


def test_a_table_without_rows_keeps_its_columns(tmp_path: Path) -> None:
    facts = became(parquet(tmp_path, x=pa.array([], pa.int64())))

    assert (facts["rows"], types(facts)) == (0, {"x": "integer"})


def test_names_are_cleaned_like_others(tmp_path: Path) -> None:
    assert list(types(became(parquet(tmp_path, **{"_id": [1], " a  b ": [2]})))) == ["id", "a b"]


@pytest.mark.parametrize("cut", [20, 200])
def test_a_cut_off_file_is_corrupt(tmp_path: Path, cut: int) -> None:
    path = parquet(tmp_path, x=list(range(1000)))
    path.write_bytes(path.read_bytes()[:-cut])

    assert refused(path)[0] == "corrupt"
