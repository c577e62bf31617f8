"""The loader that writes to the DataStore's database itself: one transaction, from the first row read to the swap.

    stage     COPY the texts into an UNLOGGED table while the file is being read
    convert   CREATE TABLE AS, in parallel: casts and full text
    finish    key, sequence, trigger, indexes, rights, as CKAN and the old table had them
    swap      the old table goes, the new one takes its name; readers see one or the other
    tell      one `datastore_create` without records: CKAN sets datastore_active and updates its search index

Killed at any point before the commit, by whatever means, everything is as it was. Append and upsert stage and convert
in the same way, then change the table that is there (merge.py).
"""

import time
from dataclasses import replace

from psycopg2.extensions import connection as Connection

from consumer.push.adding import add_to_table
from consumer.push.append_mark import appended_by, mark_append
from consumer.push.arrival import Arrival
from consumer.push.ckan import Ckan
from consumer.push.datastore_schema import TableFacts, read_site, read_table
from consumer.push.dictionary import Plan, planned
from consumer.push.dictionary_comments import additions, existing_of
from consumer.push.leftovers import sweep
from consumer.push.load import Loaded, Target
from consumer.push.merge import rows_in
from consumer.push.replacing import replace_table
from consumer.push.session import lock_resource, looking, transaction
from consumer.push.sql_text import qualified
from consumer.push.staging import Staged, drop_statement, stage
from consumer.push.table import Table
from consumer.report import Report
from schemas.errors import JobError, Transient

#: How long readers may keep the old table busy before the load is put off.
SWAP_PATIENCE_S = 60.0


class CopyLoader:
    """A `load.Loader` for the DataStore behind *write_url*.

    *ckan* None: nobody is told, only the database is changed (`datapusher load --to postgresql://…`).
    *read_role* may read the new table; empty: the roles that may read `_table_metadata`.
    """

    atomic = True

    def __init__(self, write_url: str, ckan: Ckan | None, *, read_role: str = "", patience_s: float = SWAP_PATIENCE_S) -> None:
        self._write_url = write_url
        self._ckan = ckan
        self._read_role = read_role
        self._patience_s = patience_s

    def load(self, table: Table, target: Target, report: Report) -> Loaded:
        with transaction(self._write_url) as connection, connection.cursor() as cursor:
            lock_resource(cursor, target.resource_id)
            if swept := sweep(cursor):
                report.info("Staging tables that an earlier load had left were removed: %s", ", ".join(swept))
            staged = _stage(connection, table, report)
            started = time.monotonic()
            with looking(cursor):
                there, site = read_table(cursor, target.resource_id), read_site(cursor, self._read_role)
            target = _known(target, there)
            plan = planned(table.columns, target)
            report.progress("loading", rows=0, rows_total=staged.rows)
            arrival = Arrival(
                cursor=cursor, table=table, target=target, plan=plan, staged=staged, site=site, there=there, report=report
            )
            table_rows = self._put(arrival, there)
        self._tell(target, plan, there, table_rows, report)
        report.progress("loading", rows=staged.rows, rows_total=staged.rows)
        return Loaded(
            rows=staged.rows, table_rows=table_rows, fields=plan.fields, drift=plan.drift, chunks=staged.blocks,
            seconds=time.monotonic() - started, method="copy",
        )  # fmt: skip

    def _put(self, arrival: Arrival, there: TableFacts | None) -> int:
        """Rows of the table, once the file's are in it. Those that an earlier attempt appended are not appended again."""
        cursor, target = arrival.cursor, arrival.target
        appends = target.mode == "append" and bool(target.job_id)
        if there is not None and appends and appended_by(there.comment) == target.job_id:
            arrival.report.info("An earlier attempt of this job has appended the rows already.")
            cursor.execute(drop_statement(arrival.staged.name))
            return rows_in(cursor, qualified(target.resource_id))
        if target.mode == "replace" or there is None:
            table_rows = replace_table(arrival, self._patience_s)
        else:
            table_rows = add_to_table(arrival, there, self._patience_s)
        if appends:
            mark_append(cursor, target.resource_id, there.comment if there else None, target.job_id)
        return table_rows

    def _tell(self, target: Target, plan: Plan, there: TableFacts | None, table_rows: int, report: Report) -> None:
        """CKAN sets datastore_active, indexes the dataset and counts the rows. Raises JobError if it sees another table.

        A CKAN that is away is worth another attempt, but not where rows were appended for no job: they would be there
        twice, and the table was known to CKAN before.
        """
        if self._ckan is None:
            return
        try:
            self._ckan.create_table(target.resource_id, _definition(plan, target, there))
            seen = self._ckan.shown_count(target.resource_id)
        except Transient as error:
            if target.mode != "append" or there is None or target.job_id:
                raise
            report.warning("The rows are in the table, but CKAN could not be told: %s", error.message)
            return
        if seen != table_rows:
            told = (f"The table was loaded with {table_rows:,} rows, but CKAN sees {seen:,}: DATAPUSHER_DATASTORE_WRITE_URL"
                    " does not seem to be the DataStore of this CKAN, or somebody else writes to the table.")  # fmt: skip
            if target.mode == "replace":
                raise JobError(told)
            report.warning("%s", told)


def _definition(plan: Plan, target: Target, there: TableFacts | None) -> dict[str, object]:
    """Nothing is said of what stands already: CKAN would drop indexes and aliases and make them again. Nor of the
    dictionary where it has not changed: somebody may have edited it meanwhile."""
    added = additions(plan.fields, there)
    fields = [
        {"id": one.id, "type": one.type, **({**one.extras, "info": dict(one.info)} if one.id in added else {})}
        for one in plan.fields
    ]
    asked = {} if target.mode == "replace" or there is None else {"indexes": target.indexes, "aliases": target.aliases}
    return {
        "fields": fields,
        "calculate_record_count": False,
        **{key: value for key, value in asked.items() if value is not None},
    }


def _stage(connection: Connection, table: Table, report: Report) -> Staged:
    def told(rows: int) -> None:
        report.progress("reading", rows=rows)

    return stage(connection, table.batches(), table.heading.width, told)


def _known(target: Target, there: TableFacts | None) -> Target:
    """*target* with the table that the database has, if CKAN told of none."""
    if there is None or target.existing is not None:
        return target
    return replace(target, existing=existing_of(there))
