"""Real files of several projects become the tables that their gold files say."""

from pathlib import Path

import pytest

from consumer.push.formats import Hints
from consumer.push.open_table import open_table
from consumer.push.options import Options
from consumer.push.read import read
from consumer.push.table import DelimitedText
from schemas.errors import FileError
from tests.push.gold import CORPUS, Case, cases, differences, failed, outcome

#: Errors that delimited text can end in; the others are told by the format.
_ERRORS_OF_TEXT = (None, "empty", "undecodable", "too-many-columns", "too-many-rejects")

CASES = cases()
DELIMITED = [
    one for one in CASES
    if one.path.suffix in (".csv", ".tsv", ".txt") and one.gold.get("error") in _ERRORS_OF_TEXT
    and "sheet" not in one.gold and "format" not in one.options
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_file_becomes_the_table_that_its_gold_says(case: Case, tmp_path: Path) -> None:
    try:
        hints = Hints(declared=case.declared, filename=case.path.name)
        found = outcome(open_table(case.path, hints, Options.parse(case.options), tmp_path))
    except FileError as error:
        found = failed(error)
    assert differences(case, found) == []


@pytest.mark.parametrize("case", DELIMITED, ids=lambda case: case.name)
def test_tolerant_path_makes_the_same_table_of_delimited_text(case: Case) -> None:
    try:
        found = outcome(read(DelimitedText(case.path), Options.parse(case.options), way="tolerant"))
    except FileError as error:
        found = failed(error)
    assert differences(case, found) == []


def test_corpus_is_whole() -> None:
    assert len(CASES) > 150
    assert len(DELIMITED) > 100
    kept = {path.name for path in (CORPUS / "files").iterdir()}
    assert kept == {str(case.gold["file"]) for case in CASES}
