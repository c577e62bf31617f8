"""What was accepted against what became of it: each job ended once, called back once, and every row is there once."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import requests
from sqlalchemy import Engine, select

from sandbox.server import Sandbox
from schemas.store import reading
from schemas.tables import claims, jobs, outbox
from tests.acceptance.service import PATIENCE, Service, wait_until

FINAL = ("complete", "error", "cancelled", "dead")


@dataclass(frozen=True)
class Entry:
    job_id: str
    resource_id: str
    rows: int
    #: time.time() of the 200.
    accepted_at: float


@dataclass(frozen=True)
class Fault:
    """Something that was done to the service."""

    #: Such as `worker killed`.
    kind: str
    #: time.time() at which it was over: the process gone, the broker back.
    at: float


@dataclass
class Account:
    """Job ids under each thing that must not be; all empty is well."""

    lost: list[str] = field(default_factory=list)
    not_complete: list[str] = field(default_factory=list)
    rows_missing_or_doubled: list[str] = field(default_factory=list)
    never_called_back: list[str] = field(default_factory=list)
    called_back_twice: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return ", ".join(f"{name.replace('_', ' ')} {len(ids)}" for name, ids in vars(self).items())

    @property
    def clean(self) -> bool:
        return not any(vars(self).values())


class Ledger:
    """`submit` may be called from any thread. *engine* reads the service's store."""

    def __init__(self, service: Service, ckan: Sandbox, engine: Engine) -> None:
        self.service = service
        self.ckan = ckan
        self.engine = engine
        self.entries: list[Entry] = []
        #: Answers to POST /job that were none or a 5xx, by what they were.
        self.refusals: Counter[str] = Counter()
        #: What was done to the service, for the book.
        self.faults: list[Fault] = []
        #: Callbacks that came twice for a kill at the wrong moment (`crew.excuse`).
        self.excused = 0
        #: What was counted last.
        self.last: Account | None = None

    def note(self, kind: str) -> None:
        """A fault of this *kind* is over now."""
        self.faults.append(Fault(kind, time.time()))

    def submit(self, rows: int = 3, *, patience_s: float = 60.0) -> Entry:
        """Pushes a new resource of *rows* rows; posts again until the gateway has accepted it.

        When an answer never comes, the store knows whether the job was accepted: its resource has no other.
        """
        resource_id = str(self.ckan.add_resource(upload=("rows.csv", csv(rows)))["id"])
        body = self.ckan.job_for(resource_id)
        deadline = time.monotonic() + patience_s * PATIENCE
        while (job_id := self._accepted(body, resource_id)) is None:
            assert time.monotonic() < deadline, f"nobody accepts jobs: {self.refusals}\n{self.service.logs()}"
            time.sleep(0.2)
        entry = Entry(job_id, resource_id, rows, time.time())
        self.entries.append(entry)
        return entry

    def settle(self, limit_s: float = 120.0) -> Account:
        """Waits until every accepted job has ended and its callback has arrived, or *limit_s* are over; then counts."""
        deadline = time.monotonic() + limit_s * PATIENCE
        while time.monotonic() < deadline and self.open_jobs():
            time.sleep(0.2)
        wait_until(lambda: not self._waiting_callbacks() or time.monotonic() > deadline, "callbacks are settled", limit_s + 60)
        return self.account()

    def open_jobs(self) -> set[str]:
        """Accepted jobs that have not ended in the store."""
        with reading(self.engine) as connection:
            ended = connection.execute(select(jobs.c.job_id).where(jobs.c.state.in_(FINAL))).scalars()
            return {entry.job_id for entry in self.entries} - set(ended)

    def account(self) -> Account:
        account = Account()
        states, hooks = self._states(), self.hooks()
        for entry in list(self.entries):
            state = states.get(entry.job_id)
            if state not in FINAL:
                account.lost.append(f"{entry.job_id} ({state})")
            elif state != "complete":
                account.not_complete.append(f"{entry.job_id} ({state})")
            elif not self._holds_each_row_once(entry):
                account.rows_missing_or_doubled.append(entry.job_id)
            if hooks[entry.job_id] != 1:
                (account.called_back_twice if hooks[entry.job_id] else account.never_called_back).append(entry.job_id)
        self.last = account
        return account

    def hooks(self) -> Counter[str]:
        """Callbacks that CKAN took, by job."""
        return Counter(str(hook["job_id"]) for hook in self.ckan.hooks)

    def starts(self) -> dict[str, int]:
        with reading(self.engine) as connection:
            return {row.job_id: row.starts for row in connection.execute(select(claims.c.job_id, claims.c.starts))}

    def in_outbox(self) -> set[str]:
        with reading(self.engine) as connection:
            return set(connection.execute(select(outbox.c.job_id)).scalars())

    def _accepted(self, body: Mapping[str, object], resource_id: str) -> str | None:
        """The job's id, None when it was not accepted."""
        try:
            answer = self.service.post(body)
        except requests.RequestException as error:
            self.refusals[type(error).__name__] += 1
            return self._job_of(resource_id)
        if answer.status_code == 200:
            return str(answer.json()["job_id"])
        assert answer.status_code >= 500, answer.text
        self.refusals[str(answer.status_code)] += 1
        return None

    def _job_of(self, resource_id: str) -> str | None:
        with reading(self.engine) as connection:
            return connection.execute(select(jobs.c.job_id).where(jobs.c.resource_id == resource_id)).scalar_one_or_none()

    def _states(self) -> dict[str, str]:
        with reading(self.engine) as connection:
            return {row.job_id: row.state for row in connection.execute(select(jobs.c.job_id, jobs.c.state))}

    def _waiting_callbacks(self) -> bool:
        hooks = self.hooks()
        return any(not hooks[entry.job_id] for entry in self.entries)

    def _holds_each_row_once(self, entry: Entry) -> bool:
        if not self.ckan.has_table(entry.resource_id):
            return False
        return sorted(self.ckan.table(entry.resource_id).column("id")) == list(range(entry.rows))


def csv(rows: int) -> bytes:
    return b"id,name\n" + b"".join(b"%d,name %d\n" % (number, number) for number in range(rows))
