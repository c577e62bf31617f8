from pathlib import Path

from tests.push.reading import became, refused

TEXT = "code name    amount\n001  Ann      12.50\n\n010  Zoë      -3.25\n"


def test_columns_are_cut_at_their_widths(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    path.write_text(TEXT)

    facts = became(path, format="fixed", widths=[5, 8, 6])

    assert facts["data"] == [["001", "Ann", "12.50"], ["010", "Zoë", "-3.25"]]
    assert (facts["blank_skipped"], facts["padded"]) == (1, 0)


def test_text_behind_the_last_width_is_a_column_more(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    path.write_bytes(TEXT.encode("cp1252"))

    facts = became(path, format="fixed", widths="5,8", encoding="cp1252")

    assert [column["name"] for column in facts["columns"]] == ["code", "name", "amount"]


def test_widths_are_needed(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    path.write_text(TEXT)

    assert refused(path, format="fixed")[0] == "bad-option"


def test_blank_lines_alone_are_empty(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    path.write_text("\n  \n\n")

    assert refused(path, format="fixed", widths=[5])[0] == "empty"
