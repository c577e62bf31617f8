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


def existing_table(resource_id: str, info: Mapping[str, Json]) -> Existing:
    """The table that *info*, the result of datastore_info, tells of."""
    shown = [one for one in _list(info.get("fields")) if isinstance(one, dict) and not str(one["id"]).startswith("_")]
    meta = info.get("meta")
    aliases = _list(meta.get("aliases")) if isinstance(meta, dict) else []
    return Existing(
        fields=tuple(_field(one) for one in shown),
        aliases=tuple(str(alias) for alias in aliases),
        indexes=tuple(_indexes(resource_id, shown)),
    )


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


def _indexes(resource_id: str, shown: Sequence[Mapping[str, Json]]) -> Iterable[tuple[str, ...]]:
    """The plain indexes' columns. A column tells the name of one of its indexes only."""
    columns: dict[str, list[str]] = defaultdict(list)
    for one in shown:
        schema = one.get("schema")
        if isinstance(schema, dict) and schema.get("is_index") and schema.get("index_name"):
            columns[str(schema["index_name"])].append(str(one["id"]))
    return [_in_order(resource_id, name, found) for name, found in columns.items()]


def _in_order(resource_id: str, index: str, columns: list[str]) -> tuple[str, ...]:
    """An index's name is a hash of its columns in order (ckanext/datastore/backend/postgres.py, _generate_index_name)."""
    if len(columns) <= _TRIED_COLUMNS:
        for order in permutations(columns):
            text = resource_id + ", ".join(f'"{name}"' for name in order)
            if hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() == index:
                return order
    return tuple(columns)


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
