"""Short ways for the tests of reading to say what a file becomes."""

from pathlib import Path
from typing import Any

import pytest

from consumer.push.inspect import inspect
from schemas.errors import FILE_ERROR_CODES


def became(path: Path, format: str | None = None, **options: Any) -> dict[str, Any]:
    """The table that *path* becomes, with all its rows under `data`; fails if it is an error."""
    facts = inspect(path, format, options, data=True)
    if "error" in facts:
        pytest.fail(f"{facts['error']}: {facts['message']}")
    return facts


def types(facts: dict[str, Any]) -> dict[str, str]:
    return {column["name"]: column["rich"] for column in facts["columns"]}


def refused(path: Path, format: str | None = None, **options: Any) -> tuple[str, str]:
    """(code, message) of the error that *path* is."""
    facts = inspect(path, format, options)
    assert facts.get("error") in FILE_ERROR_CODES, facts
    return facts["error"], facts["message"]
