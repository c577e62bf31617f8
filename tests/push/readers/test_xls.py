from pathlib import Path

import pytest

from tests.push.made_files import biff2, endless_ole
from tests.push.reading import became, refused, types


def test_cells_of_an_old_workbook(tmp_path: Path) -> None:
    cells: list[tuple[int, int, float | str | bool | None]] = [
        (0, 0, "n"), (0, 1, "flag"), (0, 2, "mixed"), (1, 0, 1.0), (1, 1, True), (1, 2, 12.0), (2, 0, None), (2, 1, False),
        (2, 2, "x"),
    ]  # fmt: skip

    facts = became(biff2(tmp_path / "old.xls", cells))

    assert (facts["format"], types(facts)) == ("XLS", {"n": "integer", "flag": "boolean", "mixed": "text"})
    assert facts["data"] == [["1", "true", "12"], [None, "false", "x"]]
    assert (facts["error_cells"], facts["row_numbers"]["error_cells"]) == (1, [3])


def test_blank_rows_inside_count(tmp_path: Path) -> None:
    facts = became(biff2(tmp_path / "old.xls", [(0, 0, "a"), (1, 0, 1.5), (4, 0, 2.5)]))

    assert (facts["data"], facts["blank_skipped"]) == ([["1.5"], ["2.5"]], 2)


def test_a_workbook_without_cells_is_empty(tmp_path: Path) -> None:
    assert refused(biff2(tmp_path / "old.xls", []))[0] == "empty"


@pytest.mark.parametrize("size", [40, 600, 5_000])
def test_a_damaged_workbook_is_corrupt(tmp_path: Path, size: int) -> None:
    path = tmp_path / "bad.xls"
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
    path.write_bytes((head + "Workbook\0".encode("utf-16-le")).ljust(size, b"\x05"))

    assert refused(path)[0] == "corrupt"


def test_a_stream_that_never_ends_is_corrupt(tmp_path: Path) -> None:
    code, _ = refused(endless_ole(tmp_path / "endless.xls"))

    assert code == "corrupt"
