"""A JSON value on its way into a column: what kind of literal psycopg2 makes of it, and how PostgreSQL refuses it."""

from collections.abc import Callable

from sandbox.refusals import InternalError

Stored = str | int | float | None
#: One value of a record to what is kept. Raises BadValue; InternalError where CKAN itself breaks.
Accept = Callable[[object], Stored]


class BadValue(Exception):
    """PostgreSQL refuses the value; the message is its own."""


class WrongKind(Exception):
    """The JSON value is of a kind that has no cast to the column's type; *kind* is PostgreSQL's name for it."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def kind_of(value: object) -> str:
    """PostgreSQL's name for the literal psycopg2 makes of a JSON value."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer" if -(2**31) <= value < 2**31 else "bigint" if -(2**63) <= value < 2**63 else "numeric"
    if isinstance(value, float):
        return "numeric"
    if isinstance(value, dict):
        raise BadValue("can't adapt type 'dict'")
    if isinstance(value, list):
        return f"{kind_of(value[0]).removesuffix('[]')}[]" if value else "text[]"
    return "text"


def literal(value: object) -> str:
    """*value* as text, when it is text; anything else has no cast."""
    if isinstance(value, str):
        if "\0" in value:
            raise InternalError  # psycopg2 refuses it with a ValueError that CKAN does not expect
        return value
    if isinstance(value, list) and all(item is None for item in value):
        return "{" + ",".join("NULL" for _ in value) + "}"  # such a list is sent as text: '{}'
    raise WrongKind(kind_of(value))
