"""What CKAN knows of a table, kept in its resource while the API loader replaces it.

CKAN's API cannot swap tables: between datastore_delete and datastore_create nobody but the loader knows the data
dictionary, key, indexes and aliases. So they are written into the resource first, and taken out when the new table is
complete. An attempt that is killed in between, or meets a CKAN that goes away, loses nothing: the next one finds them.
"""

from dataclasses import asdict
from typing import Any

import orjson

from consumer.push.load import Existing, Field

#: Key of the resource; "" or missing: no load has been left unfinished.
FORMER_TABLE = "datapusher_former_table"


def packed(table: Existing) -> str:
    return orjson.dumps(asdict(table)).decode()


def unpacked(text: str) -> Existing | None:
    """The table that `packed` made *text* of; None where somebody else wrote it."""
    try:
        told: dict[str, Any] = orjson.loads(text)
        return Existing(
            fields=tuple(Field(**one) for one in told["fields"]),
            aliases=tuple(told["aliases"]),
            indexes=tuple(map(tuple, told["indexes"])),
            key=tuple(told["key"]),
        )
    except (ValueError, TypeError, KeyError):
        return None
