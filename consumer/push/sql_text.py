"""Names and texts as they stand in SQL. Only for `standard_conforming_strings = on`, PostgreSQL's default."""

from collections.abc import Iterable


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def qualified(name: str) -> str:
    """A table, view, index or sequence in the schema that CKAN's DataStore uses."""
    return f"public.{identifier(name)}"


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def listed(names: Iterable[str]) -> str:
    return ", ".join(identifier(name) for name in names)
