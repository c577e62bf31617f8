"""A table of the DataStore as CKAN tells of it: what `datastore_info` says, and what it does not."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations

from consumer.push.load import Existing, Field
from schemas.messages import Json

#: Keys of a field in datastore_info that are CKAN's own; all others are its plugins'.
_OWN_KEYS = ("id", "type", "info", "schema")
#: CKAN gives a key's columns as `fields "a, b" are missing but needed as key`.
_KEY = re.compile(r'fields "(.*)" are missing', re.DOTALL)
#: More columns in one index than this are not tried in every order: 5! = 120 hashes.
_TRIED_COLUMNS = 5


def existing_table(resource_id: str, info: Mapping[str, Json], key: tuple[str, ...]) -> Existing:
    """The table that *info*, the result of datastore_info, tells of; *key* are the columns of its unique key."""
    shown, meta = _fields(info), info.get("meta")
    aliases = _list(meta.get("aliases")) if isinstance(meta, dict) else []
    return Existing(
        fields=tuple(_field(one) for one in shown),
        aliases=tuple(str(alias) for alias in aliases),
        indexes=tuple(_indexes(resource_id, shown, key)),
        key=key,
    )


def has_indexes(info: Mapping[str, Json]) -> bool:
    return any(_index_of(one) for one in _fields(info))


def key_in_refusal(error: Mapping[str, Json]) -> tuple[str, ...]:
    """The key's columns that CKAN names where a record without them is to be upserted; () where it names none."""
    found = _KEY.search(" ".join(str(text) for text in _list(error.get("key"))))
    return tuple(found[1].split(", ")) if found else ()


def _field(shown: Mapping[str, Json]) -> Field:
    info = shown.get("info")
    kind = str(shown.get("type") or "text")
    extras = {key: value for key, value in shown.items() if key not in _OWN_KEYS}
    # `nested` is the composite type that CKAN keeps JSON in; it takes and shows it as `json`.
    return Field(str(shown["id"]), "json" if kind == "nested" else kind, info if isinstance(info, dict) else {}, extras)


def _fields(info: Mapping[str, Json]) -> list[dict[str, Json]]:
    return [one for one in _list(info.get("fields")) if isinstance(one, dict) and not str(one["id"]).startswith("_")]


def _index_of(shown: Mapping[str, Json]) -> str | None:
    """The name of the plain index that a column is in; of several, CKAN tells one."""
    schema = shown.get("schema")
    return str(schema["index_name"]) if isinstance(schema, dict) and schema.get("is_index") else None


def _indexes(resource_id: str, shown: Sequence[Mapping[str, Json]], key: tuple[str, ...]) -> Iterable[tuple[str, ...]]:
    """The columns of each plain index but the key's."""
    columns: dict[str, list[str]] = defaultdict(list)
    for one in shown:
        if name := _index_of(one):
            columns[name].append(str(one["id"]))
    of_key = {_index_name(resource_id, order) for order in _orders(key)}
    found = {name: _in_order(resource_id, name, names) for name, names in columns.items() if name not in of_key}
    return [names for names in found.values() if set(names) != set(key)]


def _in_order(resource_id: str, index: str, columns: Sequence[str]) -> tuple[str, ...]:
    return next((order for order in _orders(columns) if _index_name(resource_id, order) == index), tuple(columns))


def _orders(columns: Sequence[str]) -> Iterable[tuple[str, ...]]:
    return permutations(columns) if len(columns) <= _TRIED_COLUMNS else [tuple(columns)]


def _index_name(resource_id: str, columns: Sequence[str]) -> str:
    """A hash of the columns in order (ckanext/datastore/backend/postgres.py, _generate_index_name)."""
    text = resource_id + ", ".join(f'"{name}"' for name in columns)
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
