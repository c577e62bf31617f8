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

#: Texts in one call of concat_ws.
ARGUMENTS = 90

#: Types whose cast to text is what JSON shows.
_CAST = frozenset({"text", "character varying", "numeric", "integer", "bigint", "smallint", "double precision", "real",
                   "boolean", "date", "time without time zone"})  # fmt: skip


def full_text(outputs: Sequence[Output], *, cut: bool = False) -> str:
    """*cut*: rows with very much text are indexed by their beginning only, instead of failing the load."""
    if not outputs:
        return "NULL::tsvector"
    joined = _joined([_json_text(one) for one in outputs])
    text = f"left({joined}, {KEPT_CHARACTERS})" if cut else joined
    text = f"CASE WHEN octet_length({joined}) > {MANY_BYTES} THEN {text} ELSE {joined} END" if cut else text
    return f"to_tsvector({_null_where_ckan_has_none(text, outputs)})"


def _joined(texts: Sequence[str]) -> str:
    """A function takes 100 arguments at most. (An array would take any number, but building it costs a third more.)"""
    if len(texts) <= ARGUMENTS:
        return f"concat_ws(' ', {', '.join(texts)})"
    groups = (texts[start : start + ARGUMENTS] for start in range(0, len(texts), ARGUMENTS))
    return _joined([f"nullif({_joined(group)}, '')" for group in groups])


def _null_where_ckan_has_none(text: str, outputs: Sequence[Output]) -> str:
    """string_agg over nothing is NULL, concat_ws is ''. Only a JSON string can be '' and yet a value."""
    value = f"nullif({text}, '')"
    jsons = [_json_text(one) for one in outputs if base_type(one.type) in ("json", "jsonb")]
    return f"coalesce({', '.join([value, *jsons])})" if jsons else value


def _json_text(column: Output) -> str:
    """The column as `json_each_text` of the row prints it."""
    if column.printed:
        return column.printed
    base = base_type(column.type)
    if base in _CAST:
        return f"({column.expression})::text"
    if base == "timestamp without time zone":
        return f"replace(({column.expression})::text, ' ', 'T')"
    return f"(to_json({column.expression}) #>> '{{}}')"
