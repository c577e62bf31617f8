"""Files as publishers make them, and the table that docs/tables.md makes of each (tests/files/wild/README.md)."""

import json
from pathlib import Path
from typing import Any

import pytest

from consumer.push.inspect import inspect

WILD = Path(__file__).parents[1] / "files" / "wild"
CASES: list[dict[str, Any]] = json.loads((WILD / "cases.json").read_text())
FACTS = ("error", "rows", "rejected", "blank_skipped", "padded", "header_row", "delimiter", "sheet", "first_row", "last_row")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['file']}-{case['why']}")
def test_a_file_of_the_wild_becomes_its_table(case: dict[str, Any]) -> None:
    found = inspect(WILD / "files" / case["file"], case["format"], case.get("options"))

    assert {"error": found.get("message"), **{key: found.get(key) for key in FACTS if key in case}} == {
        "error": found.get("message"), **{key: case[key] for key in FACTS if key in case},
    }  # fmt: skip
    assert {one["name"]: one["rich"] for one in found.get("columns", [])} == case.get("columns", {})


def test_every_file_of_the_wild_has_a_case() -> None:
    assert {case["file"] for case in CASES} == {path.name for path in (WILD / "files").iterdir()}
