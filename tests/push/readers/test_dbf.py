from pathlib import Path

import pytest

from tests.push.made_files import dbf
from tests.push.reading import became, refused, types


def test_texts_stay_texts_and_others_are_what_they_hold(tmp_path: Path) -> None:
    columns = [("CODE", "C", 4, 0), ("N", "N", 6, 0), ("AREA", "N", 8, 2), ("WHEN", "D", 8, 0), ("OK", "L", 1, 0)]
    rows = [["0012", "   007", "  -12.50", "20240131", "T"], ["", "******", "", "00000000", "?"]]

    facts = became(dbf(tmp_path / "d.dbf", columns, rows))

    assert types(facts) == {"CODE": "text", "N": "integer", "AREA": "decimal", "WHEN": "date", "OK": "boolean"}
    assert facts["first_row"] == ["0012", "7", "-12.50", "2024-01-31T00:00:00", "true"]
    assert facts["blank_skipped"] == 1


@pytest.mark.parametrize(
    ("cell", "text"), [("-.5", "-0.5"), ("0", "0"), ("000", "0"), ("+1,5", "1.5"), ("1e3", "1000"), ("-0.0", "0.0")]
)
def test_numbers_are_read_from_their_digits(tmp_path: Path, cell: str, text: str) -> None:
    assert became(dbf(tmp_path / "d.dbf", [("N", "N", 12, 2)], [[cell], ["2.5"]]))["first_row"] == [text]


@pytest.mark.parametrize("cell", [".", "-.", "-", "", "***"])
def test_a_number_without_a_digit_is_none(tmp_path: Path, cell: str) -> None:
    facts = became(dbf(tmp_path / "d.dbf", [("A", "C", 1, 0), ("N", "N", 12, 2)], [["x", cell], ["y", "2.5"]]))
    assert (types(facts)["N"], facts["data"]) == ("decimal", [["x", None], ["y", "2.5"]])


@pytest.mark.parametrize(
    ("driver", "name", "expected"),
    [
        (0, "Köln".encode(), "Köln"),
        (0x57, "Łódź".encode(), "Łódź"),
        (0, "Köln".encode("cp1252"), "Köln"),
        (0x01, "Köln".encode("cp437"), "Köln"),
        (0xC9, "Москва".encode("cp1251"), "Москва"),
    ],
)
def test_the_encoding_is_utf8_if_it_can_be_else_the_headers(tmp_path: Path, driver: int, name: bytes, expected: str) -> None:
    assert became(dbf(tmp_path / "d.dbf", [("A", "C", 12, 0)], [[name]], driver))["first_row"] == [expected]


def test_without_a_driver_the_letters_tell_the_encoding(tmp_path: Path) -> None:
    rows = [[name.encode("cp1250")] for name in ("Łódź", "Żory", "Gdańsk")]

    assert became(dbf(tmp_path / "d.dbf", [("A", "C", 12, 0)], rows))["data"] == [["Łódź"], ["Żory"], ["Gdańsk"]]


def test_a_file_that_is_cut_off_is_corrupt(tmp_path: Path) -> None:
    path = dbf(tmp_path / "d.dbf", [("A", "C", 12, 0)], [["x"], ["y"], ["z"]])
    path.write_bytes(path.read_bytes()[:-9])

    assert refused(path)[0] == "corrupt"


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    facts = became(dbf(tmp_path / "d.dbf", [("A", "C", 2, 0), ("A", "C", 2, 0)], [["x", "y"]]))

    assert (list(types(facts)), facts["data"]) == (["A", "A_2"], [["x", "y"]])


def test_a_broken_header_is_corrupt_or_no_dbf(tmp_path: Path) -> None:
    path = dbf(tmp_path / "d.dbf", [("A", "?", 2, 0)], [["x"]])

    assert refused(path)[0] == "corrupt"


def test_memos_whose_file_is_missing_are_told(tmp_path: Path) -> None:
    facts = became(dbf(tmp_path / "d.dbf", [("N", "N", 2, 0), ("TEXT", "M", 10, 0)], [["1", "         1"]]))
    assert facts["first_row"] == ["1", None]
    assert facts["warnings"] == ["The file that goes with this DBF (.dbt or .fpt) is not here: what it holds of TEXT is NULL."]
