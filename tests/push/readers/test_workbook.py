import resource
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import pytest

from consumer.push.inspect import inspect
from consumer.push.readers import workbook_size
from consumer.push.readers.workbook import open_workbook
from tests.push.made_files import ods, sheet_xml, text_cell, workbook, xlsb, zipped
from tests.push.reading import became, refused, types


def number(place: str, value: object, style: int = 0) -> str:
    return f'<c r="{place}" s="{style}"><v>{value}</v></c>'


@pytest.fixture
def typed(tmp_path: Path) -> Path:
    head = "".join(
        text_cell(f"{letter}1", name)
        for letter, name in zip("ABCDEFG", "day moment clock share n flag mixed".split(), strict=True)
    )
    first = number("A2", 45322, 1) + number("B2", 45322.43, 2) + number("C2", 0.25, 3) + number("D2", 0.525, 4)
    first += number("E2", 12) + '<c r="F2" t="b"><v>1</v></c>' + number("G2", 12)
    second = number("A3", 45323, 1) + number("B3", 45323, 2) + number("C3", 0.5, 3) + number("D3", 1, 4)
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


def test_error_cells_are_counted(typed: Path) -> None:
    assert open_workbook(typed, "XLSX", None).error_cells == 1


def test_dates_of_the_1904_system(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "mac.xlsx", {"S": sheet_xml(text_cell("A1", "day"), number("A2", 1, 1))}, properties='date1904="1"'
    )

    assert became(path)["first_row"] == ["1904-01-02T00:00:00"]


def test_durations_keep_their_hours(tmp_path: Path) -> None:
    path = workbook(tmp_path / "d.xlsx", {"S": sheet_xml(text_cell("A1", "took"), number("A2", 1.5, 5))})

    assert became(path)["first_row"] == ["36:00:00"]


def test_the_first_visible_sheet_with_data_is_loaded(tmp_path: Path) -> None:
    data = sheet_xml(text_cell("A1", "a"), number("A2", 1))
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
        tmp_path / "b.xlsx", {"S": sheet_xml(text_cell("A1", "a"), number("A2", 1), "", number("A4", 2), "", styled)}
    )

    facts = became(path)

    assert (facts["rows"], facts["blank_skipped"], facts["padded"]) == (2, 1, 0)


def test_a_table_that_begins_in_the_middle_of_the_sheet(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "m.xlsx",
        {"S": sheet_xml("", "", text_cell("C3", "a") + text_cell("D3", "b"), number("C4", 1) + number("D4", 2))},
    )

    facts = became(path)

    assert (facts["header_row"], facts["data"]) == (3, [["1", "2"]])
    assert became(path, header_row=3)["rows"] == 1


def test_whole_floats_print_as_integers_and_others_shortest(tmp_path: Path) -> None:
    values = [12.0, 0.1, 1e16, 123456789012345.0, -0.5]
    rows = [text_cell("A1", "n"), *(number(f"A{row}", value) for row, value in enumerate(values, 2))]

    facts = became(workbook(tmp_path / "f.xlsx", {"S": sheet_xml(*rows)}))

    assert [row[0] for row in facts["data"]] == ["12", "0.1", "10000000000000000", "123456789012345", "-0.5"]


def test_separators_of_windows_in_the_zip(tmp_path: Path) -> None:
    path = workbook(tmp_path / "w.xlsx", {"S": sheet_xml(text_cell("A1", "a"), number("A2", 1))}, separator="\\")

    assert became(path)["rows"] == 1


def test_an_xlsb_with_text_numbers_and_an_error(tmp_path: Path) -> None:
    path = xlsb(tmp_path / "b.xlsb", [(0, 0, "a"), (0, 1, "b"), (1, 0, 1.0), (1, 1, 2.5), (2, 0, 2.0), (2, 1, None)])

    facts = became(path)

    assert (facts["format"], facts["data"]) == ("XLSB", [["1", "2.5"], ["2", None]])
    assert open_workbook(path, "XLSB", None).error_cells == 1


def ods_row(*cells: str, attributes: str = "") -> str:
    return f"<table:table-row {attributes}>{''.join(cells)}</table:table-row>"


def ods_text(text: str, attributes: str = "") -> str:
    return f'<table:table-cell office:value-type="string" {attributes}><text:p>{text}</text:p></table:table-cell>'


def test_an_ods_whose_last_rows_and_columns_are_repeated_blanks(tmp_path: Path) -> None:
    blank = '<table:table-cell table:number-columns-repeated="16000"/>'
    end = ods_row(blank, attributes='table:number-rows-repeated="1048000"')

    facts = became(ods(tmp_path / "o.ods", ods_row(ods_text("a"), blank) + ods_row(ods_text("1"), blank) + end))

    assert (facts["format"], facts["columns"][0]["name"], facts["data"]) == ("ODS", "a", [["1"]])


# -------------------------------------------------------------------------------------------------------------- bombs


def corners(path: Path) -> Path:
    return workbook(path, {"S": sheet_xml(text_cell("A1", "a"), number("XFD1048576", 1))})


def oddly_written_corners(path: Path) -> Path:
    return workbook(path, {"S": sheet_xml(text_cell("A1", "a"), "<c\tr = 'XFD1048576'><v>1</v></c>")})


def hidden_corners(path: Path) -> Path:
    return workbook(path, {"S": sheet_xml(text_cell("A1", "a"), """<c x='"' y=">" r="XFD1048576"><v>1</v></c>""")})


def corners_behind_a_bracket(path: Path) -> Path:
    return workbook(path, {"S": sheet_xml(text_cell("A1", "a"), '<c x="<" r="XFD1048576"><v>1</v></c>')})


def prefixed_corners(path: Path) -> Path:
    xml = sheet_xml(text_cell("A1", "a"), '<x:c r="XFD1048576" xmlns:x="other"><x:v>1</x:v></x:c>')
    return workbook(path, {"S": xml})


def far_row_without_references(path: Path) -> Path:
    cells = "<c><v>1</v></c>" * 16_384
    xml = sheet_xml(cells).replace("</sheetData>", '<row r="1048576"><c><v>1</v></c></row></sheetData>')
    return workbook(path, {"S": xml})


def much_blank(path: Path) -> Path:
    return workbook(path, {"S": sheet_xml("<c><v>0</v></c>" * 100).encode() + b" " * 40_000_000})


def long_shared_strings(path: Path) -> Path:
    workbook(path, {"S": sheet_xml(text_cell("A1", "a"))})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sharedStrings.xml", b"<sst>" + b"<si/>" * 8_000_000)
    return path


def repeated_rows(path: Path) -> Path:
    return ods(
        path, ods_row(ods_text("x", 'table:number-columns-repeated="16384"'), attributes='table:number-rows-repeated="1048576"')
    )


def xlsb_corners(path: Path) -> Path:
    return xlsb(path, [(0, 0, "a"), (1_048_575, 16_383, 1.0)])


BOMBS = [corners, oddly_written_corners, prefixed_corners, far_row_without_references, repeated_rows, xlsb_corners]


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_workbook_that_asks_for_too_much_memory_is_refused(tmp_path: Path, bomb: Any) -> None:
    code, message = refused(bomb(tmp_path / "bomb"))

    assert code == "too-large"
    assert "GiB of memory" in message


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of 64 and 32 MB, so that the bombs of the tests can be small."""
    monkeypatch.setattr(workbook_size, "MEMORY_LIMIT_BYTES", 64_000_000)
    monkeypatch.setattr(workbook_size, "SHARED_LIMIT_BYTES", 32_000_000)


@pytest.mark.parametrize("bomb", [much_blank, long_shared_strings])
def test_a_workbook_that_unpacks_to_more_than_memory_is_refused(tmp_path: Path, bomb: Any, small_memory: None) -> None:
    path = bomb(tmp_path / "bomb")

    assert path.stat().st_size < 100_000
    assert refused(path)[0] == "too-large"


def test_a_size_that_the_zip_file_lies_about_is_measured(tmp_path: Path, small_memory: None) -> None:
    path = long_shared_strings(tmp_path / "bomb")
    data = path.read_bytes()
    true_size = (8_000_000 * 5 + 5).to_bytes(4, "little")
    assert data.count(true_size) == 2
    path.write_bytes(data.replace(true_size, (100).to_bytes(4, "little")))

    assert refused(path)[0] == "too-large"


def test_an_endless_tag_is_damage(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "t.xlsx", {"S": sheet_xml(text_cell("A1", "a"), f'<c {" " * 3_000_000} r="XFD1048576"><v>1</v></c>')}
    )

    assert refused(path)[0] == "corrupt"


@pytest.mark.parametrize("cell", ['<c r="12"><v>1</v></c>', '<c r="A"><v>1</v></c>', '<c r=""><v>1</v></c>', "<c/>"])
def test_references_that_make_no_sense_end_the_reading_one_way_or_another(tmp_path: Path, cell: str) -> None:
    path = workbook(tmp_path / "r.xlsx", {"S": sheet_xml(text_cell("A1", "a"), cell)})

    assert inspect(path).get("error") in (None, "corrupt")


def hidden_rows(path: Path) -> Path:
    return ods(path, ods_row(ods_text("x"), attributes='x=">" table:number-rows-repeated="1048576"'))


@pytest.mark.parametrize("bomb", [hidden_corners, corners_behind_a_bracket, hidden_rows])
def test_corners_hidden_from_a_search_are_damage(tmp_path: Path, bomb: Any) -> None:
    assert refused(bomb(tmp_path / "bomb"))[0] == "corrupt"


@pytest.mark.timeout(20)
def test_many_tags_that_never_end_are_seen_through_quickly(tmp_path: Path) -> None:
    assert refused(workbook(tmp_path / "t.xlsx", {"S": sheet_xml("<c x " * 500_000)}))[0] == "corrupt"
    assert refused(ods(tmp_path / "t.ods", "<table:table-row x " * 500_000))[0] == "corrupt"


def test_a_sheet_that_the_workbook_is_unclear_about_is_measured_too(tmp_path: Path) -> None:
    path = corners(tmp_path / "u.xlsx")
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    name = "xl/_rels/workbook.xml.rels"
    twice = parts[name].replace(b"<Relationship ", b'<Relationship Id="rId1" Target="x.xml"/><Relationship ', 1)
    zipped(path, {**parts, name: twice})

    assert refused(path)[0] == "too-large"


def test_cells_that_only_have_a_style_do_not_count(tmp_path: Path) -> None:
    path = workbook(tmp_path / "s.xlsx", {"S": sheet_xml(text_cell("A1", "a"), number("A2", 1) + '<c r="XFD1048576" s="1"/>')})

    assert became(path)["data"] == [["1"]]


def test_no_bomb_takes_more_than_a_gibibyte(tmp_path: Path) -> None:
    paths = [str(bomb(tmp_path / bomb.__name__)) for bomb in BOMBS]
    program = f"""
        import resource
        from pathlib import Path
        from consumer.push.inspect import inspect
        for path in {paths!r}:
            assert inspect(Path(path))["error"] == "too-large", path
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, preexec_fn=_limit)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1024**2


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (8 * 1024**3, 8 * 1024**3))


# ------------------------------------------------------------------------------------------------------------- damage


def test_half_a_workbook_is_corrupt(typed: Path) -> None:
    typed.write_bytes(typed.read_bytes()[:800])

    assert refused(typed)[0] == "corrupt"


def test_a_workbook_with_broken_xml_is_corrupt(tmp_path: Path) -> None:
    assert refused(workbook(tmp_path / "x.xlsx", {"S": "<worksheet><sheetData><row><c r='A1'"}))[0] == "corrupt"


def test_two_parts_of_one_name_are_corrupt(tmp_path: Path) -> None:
    path = corners(tmp_path / "two.xlsx")
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("xl/worksheets/sheet1.xml", sheet_xml(text_cell("A1", "a")))

    assert refused(path)[0] == "corrupt"


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
