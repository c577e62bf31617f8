"""A staged file becomes the resource's table: made beside the old one, then put in its place."""

from collections.abc import Sequence

from consumer.push.arrival import Arrival
from consumer.push.casts import Output, base_type
from consumer.push.datastore_schema import IndexFacts, TableFacts, full_text_indexes, plain_index
from consumer.push.dictionary_comments import additions
from consumer.push.finished_table import (
    FULL_TEXT_TRIGGER,
    NewTable,
    add_full_text_trigger,
    add_indexes,
    add_key,
    add_rights,
    analyze,
)  # fmt: skip
from consumer.push.sql_text import identifier, qualified
from consumer.push.staging import drop_statement, new_name
from consumer.push.swap import Dressing, swap


def replace_table(arrival: Arrival, patience_s: float) -> int:
    """Rows of the table. The caller commits; nobody sees anything before."""
    outputs = arrival.outputs()
    new = NewTable(new_name(), arrival.staged.rows, last_id=arrival.staged.rows)
    _fill(arrival, new, outputs)
    arrival.cursor.execute(drop_statement(arrival.staged.name))
    add_key(arrival.cursor, new)
    put_in_place(arrival, new, [(one.name, one.type) for one in outputs], patience_s)
    return new.rows


def put_in_place(arrival: Arrival, new: NewTable, columns: Sequence[tuple[str, str]], patience_s: float) -> None:
    """Finishes *new*, which has rows, key and triggers, and swaps it in. *columns*: names and types."""
    cursor, there = arrival.cursor, arrival.there
    names = tuple(name for name, _ in columns)
    analyze(cursor, new, names)
    # After the estimate of ANALYZE: building an index counts the rows exactly.
    add_indexes(cursor, new, _wanted_indexes(arrival, new, columns, there))
    add_rights(cursor, new, arrival.site, there)
    dressing = Dressing(arrival.target.resource_id, names, additions(arrival.plan.fields, there), arrival.target.aliases)

    def complete(now: TableFacts) -> None:
        add_indexes(cursor, new, _wanted_indexes(arrival, new, columns, now))

    for note in swap(cursor, new, dressing, arrival.site, complete, patience_s):
        arrival.report.warning("%s", note)


def _fill(arrival: Arrival, new: NewTable, outputs: list[Output]) -> None:
    """With the old table's own triggers every row has to pass them; without, all is one parallel statement."""
    triggers = triggers_for(arrival.there, arrival.target.resource_id, new)
    if any(trigger.startswith("CREATE") for trigger in triggers):
        if arrival.site.has_trigger:
            triggers.append(FULL_TEXT_TRIGGER.format(table=new.relation))
        arrival.make_through_triggers(new.name, outputs, triggers)
    else:
        arrival.make_typed(new.name, outputs)
        add_full_text_trigger(arrival.cursor, new, arrival.site)


def triggers_for(there: TableFacts | None, resource_id: str, new: NewTable) -> list[str]:
    """The old table's own triggers, as statements for the new one; a disabled one stays so."""
    statements = []
    for trigger in there.triggers if there else ():
        statements.append(trigger.definition.replace(f" ON {qualified(resource_id)} ", f" ON {new.relation} ", 1))
        if trigger.enabled == "D":
            statements.append(f"ALTER TABLE {new.relation} DISABLE TRIGGER {identifier(trigger.name)}")
    return statements


def _wanted_indexes(
    arrival: Arrival, new: NewTable, columns: Sequence[tuple[str, str]], there: TableFacts | None
) -> list[IndexFacts]:
    """The options' indexes and key, else those of the table that is *there*; CKAN's full-text ones in any case."""
    target, jsons = arrival.target, [name for name, kind in columns if base_type(kind) in ("json", "jsonb")]
    texts = [name for name, kind in columns if base_type(kind) == "text"]
    old = list(there.indexes if there else ())
    keys = [index for index in old if index.unique]
    plain = [index for index in old if not index.unique]
    if target.primary_key:
        keys = [plain_index(target.resource_id, target.primary_key, unique=True)]
    if target.indexes is not None:
        plain = [index for index in plain if index.full_text]
        plain += [plain_index(target.resource_id, names, jsons=jsons) for names in target.indexes if names]
    wanted = [*keys, *plain]
    new.unwanted |= {index.name for index in old} - {index.name for index in wanted}
    return wanted + full_text_indexes(target.resource_id, texts, arrival.site)
