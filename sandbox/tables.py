"""One DataStore table: its columns and settings, and where they lie in SQLite.

Columns are named c0, c1, … in SQLite: its names ignore case and DataStore's do not.
"""

import copy
import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sandbox.pgtypes import PgType, parse_type
from sandbox.refusals import ValidationError

#: PostgreSQL cuts longer identifiers without a word; CKAN refuses only names of more than 63 *characters*.
NAME_MAX_BYTES = 63
_GUESSABLE_DATES = (
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ",
    "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y",
)  # fmt: skip


@dataclass
class Column:
    """*declared* is the type as it was asked for; *slot* is the column's name in SQLite."""

    name: str
    declared: str
    type: PgType
    slot: str
    info: dict[str, object] | None = None


@dataclass
class Table:
    """Everything about a table but its rows. *next_id* never goes back, not even when a call is rolled back."""

    resource_id: str
    name: str
    columns: list[Column] = field(default_factory=list)
    primary_key: list[str] = field(default_factory=list)
    indexes: list[list[str]] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)
    next_id: int = 1
    next_slot: int = 0
    #: CKAN 2.12's stored row count: trusted by an unfiltered datastore_search until a write clears it.
    cached_count: int | None = None

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)

    def add(self, name: str, declared: str, info: object = None) -> Column:
        """A new column at the end. Raises ValidationError for a type PostgreSQL does not know."""
        pg_type = parse_type("nested" if declared == "json" else declared)
        if pg_type is None:
            raise ValidationError({"fields": [f'"{declared}" is not a valid field type']})
        column = Column(cut_name(name), declared, pg_type, f"c{self.next_slot}", info if isinstance(info, dict) else None)
        self.next_slot += 1
        self.columns.append(column)
        return column

    def index_name(self, names: Sequence[str]) -> str:
        """The name CKAN gives the index over *names*; error messages show it."""
        quoted = ", ".join(f'"{name}"' for name in names)
        return hashlib.sha1((self.resource_id + quoted).encode(), usedforsecurity=False).hexdigest()

    def snapshot(self) -> "Table":
        """A copy to go back to when the transaction fails."""
        kept = copy.copy(self)
        kept.columns = [copy.copy(column) for column in self.columns]
        return kept


def cut_name(name: str) -> str:
    """*name* as PostgreSQL keeps it: at most 63 bytes, no half characters."""
    return name.encode("utf-8", "surrogatepass")[:NAME_MAX_BYTES].decode("utf-8", "ignore")


def is_valid_name(name: str) -> bool:
    """Whether a column may be called that (datastore's `datastore_field_name`)."""
    if not name or name != name.strip() or name.startswith("_") or '"' in name:
        return False
    return not any(unicodedata.category(char).startswith("C") for char in name)


def is_valid_alias(name: str) -> bool:
    return is_valid_name(name) and "%" not in name


def check_field_names(fields: Sequence[Mapping[str, object]]) -> None:
    """Raises ValidationError with one entry per field, empty for the good ones, as CKAN's schema does."""
    errors = [_name_error(field) for field in fields]
    if any(errors):
        raise ValidationError({"fields": errors})


def _name_error(field: Mapping[str, object]) -> dict[str, list[str]]:
    name = field.get("id")
    if name is None or name == "":
        return {"id": ["Missing value"]}
    return {} if is_valid_name(str(name)) else {"id": [f'"{name}" is not a valid field name']}


def guess_type(value: object) -> str:
    """The type CKAN gives a column that is only known from the first record."""
    if isinstance(value, dict | list):
        return "nested"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "float"
    return _guess_text(value) if isinstance(value, str) else "text"


def _guess_text(text: str) -> str:
    for kind, name in ((int, "integer"), (float, "numeric")):
        try:
            kind(text)
            return name
        except ValueError:
            pass
    return "timestamp" if any(_fits(text, shape) for shape in _GUESSABLE_DATES) else "text"


def _fits(text: str, shape: str) -> bool:
    try:
        datetime.strptime(text, shape)
    except ValueError:
        return False
    return True
