"""The ledgers of a whole run on one page: what was accepted and became of it, what was done to the service, and how soon it
worked again. `make test-faults` prints it, and writes it to the file that FAULTS_BOOK names.
"""

import json
import os
import platform
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.faults.ledger import Account, Fault, Ledger

HEAD = """# The last run of `make test-faults`

Written by `make test-faults`. What each fault is, what happens and who recovers is in [faults.md](faults.md). *Back after* is
the time from the moment at which the fault was over (for a kill: at which the process was gone) to the first callback of a job
that was accepted after it; jobs of these tests take up to some seconds by themselves.
"""


@dataclass(frozen=True)
class Page:
    """One test's ledger, or a run's of the soak."""

    test: str
    accepted: int
    account: Account
    faults: Counter[str]
    #: Seconds, by fault.
    back_after_s: Mapping[str, list[float]]
    #: Callbacks that came twice because a worker was killed between CKAN's answer and its note of it.
    excused: int = 0


@dataclass
class Book:
    pages: list[Page] = field(default_factory=list)

    def add(self, test: str, ledger: Ledger) -> None:
        """Keeps what *ledger* says at the end of *test*, where it has any jobs."""
        if ledger.entries and ledger.last is not None:
            faults = Counter(fault.kind for fault in ledger.faults)
            self.pages.append(Page(test, len(ledger.entries), ledger.last, faults, back_after_s(ledger), ledger.excused))

    def lines(self) -> Iterator[str]:
        """As Markdown."""
        load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
        machine = f"Python {platform.python_version()}, {os.cpu_count()} processors, load {load}"
        yield f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {machine}."
        yield ""
        yield from self._totals()
        yield from ("", "| fault | times | back after (median) | at most |", "|---|---|---|---|")
        yield from self._by_fault()
        columns = ("test", "accepted", "lost", "rows lost or doubled", "called back never", "twice", "faults")
        yield from ("", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|")
        yield from map(_line, self.pages)

    def _totals(self) -> Iterator[str]:
        accounts = [page.account for page in self.pages]
        lost, rows = sum(len(one.lost) for one in accounts), sum(len(one.rows_missing_or_doubled) for one in accounts)
        never, twice = sum(len(one.never_called_back) for one in accounts), sum(len(one.called_back_twice) for one in accounts)
        accepted, excused = sum(page.accepted for page in self.pages), sum(page.excused for page in self.pages)
        yield (
            f"**{accepted} jobs accepted in {len(self.pages)} ledgers, {lost} lost; {rows} tables with a row lost or doubled;"
            f" {never} never called back, {twice} called back twice** (and {excused} twice because a worker was killed between"
            f" CKAN's answer and its note of it); {sum(page.faults.total() for page in self.pages)} faults."
        )

    def _by_fault(self) -> Iterator[str]:
        times, faults = defaultdict[str, list[float]](list), Counter[str]()
        for page in self.pages:
            faults += page.faults
            for kind, seconds in page.back_after_s.items():
                times[kind] += seconds
        for kind, count in sorted(faults.items()):
            taken = times[kind]
            shown = f"{statistics.median(taken):.1f} s | {max(taken):.1f} s" if taken else "– | –"
            yield f"| {kind} | {count} | {shown} |"


def back_after_s(ledger: Ledger) -> dict[str, list[float]]:
    """Seconds from each fault to the first callback of a job that was accepted after it, by fault."""
    called: dict[str, float] = {}
    for call in ledger.ckan.calls("datapusher_hook"):
        called.setdefault(str(json.loads(call.body)["job_id"]), call.at)
    times: dict[str, list[float]] = defaultdict(list)
    for fault in ledger.faults:
        after = _called_after(fault, ledger, called)
        if after:
            times[fault.kind].append(min(after) - fault.at)
    return dict(times)


def _called_after(fault: Fault, ledger: Ledger, called: Mapping[str, float]) -> list[float]:
    entries: Iterable[str] = (entry.job_id for entry in ledger.entries if entry.accepted_at > fault.at)
    return [called[job_id] for job_id in entries if job_id in called]


def _line(page: Page) -> str:
    account = page.account
    counts = (account.lost, account.rows_missing_or_doubled, account.never_called_back, account.called_back_twice)
    faults = ", ".join(f"{kind} {count}" for kind, count in sorted(page.faults.items()))
    return f"| {page.test} | {page.accepted} | {' | '.join(str(len(ids)) for ids in counts)} | {faults} |"
