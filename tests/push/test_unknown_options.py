from pathlib import Path

import pytest

from consumer.push.inspect import inspect
from consumer.push.unknown_options import told


@pytest.mark.parametrize(
    ("key", "meant"),
    [("modus", "mode"), ("Mode", "mode"), ("delimeter", "delimiter"), ("header-row", "header_row"), ("sheets", "sheet"),
     ("primarykey", "primary_key"), ("types_mapping", "type_mapping")],
)  # fmt: skip
def test_a_misspelt_option_is_told_with_the_one_that_was_meant(key: str, meant: str) -> None:
    assert told([key]) == [f"There is no option {key!r}; it is ignored. Did you mean {meant!r}?"]


def test_a_key_like_no_option_is_told_too() -> None:
    assert told(["x-trace"]) == ["There is no option 'x-trace'; it is ignored."]


def test_what_ckan_sends_is_no_unknown_option() -> None:
    sent = ("resource_id", "ckan_url", "ignore_hash", "set_url_type", "original_url", "task_created", "resource_url")
    assert told([*sent, "mode", "delimiter", "indexes", "dry_run"]) == []


def test_a_flood_of_unknown_keys_is_cut() -> None:
    sentences = told(f"zz{number}" for number in range(1_000))
    assert len(sentences) == 21
    assert sentences[-1] == "980 more keys are no options."


def test_inspect_tells_them(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("n\n1\n")
    assert inspect(path, options={"delimeter": ";"})["warnings"] == told(["delimeter"])
    assert "warnings" not in inspect(path, options={"delimiter": ";"})
