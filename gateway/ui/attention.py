"""What needs somebody's attention, in words for the night: what is wrong, since when, and where to look."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.ui import words
from gateway.ui.bus_view import QueueView
from gateway.ui.job_search import GROUPS
from gateway.ui.queries import Activity

#: A job that waits so long, an outbox row that is not published for so long: something stands still.
LONG_WAIT = timedelta(minutes=10)
LONG_OUTBOX = timedelta(seconds=60)
#: Events not written yet: beyond so many this page is behind.
RECORDER_BEHIND = 1_000
#: Failures in an hour that are more than a bad file here and there.
MANY_FAILURES, FAILURE_SHARE = 5, 0.2
#: A lease is renewed long before it runs out; so late, its worker is gone or hangs.
LEASE_OVER = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Notice:
    """*level*: `bad` (something stands still) or `look` (somebody should look at it)."""

    level: str
    text: str
    #: Place behind `/ui/`, and its words; "" for none.
    place: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the overview knows."""

    #: Naive UTC.
    now: datetime
    connected: bool
    queues: Sequence[QueueView]
    activity: Activity
    #: Longest that one attempt may run.
    job_timeout_s: float

    @property
    def last_hour(self) -> tuple[int, int]:
        """Jobs that ended in it: all, and those that failed."""
        hour = [each for each in self.activity.minutes if each[0] > self.now - timedelta(minutes=61)]
        return sum(count for _, _, count in hour), sum(count for _, state, count in hour if state in GROUPS["failed"])


def notices(facts: Facts) -> list[Notice]:
    """The worst first."""
    found = [*_bus(facts), *_standstill(facts), *_workers(facts), *_dead(facts), *_failures(facts)]
    return sorted(found, key=lambda notice: notice.level)


def _bus(facts: Facts) -> Iterator[Notice]:
    count, oldest = facts.activity.outbox
    waiting = f" {count:,} accepted jobs wait in the outbox." if count else ""
    if not facts.connected:
        text = "The bus cannot be reached. Jobs are still accepted and will be published when it is back."
        yield Notice("bad", text + waiting)
    elif oldest and facts.now - oldest > LONG_OUTBOX:
        yield Notice("bad", f"{count:,} accepted jobs are not on the bus yet; the oldest was accepted {words.ago(oldest)}. "
                            "The bus refuses them, or their job type has no queue: see the gateway's log.")  # fmt: skip


def _standstill(facts: Facts) -> Iterator[Notice]:
    for queue in facts.queues:
        oldest = facts.activity.oldest.get(queue.job_type)
        if queue.role == "work" and queue.depth and not facts.activity.running and oldest and facts.now - oldest > LONG_OUTBOX:
            yield Notice("bad", f"{queue.depth:,} jobs of {queue.job_type} wait and none is running: is a worker running?",
                         "jobs?state=queued", "Waiting jobs")  # fmt: skip
        elif queue.role == "work" and oldest and facts.now - oldest > LONG_WAIT:
            yield Notice(
                "look",
                f"A job of {queue.job_type} was accepted {words.ago(oldest)} and still waits.",
                "jobs?state=queued",
                "Waiting jobs",
            )
        elif queue.role == "recorder" and (queue.depth or 0) > RECORDER_BEHIND:
            yield Notice("bad", f"{queue.depth:,} events are not written to the store yet, so what you see here is behind: "
                                "is a recorder running?")  # fmt: skip


def _workers(facts: Facts) -> Iterator[Notice]:
    for each in facts.activity.running:
        if each.lease_until and facts.now - each.lease_until > LEASE_OVER:
            lost = f"The worker {each.worker} holds a job, but its lease ran out {words.ago(each.lease_until)}"
            yield Notice("look", f"{lost}: it was killed, or hangs. The job will be started again by another worker.",
                         f"job/{each.job_id}", "The job")  # fmt: skip
        elif (facts.now - each.changed_at).total_seconds() > facts.job_timeout_s:
            yield Notice("look", f"A job runs longer than the limit of {words.span(facts.job_timeout_s)}.",
                         f"job/{each.job_id}", "The job")  # fmt: skip


def _dead(facts: Facts) -> Iterator[Notice]:
    for queue in facts.queues:
        if queue.role == "dead" and queue.depth:
            callbacks = queue.purpose == "dead callbacks"
            text = (
                f"{queue.depth:,} callbacks could not be delivered: CKAN does not know how these jobs ended."
                if callbacks
                else f"{queue.depth:,} messages lie with the dead: they will not run until somebody replays them."
            )
            yield Notice("look", text, "dead/callbacks" if callbacks else "dead", "Dead letters")


def _failures(facts: Facts) -> Iterator[Notice]:
    ended, failed = facts.last_hour
    if failed >= MANY_FAILURES and failed >= ended * FAILURE_SHARE:
        yield Notice("look", f"{failed:,} of the {ended:,} jobs that ended in the last hour failed ({failed / ended:.0%}).",
                     "jobs?state=failed", "Failed jobs")  # fmt: skip
