"""The fast encoder and the one that takes over for it write moments alike."""

from datetime import datetime

import pytest

from schemas.json_text import dump_json


@pytest.mark.parametrize("beside", [1, 2**70, "\ud800"], ids=["usual", "long number", "lone surrogate"])
def test_a_moment_is_written_alike_whatever_stands_beside_it(beside: object) -> None:
    assert b'"2026-11-22T17:26:12.000340"' in dump_json({"at": datetime(2026, 11, 22, 17, 26, 12, 340), "beside": beside})


def test_what_has_no_place_in_json_is_told() -> None:
    with pytest.raises(TypeError, match="complex has no place in JSON"):
        dump_json({"z": 1j})
