"""The seam of loading: a table that was read goes into one resource of CKAN's DataStore.

    loaders.py     choose_loader(settings, ckan, folder) -> Loader
    load_copy.py   CopyLoader(write_url, ckan, read_role=…)   SQL: everything in one transaction
    load_api.py    ApiLoader(ckan, limits, folder)            CKAN's action API: only a token is needed
    dictionary.py  planned(columns, target) -> Plan           which fields, which drift: the same for both

What both promise:

- Nothing in the DataStore changes before the last batch was read: a `FileError` out of `table.batches()` at any point
  leaves table, dictionary, indexes and aliases as they were. The COPY loader streams text into a staging table
  meanwhile, the API loader spools batches to disk.
- `_id` follows the file's order (unless *unordered*), starting at 1 in mode `replace`.
- The data dictionary, indexes, key and aliases of the table that is replaced survive (Target says which).
- When `load` returns, `datastore_active` is true and the rows were counted. CKAN's task is still pending: the loader
  calls no hook and patches no resource.
- A loader may be killed at any moment; the next attempt starts from the beginning and ends with the same table.
  (`append` by the API loader goes by the number of rows: where others write to the table meanwhile, it cannot tell.)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from consumer.push.table import Table
from consumer.report import Report
from schemas.messages import Json

Mode = Literal["replace", "append", "upsert"]
#: What append and upsert do where the file's columns are not the table's: see dictionary.planned.
DriftPolicy = Literal["keep", "add", "fail"]


@dataclass(frozen=True)
class Field:
    """A column of a DataStore table. *info* is its entry in the data dictionary (`label`, `notes`, `type_override`, …)."""

    id: str
    type: str
    info: Mapping[str, Json] = field(default_factory=dict)
    #: What CKAN's plugins keep beside *info* (IDataDictionaryForm), such as `strip_extra_white`.
    extras: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Existing:
    """The table that the resource has now, as `datastore_info` tells it; `_id` is not among *fields*."""

    fields: tuple[Field, ...]
    aliases: tuple[str, ...] = ()
    #: Columns of each plain index that CKAN tells of; the unique key and full-text indexes are not here.
    indexes: tuple[tuple[str, ...], ...] = ()
    #: Columns of the unique key (CKAN's `primary_key`).
    key: tuple[str, ...] = ()

    @property
    def types(self) -> Mapping[str, str]:
        return {one.id: one.type for one in self.fields}


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a table goes, and how."""

    resource_id: str
    #: Of the job that loads, the same in all its attempts: rows that one of them appended are not appended again (COPY
    #: loader). "" where there is no job.
    job_id: str = ""
    #: MD5 of the file, "" where nobody knows it: rows that an attempt appended are only left out of the same file's.
    md5: str = ""
    mode: Mode = "replace"
    #: Columns of the unique key; () keeps the one that the table has. Needed once for `upsert`.
    primary_key: tuple[str, ...] = ()
    #: Columns of each plain index; None keeps those that the table has.
    indexes: tuple[tuple[str, ...], ...] | None = None
    #: Other names of the table; None keeps those that it has.
    aliases: tuple[str, ...] | None = None
    #: None: the resource has no table yet.
    existing: Existing | None = None
    #: Whether the DataStore was asked about *existing*. False: the resource says that it has no table (`datastore_active`),
    #: which is right unless somebody has lost that mark.
    asked: bool = True
    drift: DriftPolicy = "add"
    #: The order of rows may be given up for speed (API loader only).
    unordered: bool = False
    #: Each column's profile goes into its `info` too.
    profile_to_dictionary: bool = False


@dataclass(frozen=True)
class Drift:
    """How a file's columns differ from those of the table that was there: names, and (name, old type, new type)."""

    added: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    retyped: tuple[tuple[str, str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.gone or self.retyped)

    def as_dict(self) -> dict[str, Json]:
        retyped: list[Json] = [{"name": name, "was": was, "is": now} for name, was, now in self.retyped]
        return {"added": list(self.added), "gone": list(self.gone), "retyped": retyped}


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What a loader did."""

    #: Rows of the file that are in the table now.
    rows: int
    #: Rows of the table, older ones included (append, upsert).
    table_rows: int
    #: The table's columns as they were sent, in the table's order.
    fields: tuple[Field, ...]
    drift: Drift = Drift()
    #: Calls or COPY blocks that carried rows.
    chunks: int = 0
    #: Of the writing, without the reading where the two can be told apart.
    seconds: float = 0.0
    #: `copy` or `api`
    method: str = "api"


class Loader(Protocol):
    @property
    def atomic(self) -> bool:
        """Whether a load that does not end leaves the old table as it was, whatever ended it."""

    def load(self, table: Table, target: Target, report: Report) -> Loaded:
        """Reads *table* to its end and makes it, or adds it to, the table of the resource.

        Tells *report* sentences for the job's log and `report.progress("loading", rows=…, rows_total=…)`; the stages'
        durations and what the reader found out (columns, counts, rejects) are told by the caller.
        Raises: FileError out of the reading, nothing changed; JobError where the DataStore refuses, with `Row`,
        `Column` and `Value` in its details where one value is to blame; Transient for what may work later.
        """
