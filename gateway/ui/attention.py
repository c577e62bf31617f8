"""What needs somebody's attention, in words for the night: what is wrong, since when, and where to look."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.ui import words
from gateway.ui.bus_view import QueueView
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
    #: Why the bus cannot be used; "" when it can.
    absence: str
    queues: Sequence[QueueView]
    activity: Activity
    #: Longest that one attempt may run.
    job_timeout_s: float


def notices(facts: Facts) -> list[Notice]:
    """The worst first."""
    found = [*_bus(facts), *_standstill(facts), *_workers(facts), *_dead(facts), *_failures(facts)]
    return sorted(found, key=lambda notice: notice.level)


def _bus(facts: Facts) -> Iterator[Notice]:
    amount, oldest = facts.activity.outbox
    accepted = words.count(amount, "accepted job")
    if facts.absence:
        text = f"The bus cannot be used: {facts.absence}. Jobs are still accepted, and published when it is back."
        yield Notice("bad", f"{text} {accepted} in the outbox." if amount else text)
    elif oldest and facts.now - oldest > LONG_OUTBOX:
        text = f"{accepted} not on the bus yet; the oldest was accepted {words.ago(oldest)}."
        yield Notice("bad", f"{text} The bus refuses them, or their job type has no queue: see the gateway's log.")


def _standstill(facts: Facts) -> Iterator[Notice]:
    for queue in facts.queues:
        oldest, depth = facts.activity.oldest.get(queue.job_type), queue.depth or 0
        waits = facts.now - oldest if oldest and queue.role == "work" else timedelta()
        idle = queue.role == "work" and depth and not facts.activity.running
        if idle and not facts.activity.workers:
            text = f"No worker lives, and {words.count(depth, 'message')} waiting for {queue.job_type}: start one."
            yield Notice("bad", text, "jobs?state=queued", "Waiting jobs")
        elif idle and waits > LONG_OUTBOX:
            text = f"No job runs, and {words.count(depth, 'message')} waiting for {queue.job_type}: see the workers' logs."
            yield Notice("bad", text, "jobs?state=queued", "Waiting jobs")
        elif waits > LONG_WAIT:
            text = f"A job of {queue.job_type} was accepted {words.ago(oldest)} and still waits."
            yield Notice("look", text, "jobs?state=queued", "Waiting jobs")
        elif queue.role == "recorder":
            yield from _recorder(queue.consumers, depth)


def _recorder(consumers: int | None, depth: int) -> Iterator[Notice]:
    behind = (
        f"{words.count(depth, 'event')} not written to the store yet" if depth else "What happens is not written to the store"
    )
    if consumers == 0:
        yield Notice("bad", f"No recorder lives. {behind}, so what you see here is old: start one (datapusher recorder).")
    elif depth > RECORDER_BEHIND:
        yield Notice("bad", f"{behind}, so what you see here is behind: is a recorder running, and has it time enough?")


def _workers(facts: Facts) -> Iterator[Notice]:
    if not facts.activity.workers and not any(queue.depth for queue in facts.queues if queue.role == "work"):
        yield Notice("look", "No worker lives. A job that comes now will wait: start one (datapusher worker).")
    for each in facts.activity.running:
        place = f"job/{each.job_id}"
        if each.lease_until and facts.now - each.lease_until > LEASE_OVER:
            lost = f"The worker {each.worker} holds a job, but its lease ran out {words.ago(each.lease_until)}"
            text = f"{lost}: it was killed, or hangs. The job will be started again by another worker."
            yield Notice("look", text, place, "The job")
        elif (facts.now - each.changed_at).total_seconds() > facts.job_timeout_s:
            yield Notice("look", f"A job runs longer than the limit of {words.span(facts.job_timeout_s)}.", place, "The job")


def _dead(facts: Facts) -> Iterator[Notice]:
    for queue in facts.queues:
        if queue.role != "dead" or not queue.depth:
            continue
        if queue.purpose == "dead callbacks":
            text = f"{words.count(queue.depth, 'callback')} could not be delivered: CKAN has not been told how the job ended."
            yield Notice("look", text, "dead/callbacks", "Dead callbacks")
        else:
            text = f"{words.count(queue.depth, 'message')} with the dead: not run until somebody replays them."
            yield Notice("look", text, "dead", "Dead letters")


def _failures(facts: Facts) -> Iterator[Notice]:
    ended, failed = facts.activity.last_hour.all, facts.activity.last_hour.failed
    if failed >= MANY_FAILURES and failed >= ended * FAILURE_SHARE:
        yield Notice("look", f"{failed:,} of the {ended:,} jobs that ended in the last hour failed ({failed / ended:.0%}).",
                     "jobs?state=failed", "Failed jobs")  # fmt: skip
