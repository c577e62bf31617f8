"""What a read table is told as: the report of a job (tables.md §9), and the keys that `datapusher inspect` prints."""

import dataclasses
from typing import Any

from consumer.push.table import Column, Heading, Table, Tally

#: A table of 0 rows; perhaps the one row was data.
ONLY_A_HEADER = (
    "There are no rows: the file has only a header. If its first row is data, say so with the option header_row: 0; if the"
    " data are in another sheet or file, name it with the option sheet or member."
)


def report(table: Table) -> dict[str, Any]:
    """JSON-safe; for the job's `data`. Call it when the batches are exhausted."""
    heading, tally = table.heading, table.tally
    return {
        **_heading(heading),
        **_counts(tally),
        "rejects": [dataclasses.asdict(one) for one in tally.rejects],
        "columns": [described(column) for column in table.columns],
    }


def nothing_read(tally: Tally) -> list[str]:
    return [] if tally.rows or tally.rejected else [ONLY_A_HEADER]


def _heading(heading: Heading) -> dict[str, Any]:
    return {
        "format": heading.format, "encoding": heading.encoding, "delimiter": heading.delimiter, "quote": heading.quote,
        "escape": heading.escape, "sheet": heading.sheet, "header_row": heading.header_row,
        "preamble_rows": heading.preamble_rows,
    }  # fmt: skip


def _counts(tally: Tally) -> dict[str, Any]:
    counts = {one.name: getattr(tally, one.name) for one in dataclasses.fields(tally) if one.name != "rejects"}
    return counts


def described(column: Column) -> dict[str, Any]:
    """A column for the report: what it is called, what it is, and why."""
    facts: dict[str, Any] = {
        "name": column.name, "label": column.label, "rich": column.rich, "ckan": column.ckan, "nulls": column.nulls,
        "null_tokens": column.null_tokens, "why_text": column.why_text, "notes": list(column.notes),
    }  # fmt: skip
    if column.profile is not None:
        facts["profile"] = dataclasses.asdict(column.profile)
    return facts


def inspected(table: Table) -> dict[str, Any]:
    """What `datapusher inspect --json` prints of a table, without its values; keys that make no sense are left out."""
    heading, tally = table.heading, table.tally
    facts: dict[str, Any] = {
        "format": heading.format, "encoding": heading.encoding, "delimiter": heading.delimiter, "sheet": heading.sheet,
        "header_row": heading.header_row,
        "columns": [
            {key: getattr(one, key) for key in ("name", "rich", "ckan", "label", "nulls", "why_text")}
            for one in table.columns
        ],
        "rejects": [dataclasses.asdict(one) for one in tally.rejects],
        "rows": tally.rows, "rejected": tally.rejected, "blank_skipped": tally.blank_skipped, "padded": tally.padded,
        "nul_removed": tally.nul_removed, "undecodable": tally.undecodable, "error_cells": tally.error_cells,
        "row_numbers": tally.row_numbers,
        "warnings": [*heading.notes, *nothing_read(tally)] or None,
    }  # fmt: skip
    return {key: value for key, value in facts.items() if value is not None}
