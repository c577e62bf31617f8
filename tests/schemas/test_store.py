"""A store of an earlier version is brought up to date when it is opened, and keeps what is in it."""

import re
from pathlib import Path

import pytest
from sqlalchemy import insert, inspect, select, text

from schemas.errors import BadSetting
from schemas.store import MIGRATIONS, VERSION, open_store, reading, store_now, writing
from schemas.tables import cancellations, workers

#: What came after the first version: (table, column), and indexes.
STEPS = "\n".join(step for steps in MIGRATIONS.values() for step in steps)
ADDED = re.findall(r"ALTER TABLE (\w+) ADD COLUMN (\w+)", STEPS)
INDEXES = re.findall(r"CREATE INDEX (\w+)", STEPS)


def test_an_older_store_gets_what_it_lacks(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    engine = open_store(url)
    assert len(ADDED) > 1
    with writing(engine) as connection:
        connection.execute(insert(cancellations).values(job_id="j", requested_at=store_now(connection), deleted=False))
        connection.execute(text("DROP TABLE workers"))
        for index in INDEXES:
            connection.execute(text(f"DROP INDEX {index}"))
        for table, column in ADDED:
            connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
        connection.execute(text("UPDATE schema_version SET version = 1"))
    engine.dispose()
    engine = open_store(url)
    with reading(engine) as connection:
        assert connection.execute(text("SELECT version FROM schema_version")).scalar_one() == VERSION
        assert inspect(connection).has_table(workers.name)
        for table, column in ADDED:
            assert column in {found["name"] for found in inspect(connection).get_columns(table)}
        assert connection.execute(select(cancellations.c.job_id)).scalars().all() == ["j"]
    engine.dispose()


def test_a_newer_store_is_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    engine = open_store(url)
    with writing(engine) as connection:
        connection.execute(text(f"UPDATE schema_version SET version = {VERSION + 1}"))
    engine.dispose()
    with pytest.raises(BadSetting, match="newer than"):
        open_store(url)
