"""The real CKAN that bench/api.py measures at."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.ckan.__main__ import running_ckan
from tests.ckan.client import RealCkan


@dataclass(frozen=True)
class Site:
    """A CKAN as a process of its own is told of it."""

    url: str
    token: str
    write_url: str
    database_url: str
    service_port: int

    @property
    def ckan(self) -> RealCkan:
        return RealCkan(self.url, self.token)


@contextmanager
def real_ckan() -> Iterator[Site]:
    """The one that is exported, or one of our own."""
    if os.environ.get("DATAPUSHER_TEST_CKAN_URL"):
        yield _site(os.environ)
        return
    with running_ckan() as variables:
        yield _site(variables)


def _site(variables: Mapping[str, str]) -> Site:
    names = ("URL", "TOKEN", "WRITE_URL", "DATABASE_URL")
    url, token, write_url, database_url = (variables[f"DATAPUSHER_TEST_CKAN_{name}"] for name in names)
    return Site(url, token, write_url, database_url, int(variables["DATAPUSHER_TEST_SERVICE_PORT"]))
