"""A DataStore for the tests that load into one."""

from collections.abc import Iterator

import psycopg2
import pytest

from tests.push.copying import RID
from tests.push.datastore_database import READER, Datastore, reshape
from tests.services import own_database


@pytest.fixture(scope="session")
def datastore_url(database_url: str) -> Iterator[str]:
    """A database of this run's own that is a DataStore's and nothing else's."""
    with own_database(database_url) as url:
        yield url
    with psycopg2.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP ROLE IF EXISTS {READER}")
    connection.close()


@pytest.fixture
def ds(datastore_url: str) -> Datastore:
    """An empty DataStore of CKAN 2.11 or older; `as_ckan_2_12` makes it a newer one."""
    return reshape(datastore_url)


@pytest.fixture
def old(ds: Datastore) -> Datastore:
    """A DataStore in which the resource has a table already."""
    ds.create(RID, "name text, age numeric, gone text", [["Old", 99, "x"]])
    return ds
