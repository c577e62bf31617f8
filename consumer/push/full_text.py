"""CKAN's `_full_text`, computed in the same pass as the casts.

CKAN's trigger `populate_full_text_trigger` joins with one space what `json_each_text(row_to_json(row))` gives of the
columns without a leading underscore, in their order, NULLs left out. The expression here gives the same bits in the
same session (`default_text_search_config` decides the language for both) and may run in parallel, which a trigger
may not. DateStyle must be ISO.
"""

from collections.abc import Sequence

from consumer.push.casts import Output, base_type

#: The error of PostgreSQL for a row whose words need more than 1 MB.
TOO_LONG = "string is too long for tsvector"

#: Characters that are indexed of a row that has more than MANY_BYTES, where the exact text was too long.
KEPT_CHARACTERS = 65_536
MANY_BYTES = 262_144

#: Types whose cast to text is what JSON shows.
_CAST = frozenset({"text", "character varying", "numeric", "integer", "bigint", "smallint", "double precision", "real",
                   "boolean", "date", "time without time zone"})  # fmt: skip


def full_text(outputs: Sequence[Output], *, cut: bool = False) -> str:
    """*cut*: rows with very much text are indexed by their beginning only, instead of failing the load."""
    if not outputs:
        return "NULL::tsvector"
    texts = f"ARRAY[{', '.join(_json_text(one) for one in outputs)}]::text[]"
    joined = f"array_to_string({texts}, ' ')"
    if cut:
        joined = f"CASE WHEN octet_length({joined}) > {MANY_BYTES} THEN left({joined}, {KEPT_CHARACTERS}) ELSE {joined} END"
    # string_agg over nothing is NULL, array_to_string is ''.
    return f"to_tsvector(CASE WHEN {_any_value(outputs)} THEN {joined} END)"


def _any_value(outputs: Sequence[Output]) -> str:
    """Text first: it is the cheapest to look at and mostly there, so that nothing else is evaluated."""
    ordered = sorted(outputs, key=lambda one: base_type(one.type) != "text")
    return "(" + " OR ".join(f"{_json_text(one)} IS NOT NULL" for one in ordered) + ")"


def _json_text(column: Output) -> str:
    """The column as `json_each_text` of the row prints it."""
    base = base_type(column.type)
    if base in _CAST:
        return f"({column.expression})::text"
    if base == "timestamp without time zone":
        return f"replace(({column.expression})::text, ' ', 'T')"
    return f"(to_json({column.expression}) #>> '{{}}')"
