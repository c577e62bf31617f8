"""The loader that needs nothing but a token: rows go through CKAN's action API.

Not one transaction as COPY is, so the whole file is read, typed and checked before the first call that changes anything.
Measured on CKAN 2.12: 8,000 rows/s with 5,000-row calls one after the other, 14,000 with two at a time (*unordered*).
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from consumer.memory import FORGETFUL, Memory
from consumer.push.aliases import check_aliases
from consumer.push.chunks import Chunk, ChunkLimits, chunks, even, without
from consumer.push.ckan import Ckan, Wait
from consumer.push.ckan_answers import Refused, TooLarge
from consumer.push.dictionary import Plan, planned
from consumer.push.key import check_key
from consumer.push.left_behind import Append, begun_append, note_append, note_table
from consumer.push.load import Existing, Loaded, Target
from consumer.push.refused_row import blamed
from consumer.push.sender import RETRY_DELAYS_S, Sender, Way, with_records
from consumer.push.spool import Spool
from consumer.push.table import Column, Table
from consumer.report import Report
from schemas.errors import DataPusherError, JobError, Transient

#: A third connection only queues where CKAN has two processes (measured).
UNORDERED_CONNECTIONS = 2


@dataclass(frozen=True)
class ApiLimits:
    """Of one call: CHUNK_INSERT_ROWS and CHUNK_INSERT_BYTES."""

    rows: int = 10_000
    bytes: int = 8_388_608


class ApiLoader:
    """A `load.Loader`; *folder* is the job's temporary one."""

    #: CKAN's API can neither swap tables nor fill one in one transaction.
    atomic = False

    def __init__(
        self, ckan: Ckan, limits: ApiLimits, folder: Path, wait: Wait = time.sleep, *, memory: Memory = FORGETFUL
    ) -> None:
        self._ckan = ckan
        self._memory = memory
        self._limits = limits
        self._folder = folder
        self._wait = wait

    def load(self, table: Table, target: Target, report: Report) -> Loaded:
        spool = Spool(self._folder / "spool.arrow")
        for rows in spool.fill(table):
            report.progress("reading", rows=rows)
        try:
            return self._loaded(table.columns, spool, target, report)
        except _TableIsThere as surprise:
            report.warning("The resource has a table, though CKAN says that it has none; it is replaced.")
            return self._loaded(table.columns, spool, replace(target, existing=surprise.existing, asked=True), report)

    def _loaded(self, columns: Sequence[Column], spool: Spool, target: Target, report: Report) -> Loaded:
        plan = planned(columns, target)
        if target.mode == "replace":
            check_key(spool.batches(), plan.columns, plan.primary_key)
        check_aliases(self._ckan, target)
        started = time.monotonic()
        connections = UNORDERED_CONNECTIONS if target.unordered else 1
        limits = ChunkLimits(even(spool.rows, self._limits.rows, connections), self._limits.bytes)
        load = _Load(self._ckan, target, plan, spool, limits, report, self._wait, self._memory)
        calls, table_rows = load.replace() if load.makes_table else load.add()
        return Loaded(
            rows=spool.rows,
            table_rows=table_rows,
            fields=plan.fields,
            drift=plan.drift,
            chunks=calls,
            seconds=time.monotonic() - started,
            method="api",
        )


class _TableIsThere(Exception):
    """A table that nobody knew of, as it was before the load has come to it."""

    def __init__(self, existing: Existing) -> None:
        super().__init__()
        self.existing = existing


@dataclass
class _Load:
    """One load: everything is known, only the writing is left."""

    ckan: Ckan
    target: Target
    plan: Plan
    spool: Spool
    limits: ChunkLimits
    report: Report
    wait: Wait
    memory: Memory

    @property
    def makes_table(self) -> bool:
        return self.target.mode == "replace" or self.target.existing is None

    def replace(self) -> tuple[int, int]:
        """Calls that carried rows, and rows of the table. The old table goes just before the new one comes."""
        parts = self._chunks()
        first = next(parts, None)
        in_one = first is None or first.end == self.spool.rows
        if not in_one:
            self._look()
        if (old := self.target.existing) is not None:
            # From here until the new table is there, nobody else knows what the old one was.
            note_table(self.memory, old)
            self.ckan.delete_table(self.target.resource_id)
        try:
            calls = self._create_with(first) if first is None or in_one else self._create_and_send(first, parts)
            return calls, self._checked_count()
        except JobError as error:
            raise self._emptied(error) from error

    def _look(self) -> None:
        """Raises _TableIsThere for a table that CKAN says is not there; nothing, where that was asked before."""
        if not self.target.asked and (found := self.ckan.table(self.target.resource_id)) is not None:
            raise _TableIsThere(found)

    def _made(self) -> None:
        """The new table is there, and tells of itself what the old one was."""
        if self.target.existing is not None and self.makes_table:
            self.memory.keep(None)

    def add(self) -> tuple[int, int]:
        """As `replace`, for a table that stays."""
        before, there = self._begun() if self.target.mode == "append" else (self.ckan.count(self.target.resource_id), 0)
        self.ckan.create_table(self.target.resource_id, self._definition())
        calls = self._send(without(self._chunks(), there), before, there) if self.spool.rows > there else 0
        after = self._count(before + self.spool.rows)
        if self.target.mode == "append":
            self.memory.keep(None)
        if self.target.mode == "append" and after != before + self.spool.rows:
            self.report.warning(
                "The table had %s rows and was given %s, but now it has %s: somebody else writes to it.",
                before, self.spool.rows, after,
            )  # fmt: skip
        return calls, after

    def _begun(self) -> tuple[int, int]:
        """Rows that the table had before this job, and how many of the file's first rows an earlier attempt has added.

        Raises JobError where that attempt had two calls at a time under way: nobody knows which rows arrived.
        """
        now = self.ckan.count(self.target.resource_id)
        begun = begun_append(self.memory, self.target)
        if begun is None:
            note_append(self.memory, Append(self.target.job_id, self.target.md5, now))
            return now, 0
        there = now - begun.rows_before
        if there in (0, self.spool.rows) or (0 < there < self.spool.rows and not self.target.unordered):
            if there:
                self.report.info("An earlier attempt of this job has appended the first %s rows already.", f"{there:,}")
            return begun.rows_before, there
        raise JobError(
            f"The table had {begun.rows_before:,} rows and has {now:,} now: what an earlier attempt of this job has appended,"
            " and what others have, cannot be told apart. Look into the table before the file is pushed again."
        )

    def _chunks(self) -> Iterator[Chunk]:
        return chunks(self.spool.batches(), self.plan.columns, self.limits)

    def _create_with(self, chunk: Chunk | None) -> int:
        """A small file in one call: CKAN does it in one transaction. Where that fails, in two steps, to see why.

        Its rows are not counted by the call: the look that checks them does, and CKAN keeps its number.
        """
        if chunk is None:
            self._create()
            return 0
        head = {"resource_id": self.target.resource_id, "force": True, "calculate_record_count": False}
        try:
            self.ckan.call("datastore_create", with_records(head | self._definition(), chunk))
        except (Refused, TooLarge, Transient) as error:
            return self._create_in_steps(chunk, error)
        self._made()
        return 1

    def _create_in_steps(self, chunk: Chunk, error: DataPusherError) -> int:
        """The empty table first. An answer that got lost may have been a good one: then the rows are there already."""
        if isinstance(error, Transient):
            self.report.warning("%s Looking what it has done.", error.message)
            self.wait(RETRY_DELAYS_S[0])
        self._look()
        self._create()
        if self.ckan.count(self.target.resource_id) == len(chunk):
            return 1
        if isinstance(error, Refused):
            raise blamed(self.ckan, self.target.resource_id, "insert", chunk, error) from error
        return self._send(iter([chunk]), 0)

    def _create_and_send(self, first: Chunk, others: Iterator[Chunk]) -> int:
        self._create()
        return self._send(chain([first], others), 0)

    def _create(self) -> None:
        """The empty table. The old one is gone and its dictionary is known to nobody but us, so this does not give up
        soon."""
        for delay_s in RETRY_DELAYS_S:
            try:
                self.ckan.create_table(self.target.resource_id, self._definition())
                return self._made()
            except Transient as error:
                self.report.warning("%s Trying again.", error.message)
                self.wait(delay_s)
        self.ckan.create_table(self.target.resource_id, self._definition())
        self._made()

    def _send(self, parts: Iterator[Chunk], rows_before: int, rows_sent: int = 0) -> int:
        way = Way(
            resource_id=self.target.resource_id,
            method="upsert" if self.target.mode == "upsert" else "insert",
            rows_before=rows_before,
            rows_total=self.spool.rows,
            rows_sent=rows_sent,
            connections=UNORDERED_CONNECTIONS if self.target.unordered else 1,
        )
        with Sender(self.ckan, way, self.limits, self.report, self.wait) as sender:
            try:
                for chunk in parts:
                    sender.send(chunk)
                sender.finish()
            except DataPusherError as error:
                raise self._append_broken(error, sender.rows_done) from error
        return sender.calls

    def _definition(self) -> dict[str, object]:
        """The parameters of datastore_create that make the table, or add to it what it lacks."""
        told: dict[str, object] = {
            # CKAN keeps an empty `info` too, but a table of its own has none.
            "fields": [
                {**one.extras, "id": one.id, "type": one.type, **({"info": dict(one.info)} if one.info else {})}
                for one in self.plan.fields
            ]
        }
        if self.makes_table:
            told |= {"primary_key": self.plan.primary_key, "indexes": self.plan.indexes, "aliases": self.plan.aliases}
        else:
            told |= {"primary_key": self.target.primary_key, "indexes": self.target.indexes, "aliases": self.target.aliases}
        # CKAN drops and rebuilds indexes that are named, so nothing is said about what stays as it is.
        return {key: value for key, value in told.items() if value}

    def _checked_count(self) -> int:
        """The table's rows. Raises Transient where they are not the file's: then the load starts again."""
        count = self._count(self.spool.rows)
        if count != self.spool.rows:
            self._look()
            raise Transient(f"The table has {count:,} rows, but the file has {self.spool.rows:,}; the load starts again.")
        return count

    def _count(self, expected: int) -> int:
        """The table's rows as everybody will see them. Somebody who looked while rows came in made CKAN keep a number of
        then; so a wrong one is dropped and asked for again."""
        count = self.ckan.shown_count(self.target.resource_id)
        if count != expected:
            self.ckan.forget_count(self.target.resource_id)
            count = self.ckan.shown_count(self.target.resource_id)
        return count

    def _emptied(self, error: JobError) -> JobError:
        """*error*, once the rows that had arrived are gone: half a table would pass for a whole one."""
        try:
            self.ckan.delete_rows(self.target.resource_id)
        except DataPusherError:
            return error
        return JobError(
            f"{error.message.rstrip('.')}. The table is empty now; its data dictionary was kept.", details=error.details
        )

    def _append_broken(self, error: DataPusherError, rows_done: int) -> DataPusherError:
        """*error*, or, where rows were appended already and the next attempt would not know, one that is not tried again:
        they would be there twice."""
        if self.target.mode != "append" or self.makes_table or not rows_done:
            return error
        if self.memory.lasts and isinstance(error, Transient):
            return error
        self.memory.keep(None)
        details = error.details if isinstance(error, JobError) else {}
        return JobError(
            f"{error.message} The first {rows_done:,} rows of the file had been appended by then and still are: remove"
            " them before the file is pushed again.",
            details=details,
        )
