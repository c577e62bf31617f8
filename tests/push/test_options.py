"""Every option of docs/tables.md at work: what a file is without it, and with it, given by the job or by the site."""

import dataclasses
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from consumer.push.inspect import inspect
from consumer.push.options import Options
from schemas.settings import rows_of_table
from tests.push.made_files import number_cell, sheet_xml, text_cell, workbook


@dataclass(frozen=True)
class Case:
    """*before* and *after* are the rows (or the error) without and with the option; *more*: other options needed."""

    option: str
    value: Any
    data: bytes
    before: Any
    after: Any
    name: str = "x.csv"
    more: tuple[tuple[str, Any], ...] = ()


def _zip(**members: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in members.items():
            archive.writestr(f"{name}.csv", text)
    return packed.getvalue()


def _sheets(tmp: Path) -> bytes:
    one, two = (sheet_xml(text_cell("A1", "a"), number_cell("A2", value)) for value in (1, 2))
    return workbook(tmp, {"One": one, "Two": two}).read_bytes()


WIDE = b"ab1234\ncd5678\n"
CASES = [
    Case("format", "fixed", WIDE, [["cd5678"]], [["cd", "5678"]], "x.txt", (("widths", [2, 4]),)),
    Case("widths", [1, 5], WIDE, "bad-option", [["c", "d5678"]], "x.txt", (("format", "fixed"),)),
    Case("member", "b.csv", _zip(a="x,y\n1,2\n", b="x,y\n3,4\n"), "ambiguous-archive", [["3", "4"]], "x.zip"),
    Case("encoding", "cp1251", b"a;b\n\xe9;1\n", [["é", "1"]], [["й", "1"]]),
    Case("encoding_errors", "replace", b"\xef\xbb\xbfa;b\n\xe9;1\n", "undecodable", [["\ufffd", "1"]]),
    Case("delimiter", "|", b"a,b|c\n1,2|3\n", [["1", "2|3"]], [["1.2", "3"]]),
    Case("quote", "'", b"a,b\n'x',1\n\"y\",2\n", [["'x'", "1"], ["y", "2"]], [["x", "1"], ['"y"', "2"]]),
    Case("quote", "", b'a,b\n"x",1\n', [["x", "1"]], [['"x"', "1"]]),
    Case("escape", "\\", b"a,b\nx\\y,1\n", [["x\\y", "1"]], [["xy", "1"]]),
    Case("escape", "", b'a,b\n"x \\" y",1\n"z",2\n', [['x " y', "1"], ["z", "2"]], [['x \\ y"', "1"], ["z", "2"]]),
    Case("header_row", 2, b"a,b\nc,d\n1,2\n", [["c", "d"], ["1", "2"]], [["1", "2"]]),
    Case("header_row", 0, b"1,2\n3,4\n", [["3", "4"]], [["1", "2"], ["3", "4"]]),
    Case("max_rows", 1, b"a,b\n1,2\n3,4\n", [["1", "2"], ["3", "4"]], [["1", "2"]]),
    Case("max_rejects", "60%", b"a,b\n1,2\n3,4,5\n", "too-many-rejects", [["1", "2"]]),
    Case("max_rejects", 0, b"a,b\n" + b"1,2\n" * 99 + b"3,4,5\n", [["1", "2"]] * 99, "too-many-rejects"),
    Case("strip", False, b"a,b\n x ,1\n", [["x", "1"]], [[" x ", "1"]]),
    Case("null_tokens", ["?"], b"a,b\n?,1\n2,NA\n", [["?", "1"], ["2", None]], [[None, "1"], ["2", "NA"]]),
    Case("decimal", ",", b"a;b\n1,234;x\n", [["1,234", "x"]], [["1.234", "x"]]),
    Case("decimal", ".", b"a;b\n1,234;x\n", [["1,234", "x"]], [["1234", "x"]]),
    Case("date_format", "%Y%m%d", b"a;b\n20240131;x\n", [["20240131", "x"]], [["2024-01-31T00:00:00", "x"]]),
    Case("day_first", True, b"a;b\n01/02/2024;x\n", [["2024-01-02T00:00:00", "x"]], [["2024-02-01T00:00:00", "x"]]),
    Case("types", {"a": "text"}, b"a;b\n+1;x\n", [["1", "x"]], [["+1", "x"]]),
    Case("type_mapping", "rich", b"a;b\nyes;2024-01-31\n", [["yes", "2024-01-31T00:00:00"]], [["true", "2024-01-31"]]),
    Case("type_mapping", {"date": "date"}, b"a;b\nyes;2024-01-31\n", [["yes", "2024-01-31T00:00:00"]], [["yes", "2024-01-31"]]),
    Case("sheet", "Two", b"", [["1"]], [["2"]], "x.xlsx"),
    Case("sheet", -1, b"", [["1"]], [["2"]], "x.xlsx"),
]  # fmt: skip


def became(case: Case, tmp_path: Path, options: dict[str, Any]) -> Any:
    path = tmp_path / case.name
    path.write_bytes(case.data or _sheets(tmp_path / "sheets.xlsx"))
    facts = inspect(path, options={**dict(case.more), **options}, data=True)
    return facts.get("error", facts.get("data"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.option}={case.value}")
def test_an_option_makes_the_difference(case: Case, tmp_path: Path) -> None:
    assert became(case, tmp_path, {}) == case.before
    assert became(case, tmp_path, {case.option: case.value}) == case.after


def test_every_option_of_reading_is_shown_and_can_be_set_for_the_site() -> None:
    of_reading = {one.name for one in dataclasses.fields(Options)} - {"profile", "dry_run"}

    assert {case.option for case in CASES} == of_reading
    assert of_reading <= {row.name for row in rows_of_table() if row.section.startswith("Reading")}
