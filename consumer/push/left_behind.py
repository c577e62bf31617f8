"""What a load by CKAN's API notes before it does what it cannot undo, and what the next attempt makes of it.

{"table": …}    the old table's dictionary, indexes, key and aliases, while it is deleted and the new one not yet made
{"append": …}   which file a job appends, and how many rows the table had before: so rows that arrived are not doubled
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from consumer.memory import Memory
from consumer.push.load import Existing, Field, Target
from schemas.messages import Json


@dataclass(frozen=True)
class Append:
    """Rows of the file *md5* that *job_id* adds to a table that had *rows_before*."""

    job_id: str
    md5: str
    rows_before: int


def note_table(memory: Memory, existing: Existing) -> None:
    memory.keep({"table": asdict(existing)})


def former_table(memory: Memory) -> Existing | None:
    """The table that an attempt had deleted when it was killed."""
    kept: Any = (memory.kept or {}).get("table")
    return _existing(kept) if isinstance(kept, Mapping) else None


def note_append(memory: Memory, append: Append) -> None:
    memory.keep({"append": asdict(append)})


def begun_append(memory: Memory, target: Target) -> Append | None:
    """What an earlier attempt of this very job has begun with this very file."""
    kept: Any = (memory.kept or {}).get("append")
    begun = Append(**kept) if isinstance(kept, Mapping) else None
    return begun if begun and (begun.job_id, begun.md5) == (target.job_id, target.md5) else None


def _existing(kept: Mapping[str, Any]) -> Existing:
    return Existing(
        fields=tuple(_field(one) for one in kept["fields"]),
        aliases=tuple(kept["aliases"]),
        indexes=tuple(tuple(one) for one in kept["indexes"]),
        key=tuple(kept["key"]),
    )


def _field(kept: Mapping[str, Json]) -> Field:
    info, extras = kept["info"], kept["extras"]
    assert isinstance(info, dict) and isinstance(extras, dict)
    return Field(str(kept["id"]), str(kept["type"]), info, extras)
