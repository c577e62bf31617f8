"""Which row, column and value made CKAN refuse a chunk: CKAN itself names the last row of the chunk, not the bad one."""

from collections.abc import Callable

import orjson

from consumer.push.chunks import Chunk
from consumer.push.ckan import Ckan
from consumer.push.ckan_answers import Refused, readable
from schemas.errors import JobError, Transient

#: Characters of a refused value that are shown.
SHOWN_CHARACTERS = 200


def blamed(ckan: Ckan, resource_id: str, method: str, chunk: Chunk, refusal: Refused) -> JobError:
    """*refusal* of *chunk* as an error that names row, column and value, as far as they can be found.

    Found by bisecting with `dry_run`: about log2(rows) + log2(columns) calls, and nothing is written.
    """

    def refused(records: list[str]) -> bool:
        return _refused(ckan, resource_id, method, records)

    try:
        row = first_refused(len(chunk), lambda count: refused(list(chunk.records[:count])))
    except Transient:
        row = None
    if row is None:
        return refusal
    return _error(refusal, chunk.row_numbers[row], _culprit(chunk.records[row], refused))


def first_refused(count: int, refused: Callable[[int], bool]) -> int | None:
    """The smallest index such that `refused(index + 1)` holds, *refused* being about the first so many of *count* things;
    None where it does not even hold for all of them."""
    if not refused(count):
        return None
    low, high = 0, count - 1
    while low < high:
        middle = (low + high) // 2
        if refused(middle + 1):
            high = middle
        else:
            low = middle + 1
    return low


def _culprit(record: str, refused: Callable[[list[str]], bool]) -> tuple[str, object] | None:
    """The first column, with its value, that the record is refused for; None where it is the row as a whole (a key)."""
    cells = list(orjson.loads(record).items())
    try:
        found = first_refused(len(cells), lambda count: refused([orjson.dumps(dict(cells[:count])).decode()]))
    except Transient:
        return None
    return None if found is None else cells[found]


def _refused(ckan: Ckan, resource_id: str, method: str, records: list[str]) -> bool:
    head = {"resource_id": resource_id, "method": method, "force": True, "dry_run": True, "calculate_record_count": False}
    body = orjson.dumps(head)[:-1] + b',"records":[' + ",".join(records).encode() + b"]}"
    try:
        ckan.call("datastore_upsert", body)
    except Refused:
        return True
    return False


def _error(refusal: Refused, row: int, culprit: tuple[str, object] | None) -> JobError:
    reason = readable(refusal.error.get("records") or refusal.error.get("constraints") or refusal.error)
    details: dict[str, object] = {"Row": row}
    where = f"Row {row} of the file"
    if culprit:
        column, value = culprit
        shown = str(value) if len(str(value)) <= SHOWN_CHARACTERS else str(value)[:SHOWN_CHARACTERS] + "…"
        details |= {"Column": column, "Value": shown}
        where += f", column “{column}”"
    return JobError(f"CKAN's DataStore refuses a value. {where}: {reason.rstrip('.')}.", details={**details, **refusal.details})
