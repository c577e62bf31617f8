import zipfile
from pathlib import Path
from typing import Any

import pytest

from consumer.push.readers.workbook import open_workbook
from tests.push.made_files import number_cell, ods, ods_row, ods_text, sheet_xml, text_cell, workbook, xlsb
from tests.push.reading import became, refused, types


@pytest.fixture
def typed(tmp_path: Path) -> Path:
    head = "".join(
        text_cell(f"{letter}1", name)
        for letter, name in zip("ABCDEFG", "day moment clock share n flag mixed".split(), strict=True)
    )
    first = (
        number_cell("A2", 45322, 1) + number_cell("B2", 45322.43, 2) + number_cell("C2", 0.25, 3) + number_cell("D2", 0.525, 4)
    )
    first += number_cell("E2", 12) + '<c r="F2" t="b"><v>1</v></c>' + number_cell("G2", 12)
    second = number_cell("A3", 45323, 1) + number_cell("B3", 45323, 2) + number_cell("C3", 0.5, 3) + number_cell("D3", 1, 4)
    second += '<c r="E3" t="e"><v>#DIV/0!</v></c><c r="F3" t="b"><v>0</v></c>' + text_cell("G3", "x")
    return workbook(tmp_path / "typed.xlsx", {"Data": sheet_xml(head, first, second)})


def test_cells_have_the_type_of_their_value_and_format(typed: Path) -> None:
    facts = became(typed)

    assert types(facts) == {
        "day": "date", "moment": "timestamp", "clock": "time", "share": "decimal", "n": "integer", "flag": "boolean",
        "mixed": "text",
    }  # fmt: skip
    assert facts["data"] == [
        ["2024-01-31T00:00:00", "2024-01-31T10:19:12", "06:00:00", "0.525", "12", "true", "12"],
        ["2024-02-01T00:00:00", "2024-02-01T00:00:00", "12:00:00", "1", None, "false", "x"],
    ]


def test_error_cells_are_counted_with_their_rows(typed: Path) -> None:
    facts = became(typed)

    assert (facts["error_cells"], facts["row_numbers"]["error_cells"]) == (1, [3])


def test_error_cells_of_ods_are_null_and_counted_with_their_rows(tmp_path: Path) -> None:
    failed = '<table:table-cell office:value-type="string" office:string-value="" calcext:value-type="error">'
    error = f"{failed}<text:p>#REF!</text:p></table:table-cell>"
    rows = ods_row(ods_text("a"), ods_text("b")) + ods_row(ods_text("1"), error) + ods_row(ods_text("2"), ods_text("3"))
    facts = became(ods(tmp_path / "e.ods", rows + ods_row(error, ods_text("4"))))

    assert facts["data"] == [["1", None], ["2", "3"], [None, "4"]]
    assert (facts["error_cells"], facts["row_numbers"]["error_cells"]) == (2, [2, 4])


def test_dates_of_the_1904_system(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "mac.xlsx", {"S": sheet_xml(text_cell("A1", "day"), number_cell("A2", 1, 1))}, properties='date1904="1"'
    )

    assert became(path)["first_row"] == ["1904-01-02T00:00:00"]


def test_durations_keep_their_hours(tmp_path: Path) -> None:
    path = workbook(tmp_path / "d.xlsx", {"S": sheet_xml(text_cell("A1", "took"), number_cell("A2", 1.5, 5))})

    assert became(path)["first_row"] == ["36:00:00"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("PT07H30M00S", "07:30:00"),
        ("PT25H15M00S", "25:15:00"),
        ("PT36H00M00.000000000S", "36:00:00"),
        ("-PT01H30M00S", "-01:30:00"),
    ],
)
def test_durations_of_ods_are_written_as_those_of_xlsx(tmp_path: Path, value: str, text: str) -> None:
    cell = f'<table:table-cell office:value-type="time" office:time-value="{value}"><text:p>x</text:p></table:table-cell>'
    rows = ods_row(ods_text("id"), ods_text("took")) + ods_row(ods_text("a"), cell)

    assert became(ods(tmp_path / "d.ods", rows))["first_row"] == ["a", text]


def test_the_first_visible_sheet_with_data_is_loaded(tmp_path: Path) -> None:
    data = sheet_xml(text_cell("A1", "a"), number_cell("A2", 1))
    path = workbook(tmp_path / "s.xlsx", {"Notes": data, "Empty": sheet_xml(), "Data": data}, hidden=["Notes"])

    assert became(path)["sheet"] == "Data"
    assert became(path, sheet="Notes")["sheet"] == "Notes"
    assert became(path, sheet=1)["sheet"] == "Notes"
    assert became(path, sheet="-1")["sheet"] == "Data"


@pytest.mark.parametrize(("wish", "code"), [("Nope", "bad-option"), (9, "bad-option"), (-4, "bad-option"), (2, "empty")])
def test_a_sheet_that_cannot_be_loaded_is_an_error_that_names_it(tmp_path: Path, wish: Any, code: str) -> None:
    path = workbook(tmp_path / "s.xlsx", {"Data": sheet_xml(text_cell("A1", "a")), "Empty": sheet_xml(), "C": sheet_xml()})

    assert refused(path, sheet=wish)[0] == code


def test_blank_rows_inside_count_and_those_at_the_end_do_not(tmp_path: Path) -> None:
    styled = '<c r="A9" s="1"/>'
    path = workbook(
        tmp_path / "b.xlsx", {"S": sheet_xml(text_cell("A1", "a"), number_cell("A2", 1), "", number_cell("A4", 2), "", styled)}
    )

    facts = became(path)

    assert (facts["rows"], facts["blank_skipped"], facts["padded"]) == (2, 1, 0)


def test_a_table_that_begins_in_the_middle_of_the_sheet(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "m.xlsx",
        {"S": sheet_xml("", "", text_cell("C3", "a") + text_cell("D3", "b"), number_cell("C4", 1) + number_cell("D4", 2))},
    )

    facts = became(path)

    assert (facts["header_row"], facts["data"]) == (3, [["1", "2"]])
    assert became(path, header_row=3)["rows"] == 1


def test_whole_floats_print_as_integers_and_others_shortest(tmp_path: Path) -> None:
    values = [12.0, 0.1, 1e16, 123456789012345.0, -0.5]
    rows = [text_cell("A1", "n"), *(number_cell(f"A{row}", value) for row, value in enumerate(values, 2))]

    facts = became(workbook(tmp_path / "f.xlsx", {"S": sheet_xml(*rows)}))

    assert [row[0] for row in facts["data"]] == ["12", "0.1", "10000000000000000", "123456789012345", "-0.5"]


def test_separators_of_windows_in_the_zip(tmp_path: Path) -> None:
    path = workbook(tmp_path / "w.xlsx", {"S": sheet_xml(text_cell("A1", "a"), number_cell("A2", 1))}, separator="\\")

    assert became(path)["rows"] == 1


def test_an_xlsb_with_text_numbers_and_an_error(tmp_path: Path) -> None:
    path = xlsb(tmp_path / "b.xlsb", [(0, 0, "a"), (0, 1, "b"), (1, 0, 1.0), (1, 1, 2.5), (2, 0, 2.0), (2, 1, None)])

    facts = became(path)

    assert (facts["format"], facts["data"]) == ("XLSB", [["1", "2.5"], ["2", None]])
    source = open_workbook(path, "XLSB", None)
    assert (source.error_cells, source.error_rows) == (1, [3])


def test_an_ods_whose_last_rows_and_columns_are_repeated_blanks(tmp_path: Path) -> None:
    blank = '<table:table-cell table:number-columns-repeated="16000"/>'
    end = ods_row(blank, attributes='table:number-rows-repeated="1048000"')

    facts = became(ods(tmp_path / "o.ods", ods_row(ods_text("a"), blank) + ods_row(ods_text("1"), blank) + end))

    assert (facts["format"], facts["columns"][0]["name"], facts["data"]) == ("ODS", "a", [["1"]])


# ------------------------------------------------------------------------------------------------------------- damage


def test_half_a_workbook_is_corrupt(typed: Path) -> None:
    typed.write_bytes(typed.read_bytes()[:800])

    assert refused(typed)[0] == "corrupt"


def test_a_workbook_with_broken_xml_is_corrupt(tmp_path: Path) -> None:
    assert refused(workbook(tmp_path / "x.xlsx", {"S": "<worksheet><sheetData><row><c r='A1'"}))[0] == "corrupt"


def test_a_sheet_list_full_of_entities_is_corrupt_and_quick(tmp_path: Path) -> None:
    path = workbook(tmp_path / "x.xlsx", {"S": sheet_xml()})
    levels = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    laugh = f'<!DOCTYPE w [<!ENTITY a0 "ha">{levels}]><workbook><sheets>&a9;</sheets></workbook>'
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()} | {"xl/workbook.xml": laugh.encode()}
    with zipfile.ZipFile(path, "w") as new:
        for name, content in parts.items():
            new.writestr(name, content)

    assert refused(path)[0] in ("corrupt", "empty")


def test_an_ods_whose_tags_do_not_match_is_corrupt(tmp_path: Path) -> None:
    path = ods(tmp_path / "o.ods", ods_row(ods_text("a")) + ods_row(ods_text("b")) + "<table:table>")

    assert refused(path)[0] == "corrupt"


def test_a_long_gap_in_a_sheet_is_blank_rows_and_no_rows_are_lost_around_it(tmp_path: Path) -> None:
    rows: list[tuple[int, int, float | str | None]] = [(row, 0, float(row)) for row in range(1, 700)]
    facts = became(xlsb(tmp_path / "gap.xlsb", [(0, 0, "a"), (0, 1, "b"), *rows, (60_000, 1, 5.0)]))
    assert (facts["rows"], facts["blank_skipped"]) == (700, 59_300)
    assert facts["data"][698:] == [["699", None], [None, "5"]]
    assert facts["row_numbers"]["blank_skipped"] == [701, 702, 703, 704, 705]


def test_a_column_that_changes_its_kind_is_read_whole(tmp_path: Path) -> None:
    kinds: list[tuple[int, float | str]] = [(row, float(row) if row % 600 < 300 else f"t{row}") for row in range(1, 1_500)]
    cells: list[tuple[int, int, float | str | None]] = [(0, 0, "a"), *((row, 0, value) for row, value in kinds)]
    facts = became(xlsb(tmp_path / "kinds.xlsb", cells))
    assert [row[0] for row in facts["data"]] == [f"{value:.0f}" if isinstance(value, float) else value for _, value in kinds]
