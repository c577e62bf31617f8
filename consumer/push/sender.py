"""Chunks on their way to CKAN: one being sent while the next is built, none lost, none twice, and who is to blame."""

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

import orjson

from consumer.push.chunks import Chunk, ChunkLimits
from consumer.push.ckan import Ckan, Wait
from consumer.push.ckan_answers import Refused, TooLarge, Unanswered
from consumer.push.refused_row import blamed
from consumer.report import Report
from schemas.errors import DataPusherError, Transient

#: Waits before a chunk is sent again. A call that timed out may still be going on in CKAN: the first look comes late
#: enough for a 10,000-row call (1.3 s) to have ended.
RETRY_DELAYS_S = (2.0, 5.0, 15.0)
#: Retry-After beyond this is for the job to wait, not for a loader that holds a half-filled table.
LONGEST_WAIT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Way:
    """How rows go into the table."""

    resource_id: str
    #: `insert` or `upsert`, of datastore_upsert.
    method: str = "insert"
    #: Rows that the table had before the first chunk.
    rows_before: int = 0
    #: Rows of the file; the chunk that ends there is the last.
    rows_total: int = 0
    #: Of those, the ones that the table has already.
    rows_sent: int = 0
    #: Calls at the same time; more than one gives the rows' order up.
    connections: int = 1


class Sender:
    """Sends chunks in order; a context manager. An error of a chunk rises from a later `send`, or from `finish`."""

    def __init__(self, ckan: Ckan, way: Way, limits: ChunkLimits, report: Report, wait: Wait = time.sleep) -> None:
        self._ckan = ckan
        self._way = way
        self._limits = limits
        self._report = report
        self._wait = wait
        self._pool = ThreadPoolExecutor(way.connections, thread_name_prefix="sender")
        self._flying: deque[tuple[Chunk, Future[None]]] = deque()
        #: Rows that CKAN has confirmed, or was seen to have.
        self.rows_done = way.rows_sent
        #: Calls that carried rows into the table.
        self.calls = 0

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)

    def send(self, chunk: Chunk) -> None:
        """Returns as soon as the chunk is on its way.

        Raises: JobError with the row, column and value that CKAN refuses; Transient.
        """
        body = self._body(chunk)  # made while the others are on their way
        while len(self._flying) >= self._way.connections:
            self._settle()
        self._flying.append((chunk, self._pool.submit(self._post, body)))

    def finish(self) -> None:
        """Returns when every chunk has arrived and CKAN has counted the rows. Raises as `send`."""
        while self._flying:
            self._settle()
        if self._way.connections > 1:
            self._patiently(lambda: self._ckan.count_anew(self._way.resource_id))

    def _patiently(self, call: Callable[[], None]) -> None:
        for delay_s in RETRY_DELAYS_S:
            try:
                return call()
            except Transient:
                self._wait(delay_s)
        call()

    def _counts(self, chunk: Chunk) -> bool:
        """Whether CKAN is to count the table's rows with this chunk: the last one, if all others are there by then."""
        return self._way.connections == 1 and chunk.end >= self._way.rows_total

    def _settle(self) -> None:
        """Waits for the oldest chunk; where it failed, for all, so that the table holds still while it is looked at."""
        chunk, future = self._flying.popleft()
        error = future.exception()
        if error is None:
            return self._arrived(chunk)
        failed = [(chunk, error)]
        while self._flying:
            chunk, future = self._flying.popleft()
            if (other := future.exception()) is None:
                self._arrived(chunk)
            else:
                failed.append((chunk, other))
        self._recover(failed)

    def _recover(self, failed: list[tuple[Chunk, BaseException]]) -> None:
        """What can be done about chunks that failed; where that is nothing, the first error rises."""
        unknown = [chunk for chunk, error in failed if isinstance(error, Unanswered)]
        if len(unknown) > 1 and self._way.method == "insert" and self._rows_there() != self.rows_done:
            # One of two calls may have been done, and nobody can say which.
            raise Transient("CKAN did not answer, and it is not clear which rows it has; the load starts again.")
        for chunk, error in failed:
            self._recover_one(chunk, error)

    def _recover_one(self, chunk: Chunk, error: BaseException) -> None:
        match error:
            case Refused():
                raise blamed(self._ckan, self._way.resource_id, self._way.method, chunk, error) from error
            case TooLarge():
                self._send_halves(chunk, error)
            case Transient():
                self._send_again(chunk, error)
            case _:
                raise error

    def _send_halves(self, chunk: Chunk, error: TooLarge) -> None:
        """The chunk in two parts, and all later ones smaller. Raises TooLarge where a single row is too large."""
        size_bytes = chunk.size_bytes
        if len(chunk) == 1:
            row = chunk.row_numbers[0]
            raise TooLarge(f"Row {row} of the file is too large. {error.message}", details={"Row": row, **error.details})
        self._limits.bytes = min(self._limits.bytes, size_bytes // 2)
        self._report.info("CKAN's server does not take %s bytes in one call; going on with half.", f"{size_bytes:,}")
        for half in chunk.halves():
            self._send_now(half)

    def _send_now(self, chunk: Chunk) -> None:
        try:
            self._call(chunk)
        except DataPusherError as error:
            return self._recover_one(chunk, error)
        self._arrived(chunk)

    def _send_again(self, chunk: Chunk, error: Transient) -> None:
        """Sends *chunk* until it has arrived, but looks first whether it has. Raises the last error."""
        for delay_s in RETRY_DELAYS_S:
            if (error.retry_after_s or 0) > LONGEST_WAIT_S:
                break
            self._report.warning("%s Rows %s to %s are tried again.", error.message, chunk.offset + 1, chunk.end)
            self._wait(max(delay_s, error.retry_after_s or 0))
            try:
                if not self._is_there(chunk):
                    self._call(chunk)
            except Transient as again:
                error = again
            except DataPusherError as other:
                return self._recover_one(chunk, other)
            else:
                return self._arrived(chunk)
        raise error

    def _is_there(self, chunk: Chunk) -> bool:
        """Whether a chunk whose answer was lost had arrived: only whole chunks do, each call is one transaction."""
        if self._way.method != "insert":
            return False  # an upsert may be done twice
        extra = self._rows_there() - self.rows_done
        if extra not in (0, len(chunk)):
            raise Transient(
                "The table has other rows than were sent: somebody else writes to it. The load starts again.",
            )
        return extra == len(chunk)

    def _rows_there(self) -> int:
        return self._ckan.count(self._way.resource_id) - self._way.rows_before

    def _arrived(self, chunk: Chunk) -> None:
        self.rows_done += len(chunk)
        self.calls += 1
        self._report.progress("loading", rows=self.rows_done, rows_total=self._way.rows_total)

    def _call(self, chunk: Chunk) -> None:
        self._post(self._body(chunk))

    def _post(self, body: bytes) -> None:
        self._ckan.call("datastore_upsert", body)

    def _body(self, chunk: Chunk) -> bytes:
        """One datastore_upsert. CKAN counts the table's rows after the last one only: each count reads all of it."""
        head = {
            "resource_id": self._way.resource_id, "method": self._way.method, "force": True,
            "calculate_record_count": self._counts(chunk),
        }  # fmt: skip
        return with_records(head, chunk)


def with_records(head: dict[str, object], chunk: Chunk) -> bytes:
    """The JSON of *head* with one more member, `records`."""
    return orjson.dumps(head)[:-1] + b',"records":' + chunk.json() + b"}"
