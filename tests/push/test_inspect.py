import gzip
import json
from pathlib import Path

from consumer.push.formats import Hints
from consumer.push.inspect import FIRST_ROWS, inspect


def csv(tmp_path: Path, rows: int) -> Path:
    path = tmp_path / "data.csv"
    path.write_text("n,when\n" + "".join(f"{n},{1 + n % 28:02d}/01/2024\n" for n in range(rows)))
    return path


def test_inspect_tells_the_table_without_its_rows(tmp_path: Path) -> None:
    facts = inspect(csv(tmp_path, 1000), "CSV")

    columns = [(column["name"], column["rich"], column["ckan"]) for column in facts["columns"]]
    assert columns == [("n", "integer", "numeric"), ("when", "date", "timestamp")]
    assert (facts["format"], facts["delimiter"], facts["header_row"], facts["rows"]) == ("CSV", ",", 1, 1000)
    assert "data" not in facts


def test_the_first_rows_and_the_last_are_as_they_would_be_loaded(tmp_path: Path) -> None:
    path = csv(tmp_path, 100_000)

    facts = inspect(path)
    with_data = inspect(path, data=True)

    assert len(facts["first_rows"]) == FIRST_ROWS
    assert facts["first_rows"] == with_data["data"][:FIRST_ROWS]
    assert facts["first_row"] == ["0", "2024-01-01T00:00:00"]
    assert facts["last_row"] == with_data["data"][-1] == ["99999", "2024-01-12T00:00:00"]
    assert len(with_data["data"]) == 100_000


def test_a_few_rows_are_not_told_twice(tmp_path: Path) -> None:
    assert len(inspect(csv(tmp_path, 3))["first_rows"]) == 3


def test_a_header_alone_has_no_first_row(tmp_path: Path) -> None:
    facts = inspect(csv(tmp_path, 0))

    assert (facts["rows"], facts["first_row"], facts["last_row"], facts["first_rows"]) == (0, None, None, [])
    assert "only a header" in facts["warnings"][0]


def test_an_error_is_its_code_and_its_message(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"%PDF-1.4\n")

    assert inspect(path, "CSV")["error"] == "not-tabular"
    assert inspect(csv(tmp_path, 1), options={"delimiter": "longer"})["error"] == "bad-option"


def test_the_facts_are_json_and_nothing_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(gzip.compress(b"a\tb\n1\t\n2\t3\n"))

    facts = inspect(path, hints=Hints(filename="x.tsv.gz"))

    assert json.loads(json.dumps(facts))["first_rows"] == [["1", None], ["2", "3"]]
    assert list(tmp_path.iterdir()) == [path]
