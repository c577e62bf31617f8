"""What the COPY loader tells CKAN once the table is in place."""

import pytest

from consumer.push.ckan import Ckan
from consumer.push.load import Mode, Target
from consumer.push.load_copy import CopyLoader
from consumer.report import Report, logging_outlet
from schemas.errors import JobError, Transient
from schemas.messages import Json
from tests.push.copying import NAMES_AND_AGES, PEOPLE, RID, T, content, people
from tests.push.datastore_database import Datastore, MadeTable, text_column


class ListeningCkan(Ckan):
    """Keeps what it is told and counts what its DataStore's database has."""

    def __init__(self, ds: Datastore) -> None:
        super().__init__("http://ckan.example", "token")
        self._ds = ds
        self.told: list[tuple[str, object]] = []

    def call(self, action: str, parameters: object) -> Json:
        self.told.append((action, parameters))
        return {}

    def shown_count(self, resource_id: str) -> int:
        return int(self._ds.value(f'SELECT count(*) FROM "{resource_id}"'))


class Away(ListeningCkan):
    def call(self, action: str, parameters: object) -> Json:
        raise Transient("CKAN cannot be reached.")


def tell(ds: Datastore, ckan: Ckan, table: MadeTable, mode: Mode = "replace") -> None:
    CopyLoader(ds.url, ckan).load(table, Target(resource_id=RID, mode=mode), Report(logging_outlet))


def test_ckan_is_told_the_fields_once_and_no_records(ds: Datastore) -> None:
    ckan = ListeningCkan(ds)
    tell(ds, ckan, people())
    action, body = ckan.told[0]
    fields = [{"id": "name", "type": "text"}, {"id": "age", "type": "numeric"}]
    assert (action, body) == (
        "datastore_create", {"resource_id": RID, "force": True, "fields": fields, "calculate_record_count": False},
    )  # fmt: skip


def test_the_dictionary_is_told_only_where_it_is_new(old: Datastore) -> None:
    old.run(f"""COMMENT ON COLUMN {T}.age IS ' {{"_info":{{"notes":"years"}}}}'""")
    ckan = ListeningCkan(old)
    tell(old, ckan, MadeTable((text_column(0, "name", label="Name:"), PEOPLE[1]), [["x", "1"]]))
    body = ckan.told[0][1]
    assert isinstance(body, dict)
    assert body["fields"] == [{"id": "name", "type": "text", "info": {"label": "Name:"}}, {"id": "age", "type": "numeric"}]


def test_a_ckan_with_another_datastore_is_noticed(old: Datastore) -> None:
    class Elsewhere(ListeningCkan):
        def shown_count(self, resource_id: str) -> int:
            return 12345

    with pytest.raises(JobError, match="CKAN sees 12,345: DATAPUSHER_DATASTORE_WRITE_URL"):
        tell(old, Elsewhere(old), people())


def test_a_ckan_that_is_away_is_told_by_the_next_attempt(old: Datastore) -> None:
    with pytest.raises(Transient):
        tell(old, Away(old), people())
    tell(old, ListeningCkan(old), people())
    assert content(old) == NAMES_AND_AGES


def test_rows_are_not_appended_twice_because_ckan_is_away(old: Datastore, caplog: pytest.LogCaptureFixture) -> None:
    tell(old, Away(old), people(), mode="append")
    assert content(old) == [("Old", 99), *NAMES_AND_AGES]
    assert "CKAN could not be told" in caplog.text


def test_a_job_whose_append_could_not_be_told_tells_it_at_its_next_attempt(old: Datastore) -> None:
    target, ckan = Target(resource_id=RID, mode="append", job_id="job-1"), ListeningCkan(old)
    with pytest.raises(Transient):
        CopyLoader(old.url, Away(old)).load(people(), target, Report(logging_outlet))
    CopyLoader(old.url, ckan).load(people(), target, Report(logging_outlet))
    assert content(old) == [("Old", 99), *NAMES_AND_AGES]
    assert ckan.told[0][0] == "datastore_create"


def test_an_append_lets_ckan_make_the_indexes_and_aliases_that_are_asked_for(old: Datastore) -> None:
    ckan = ListeningCkan(old)
    target = Target(resource_id=RID, mode="append", indexes=(("age",),), aliases=("folk",))
    CopyLoader(old.url, ckan).load(people(), target, Report(logging_outlet))
    body = ckan.told[0][1]
    assert isinstance(body, dict)
    assert (body["indexes"], body["aliases"]) == ((("age",),), ("folk",))
