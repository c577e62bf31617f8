"""The lock file for deployment says what setup.py asks for: `make lock` writes it."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PIN = re.compile(
    r"^(?P<name>[\w.-]+)==(?P<version>[^ ;\\]+)(?: ; [^\\]+?)?(?: \\\n    --hash=sha256:[0-9a-f]{64})+$", re.MULTILINE
)


@pytest.fixture
def pins() -> Mapping[str, list[str]]:
    """Versions by name; of some there are several, for several Pythons."""
    found: dict[str, list[str]] = {}
    for pin in PIN.finditer((ROOT / "deploy" / "requirements.lock").read_text()):
        found.setdefault(canonicalize_name(pin["name"]), []).append(pin["version"])
    return found


def required() -> Iterator[Requirement]:
    """install_requires of setup.py."""
    for node in ast.walk(ast.parse((ROOT / "setup.py").read_text())):
        if isinstance(node, ast.keyword) and node.arg == "install_requires":
            yield from map(Requirement, ast.literal_eval(node.value))


def test_each_requirement_is_pinned_to_a_version_that_satisfies_it(pins: Mapping[str, list[str]]) -> None:
    wrong = [str(one) for one in required() if not _satisfied(one, pins.get(canonicalize_name(one.name), []))]
    assert wrong == [], "run: make lock"


def test_each_pin_has_hashes_and_nothing_else_is_in_the_file() -> None:
    text = (ROOT / "deploy" / "requirements.lock").read_text()
    left = PIN.sub("", text)
    assert [line for line in left.splitlines() if line and not line.startswith("#")] == []


def test_nothing_comes_from_anywhere_but_an_index() -> None:
    text = (ROOT / "deploy" / "requirements.lock").read_text()
    assert not re.search(r"^(-|\w+ @ )|://", text, re.M)


def _satisfied(requirement: Requirement, versions: list[str]) -> bool:
    return bool(versions) and all(requirement.specifier.contains(version) for version in versions)
