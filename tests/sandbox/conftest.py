from collections.abc import Iterator

import pytest

from sandbox import Sandbox


@pytest.fixture
def ckan() -> Iterator[Sandbox]:
    """A sandbox that posts no jobs."""
    with Sandbox() as sandbox:
        yield sandbox
