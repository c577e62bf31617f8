"""A staged file is added to the resource's table: append and upsert, with the columns that it brings along."""

from consumer.push.arrival import Arrival
from consumer.push.casts import Output
from consumer.push.datastore_schema import TableFacts, plain_index
from consumer.push.finished_table import NewTable, add_full_text_trigger, add_key
from consumer.push.merge import Merged, append, checked_key, create_unique, lock_writers, row_without_key, rows_in, upsert
from consumer.push.replacing import put_in_place, triggers_for
from consumer.push.sql_text import identifier, listed, qualified
from consumer.push.staging import drop_statement, new_name
from consumer.push.swap import count_rows
from consumer.push.typed_table import row_number
from schemas.errors import JobError


def add_to_table(arrival: Arrival, there: TableFacts, patience_s: float) -> int:
    """Rows of the table. The caller commits.

    Without new columns the rows go into the table as it is. With new ones it is copied, widened, filled and put in place
    as by `replace`: ALTER TABLE would lock its readers out until the end.
    """
    types = {**there.types, **{one.id: one.type for one in arrival.plan.fields if one.id not in there.types}}
    outputs = arrival.outputs(types)
    typed = _typed(arrival, outputs, there)
    relation = qualified(arrival.target.resource_id)
    lock_writers(arrival.cursor, relation)
    if len(types) == len(there.types):
        _make_key(arrival, relation, there)
        rows = _merge(arrival, typed, relation, outputs, there)
        if arrival.site.has_stats:
            count_rows(arrival.cursor, arrival.target.resource_id, rows)
        arrival.cursor.execute(drop_statement(typed))
        return rows
    return _widen(arrival, typed, types, outputs, there, patience_s)


def _typed(arrival: Arrival, outputs: list[Output], there: TableFacts) -> str:
    """The rows as the table's types, in an UNLOGGED table. Triggers may change a row before its full text is made, so
    with triggers that is left to CKAN's."""
    name = new_name()
    arrival.make_typed(name, outputs, logged=False)
    if there.triggers:
        arrival.cursor.execute(f"UPDATE {qualified(name)} SET _full_text = NULL")
    arrival.cursor.execute(drop_statement(arrival.staged.name))
    return name


def _make_key(arrival: Arrival, relation: str, there: TableFacts) -> None:
    """A key for a table that has none; a table that is put in place later gets its key there."""
    key = checked_key(arrival.target.primary_key, there.key)
    if key and not there.key:
        index = plain_index(arrival.target.resource_id, key, unique=True)
        create_unique(arrival.cursor, f"CREATE UNIQUE INDEX {identifier(index.name)} ON {relation} {index.body}", key)


def _merge(arrival: Arrival, typed: str, relation: str, outputs: list[Output], there: TableFacts) -> int:
    cursor, target = arrival.cursor, arrival.target
    key = checked_key(target.primary_key, there.key)
    if target.mode == "append":
        merged = append(cursor, qualified(typed), relation, outputs)
    else:
        _check_keys(arrival, typed, key)
        merged = upsert(cursor, qualified(typed), relation, outputs, key)
        _tell(arrival, merged)
    return rows_in(cursor, relation)


def _check_keys(arrival: Arrival, typed: str, key: tuple[str, ...]) -> None:
    number = row_without_key(arrival.cursor, qualified(typed), key)
    if number is not None:
        row = row_number(arrival.table, number)
        raise JobError(
            f"Row {row} has no value in the key ({', '.join(key)}), so it cannot be told which row it changes.",
            details={"Row": row, "Columns": ", ".join(key)},
        )


def _tell(arrival: Arrival, merged: Merged) -> None:
    arrival.report.info(
        "Upsert: %s rows are new, %s changed, %s are as they were.", merged.inserted, merged.updated, merged.unchanged
    )
    if merged.repeated:
        arrival.report.warning(
            "%s rows have a key that comes again further down in the file; the last counts.", merged.repeated
        )


def _widen(
    arrival: Arrival, typed: str, types: dict[str, str], outputs: list[Output], there: TableFacts, patience_s: float
) -> int:
    cursor, new = arrival.cursor, NewTable(new_name(), 0)
    added = ", ".join(f"NULL::{kind} AS {identifier(name)}" for name, kind in types.items() if name not in there.types)
    cursor.execute(
        f"CREATE TABLE {new.relation} AS SELECT {listed(['_id', '_full_text', *there.types])}, {added}"
        f" FROM {qualified(arrival.target.resource_id)}"
    )
    cursor.execute(f"SELECT coalesce(max(_id), 0) FROM {new.relation}")
    (last,) = cursor.fetchone() or (0,)
    new.last_id = last
    add_key(cursor, new)
    for trigger in triggers_for(there, arrival.target.resource_id, new):
        cursor.execute(trigger)
    add_full_text_trigger(cursor, new, arrival.site)
    new.rows = _merge(arrival, typed, new.relation, outputs, there)
    cursor.execute(drop_statement(typed))
    put_in_place(arrival, new, list(types.items()), patience_s)
    return new.rows
