"""Workbooks that ask for more memory than there is; none may end with the process being killed."""

import resource
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import pytest

from consumer.push.inspect import inspect
from consumer.push.readers import workbook_limits
from tests.push.made_files import number_cell, ods, ods_row, ods_text, sheet_xml, text_cell, workbook, xlsb, zipped
from tests.push.reading import became, refused


def corners(path: Path) -> Path:
    return workbook(path, {"S": sheet_xml(text_cell("A1", "a"), number_cell("XFD1048576", 1))})


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


def xlsb_far(path: Path, row: int, column: int) -> Path:
    return xlsb(path, [(0, 0, "a"), (0, 1, "b"), (1, 0, 1.0), (row - 1, column - 1, 1.0)])


def xlsx_far(path: Path, row: int, column: int) -> Path:
    far = number_cell({700: "ZX", 30: "AD"}[column] + str(row), 1)
    return workbook(path, {"S": sheet_xml(text_cell("A1", "a"), text_cell("B1", "b"), number_cell("A2", 1), far)})


BOMBS = [corners, oddly_written_corners, prefixed_corners, far_row_without_references, repeated_rows, xlsb_corners]


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_workbook_that_asks_for_too_much_memory_is_refused(tmp_path: Path, bomb: Any) -> None:
    code, message = refused(bomb(tmp_path / "bomb"))

    assert code == "too-large"
    assert "GiB of memory" in message


@pytest.mark.parametrize("write", [xlsb_far, xlsx_far])
def test_a_stray_cell_far_outside_the_table_is_refused_before_it_takes_memory(tmp_path: Path, write: Any) -> None:
    code, message = refused(write(tmp_path / "far", 100_000, 700))
    assert (code, "Delete cells far outside the table" in message) == ("too-large", True)
    assert became(write(tmp_path / "near", 10_000, 30))["rows"] == 2


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of 64 and 32 MB, so that the bombs of the tests can be small."""
    monkeypatch.setattr(workbook_limits, "MEMORY_LIMIT_BYTES", 64_000_000)
    monkeypatch.setattr(workbook_limits, "SHARED_LIMIT_BYTES", 32_000_000)


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
    path = workbook(
        tmp_path / "s.xlsx", {"S": sheet_xml(text_cell("A1", "a"), number_cell("A2", 1) + '<c r="XFD1048576" s="1"/>')}
    )

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


def test_two_parts_of_one_name_are_corrupt(tmp_path: Path) -> None:
    path = corners(tmp_path / "two.xlsx")
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("xl/worksheets/sheet1.xml", sheet_xml(text_cell("A1", "a")))

    assert refused(path)[0] == "corrupt"
