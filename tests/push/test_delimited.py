"""Delimited text: rules of rows and cells, options, and text that means harm."""

from pathlib import Path
from typing import Any

import pytest

from consumer.push.options import Options
from consumer.push.read import read
from consumer.push.readers.delimited import Way
from consumer.push.table import DelimitedText, Table
from schemas.errors import FileError
from tests.push.reading import became, refused


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "x.csv"
    path.write_bytes(data)
    return path


def table_of(path: Path, **options: Any) -> Table:
    table = read(DelimitedText(path), Options.parse(options))
    list(table.batches())
    return table


def test_rejects_tell_line_reason_and_text(tmp_path: Path) -> None:
    path = written(tmp_path, b'a,b\n1,"two\nlines"\n\n3,4,5\n6,7\n')
    tally = table_of(path, max_rejects="50%").tally
    assert [(one.row, one.text) for one in tally.rejects] == [(5, "3,4,5")]
    assert (tally.rows, tally.blank_skipped) == (2, 1)


@pytest.mark.parametrize("way", ["fast", "tolerant"])
def test_what_was_put_right_is_told_with_its_rows(tmp_path: Path, way: Way) -> None:
    path = written(tmp_path, b"a,b,c\n1,2,3\n\n4,5\n , ,\n6\n7,\xff,8\nNA,9,9\n")
    options = Options.parse({"encoding": "utf-8", "encoding_errors": "replace"})
    table = read(DelimitedText(path), options, way=way)
    list(table.batches())

    assert table.tally.row_numbers == {"blank_skipped": [3, 5], "padded": [4, 6], "undecodable": [7]}
    assert table.columns[0].notes == ("counted as NULL: NA (1); the first in row 8",)


def test_batches_tell_the_line_of_every_row(tmp_path: Path) -> None:
    table = read(DelimitedText(written(tmp_path, b'a,b\n1,"x\ny"\n\n2,z\n3\n')), Options())
    assert [int(one) for batch in table.batches() for one in batch.row_numbers] == [2, 5, 6]


def test_reading_twice_gives_the_same(tmp_path: Path) -> None:
    table = read(DelimitedText(written(tmp_path, b"a,b\n1\n2,3\n")), Options())
    first = [batch.cells.to_pylist() for batch in table.batches()]
    tally = table.tally
    assert [batch.cells.to_pylist() for batch in table.batches()] == first
    assert table.tally == tally


def test_columns_are_not_known_before_the_last_row(tmp_path: Path) -> None:
    table = read(DelimitedText(written(tmp_path, b"a,b\n1,2\n")), Options())
    with pytest.raises(RuntimeError):
        _ = table.columns


def test_max_rows_ends_the_reading(tmp_path: Path) -> None:
    table = table_of(written(tmp_path, b"a,b\n1,2\n3,4\n5,6\n"), max_rows=2)
    assert (table.tally.rows, table.tally.truncated) == (2, True)


def test_unclosed_quote_costs_one_row(tmp_path: Path) -> None:
    rows = b"".join(b"%d,hello\n" % row for row in range(3_000))
    tally = table_of(written(tmp_path, b'a,b\n1,x\n2,"x\n' + rows)).tally
    assert (tally.rows, tally.rejected, tally.rejects[0].row) == (3_001, 1, 3)


def test_named_encoding_that_cannot_decode_names_the_byte(tmp_path: Path) -> None:
    code, message = refused(written(tmp_path, b"a,b\n1,\xff\n"), encoding="utf-8")
    assert code == "undecodable"
    assert "offset 6" in message


def test_undecodable_bytes_may_be_replaced_and_are_counted(tmp_path: Path) -> None:
    table = table_of(written(tmp_path, "a,b\né,\xff\n".encode("latin-1")), encoding="utf-8", encoding_errors="replace")
    assert table.tally.undecodable == 2


def test_nul_characters_are_removed_and_counted(tmp_path: Path) -> None:
    table = table_of(written(tmp_path, b"a,b\n1,\x00x\x00\n"))
    assert table.tally.nul_removed == 2


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b"\n \n,,\n", "empty"),
        (b",".join(b"c%d" % one for one in range(2_000)) + b"\n", "too-many-columns"),
        (b"x" * (40 << 20), "too-large"),
        (b'a,b\n1,2\n3,"' + b"x" * (40 << 20) + b'"\n', "too-large"),
        (b'"' * (20 << 20), "too-large"),
        (b"a,b\n1,2,3\n4,5,6\n", "too-many-rejects"),
    ],
    ids=["nothing", "blank", "wide", "one line", "one cell", "quotes", "rejects"],
)
def test_hostile_text_ends_in_an_error(tmp_path: Path, data: bytes, code: str) -> None:
    with pytest.raises(FileError) as caught:
        table_of(written(tmp_path, data))
    assert caught.value.code == code


def test_utf16_without_mark_is_read(tmp_path: Path) -> None:
    facts = became(written(tmp_path, "id,name\n1,Ann\n2,Bob\n".encode("utf-16-le")))
    assert (facts["encoding"], facts["rows"]) == ("utf-16-le", 2)


def test_legacy_encoding_is_found_far_from_the_head(tmp_path: Path) -> None:
    path = written(tmp_path, b"id,name\n" + b"1,plain\n" * 200_000 + "2,Café Señor\n".encode("cp1252"))
    assert became(path)["data"][-1] == ["2", "Café Señor"]


@pytest.mark.parametrize(
    "options",
    [
        {"delimiter": ";;"}, {"quote": "ab"}, {"header_row": -1}, {"header_row": 99}, {"max_rejects": "lots"},
        {"max_rejects": "120%"}, {"encoding": "klingon"}, {"encoding_errors": "ignore"}, {"strip": "maybe"},
        {"null_tokens": [1]}, {"decimal": ";"}, {"date_format": "%Q"}, {"day_first": "perhaps"},
        {"types": {"a": "colour"}}, {"type_mapping": "best"}, {"max_rows": 0}, {"types": "{"},
    ],
    ids=str,
)  # fmt: skip
def test_bad_option_is_named(tmp_path: Path, options: dict[str, Any]) -> None:
    code, message = refused(written(tmp_path, b"a,b\n1,2\n"), **options)
    assert code == "bad-option"
    assert next(iter(options)) in message


def test_site_defaults_give_way_to_the_job(tmp_path: Path) -> None:
    options = Options.parse({"max_rejects": "10"}, {"max_rejects": "1%", "day_first": "true"})
    assert (options.max_rejects.count, options.day_first) == (10, True)


def test_profile_tells_what_the_values_look_like(tmp_path: Path) -> None:
    rows = b"".join(b"%d,%s\n" % (row, b"north" if row % 3 else b"south") for row in range(30_000))
    number, word = (one.profile for one in table_of(written(tmp_path, b"n,w\n" + rows)).columns)
    assert number and word
    assert (number.min, number.max, number.mean) == ("0", "29999", 14999.5)
    assert abs((number.distinct or 0) - 30_000) < 3_000
    assert word.frequent == (("north", 20_000), ("south", 10_000))


@pytest.mark.parametrize("rounds", [64, 65])  # few rows are counted in Python, more by Arrow
def test_few_rows_have_the_same_profile_as_many(tmp_path: Path, rounds: int) -> None:
    text = b"n,w\n" + rounds * b"5,a\n6,\n7,b\n8,a\n"
    profile = table_of(written(tmp_path, text)).columns[1].profile
    assert profile is not None and profile.distinct == 2
    assert profile.frequent == (("a", 2 * rounds), ("b", rounds))


def test_profile_can_be_left_out(tmp_path: Path) -> None:
    assert table_of(written(tmp_path, b"a,b\n1,2\n"), profile=False).columns[0].profile is None
