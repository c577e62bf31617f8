from pathlib import Path

from tests.push.made_files import number_cell, sheet_xml, text_cell, workbook
from tests.push.reading import became, refused, types


def test_thousands_of_commas_are_no_columns(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"a,b{',' * 16_000}\n1,2{',' * 16_000}\n3\n\n4,5,,x\n")

    facts = became(path)

    assert types(facts) == {"a": "integer", "b": "integer", "column_4": "text"}
    assert facts["data"] == [["1", "2", None], ["3", None, None], ["4", "5", "x"]]
    assert (facts["padded"], facts["row_numbers"]) == (1, {"padded": [3], "blank_skipped": [4]})


def test_a_stray_cell_far_to_the_right_is_one_column_more(tmp_path: Path) -> None:
    head = text_cell("A1", "a") + text_cell("B1", "b")
    stray = sheet_xml(head, number_cell("A2", 1) + number_cell("B2", 2) + text_cell("XFD2", "x"))

    facts = became(workbook(tmp_path / "x.xlsx", {"S": stray}))

    assert (types(facts), facts["data"]) == (
        {"a": "integer", "b": "integer", "column_16384": "text"}, [["1", "2", "x"]],
    )  # fmt: skip


def test_too_many_columns_with_data_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"a{',' * 1_700}\n{','.join(['1'] * 1_700)}\n")

    assert refused(path)[0] == "too-many-columns"
