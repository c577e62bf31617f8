"""What the tests of the COPY loader have in common: a resource, a file of people, and a look at the table."""

from consumer.push.load import Loaded, Target
from consumer.push.load_copy import CopyLoader
from consumer.report import Report, logging_outlet
from tests.push.datastore_database import Datastore, MadeTable, number_column, text_column

RID = "5b8ba9f5-3b4e-4b7a-9d3c-0c5e5a1c2d3e"
T = f'"{RID}"'
PEOPLE = (text_column(0, "name"), number_column(1, "age"))
ROWS: list[list[str | None]] = [["Ada", "36"], ["Bob", "7"], [None, "NA"]]
NAMES_AND_AGES = [("Ada", 36), ("Bob", 7), (None, None)]


def people(**about: object) -> MadeTable:
    return MadeTable((text_column(0, "name"), number_column(1, "age", tokens=("NA",))), ROWS, **about)  # type: ignore[arg-type]


def load(ds: Datastore, table: MadeTable, read_role: str = "", **target: object) -> Loaded:
    loader = CopyLoader(ds.url, None, read_role=read_role, patience_s=3)
    return loader.load(table, Target(resource_id=RID, **target), Report(logging_outlet))  # type: ignore[arg-type]


def content(ds: Datastore) -> list[tuple[object, ...]]:
    return ds.rows(f"SELECT name, age FROM {T} ORDER BY _id")
