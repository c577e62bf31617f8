"""A file whose rows lie staged in the loader's transaction: what is known of it, and its way to typed rows."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg2
from psycopg2.extensions import cursor as Cursor

from consumer.push.casts import Output, date_order, holds, output, plain_type
from consumer.push.datastore_schema import SiteFacts, TableFacts
from consumer.push.dictionary import Plan
from consumer.push.load import Target
from consumer.push.session import savepoint
from consumer.push.staging import Staged
from consumer.push.table import Column, Table
from consumer.push.typed_table import create_through_triggers, create_typed, culprit
from consumer.report import Report
from schemas.errors import JobError


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """*there* is the resource's table as it was when the load began, None if it had none."""

    cursor: Cursor
    table: Table
    target: Target
    plan: Plan
    staged: Staged
    site: SiteFacts
    there: TableFacts | None
    report: Report

    def outputs(self, types: Mapping[str, str] | None = None) -> list[Output]:
        """The planned columns as SQL; *types* are those of a table that takes the rows, in its order.

        Sets DateStyle. Raises JobError for a column whose values the table's type cannot take.
        """
        order = date_order(self.plan.columns)
        self.cursor.execute(f"SET LOCAL datestyle = 'ISO, {order}'")
        forms = self.staged.forms
        if types is None:
            return [output(column, order, form=forms[column.position]) for column in self.plan.columns]
        columns = {column.name: _fitting(column, types[column.name]) for column in self.plan.columns}
        return [output(columns[name], order, types[name], forms[columns[name].position]) for name in types if name in columns]

    def make_typed(self, name: str, outputs: list[Output], *, logged: bool = True) -> None:
        with self._blaming(outputs):
            if create_typed(self.cursor, self.staged, outputs, name, logged=logged):
                self.report.warning("Some rows have so much text that only its beginning can be searched.")

    def make_through_triggers(self, name: str, outputs: list[Output], triggers: list[str]) -> None:
        with self._blaming(outputs):
            create_through_triggers(self.cursor, self.staged, outputs, name, triggers)

    @contextmanager
    def _blaming(self, outputs: list[Output]) -> Iterator[None]:
        """Makes a refused value a JobError that names it."""
        try:
            with savepoint(self.cursor):
                yield
        except psycopg2.DataError as error:
            raise culprit(self.cursor, self.staged, outputs, self.table, error) from error


def _fitting(column: Column, type_name: str) -> Column:
    if not holds(type_name, column):
        raise JobError(
            f"The column {column.name!r} of the table is {plain_type(type_name)}, but the file's values are {column.rich}:"
            " load it in mode replace, or correct the file.",
            details={"Column": column.name, "Table's type": type_name, "File's type": column.rich},
        )
    return column
