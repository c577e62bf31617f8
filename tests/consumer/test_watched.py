"""What is counted of a worker's work: words that are bounded, and only what was really done."""

from prometheus_client.parser import text_string_to_metric_families

from consumer.claims import Busy, Claim
from consumer.retry import CANCELLED, Decision, End, GiveBack, LetGo, Retry
from consumer.watched import STAGES, Watched
from publisher.bus import Message
from publisher.delivery import HeldDelivery
from publisher.watch import Watch
from schemas.messages import Job, Json, Kind
from schemas.metrics import OTHER, Figures
from schemas.topology import topology

TOPOLOGY = topology("datapusher", ["echo"], [1.0])
CLAIM = Claim("j", "/worker/a/1/1", 1, 0.0)


def figures(of: Figures) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(of.text().decode())
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def delivery() -> HeldDelivery:
    message = Message(exchange="e", routing_key="echo", body=b"", message_id="j")
    return HeldDelivery(message, "datapusher.echo", False, TOPOLOGY, lambda settlement: None)


def attempted(watched: Watched, decision: Decision, job_type: str = "echo") -> None:
    with watched.attempt(delivery(), Job(job_id="j", job_type=job_type), CLAIM) as attempt:
        attempt.decided(decision)


def test_every_end_of_an_attempt_has_its_word() -> None:
    counted = Figures()
    watched = Watched(Watch(counted), ["echo"], 2)
    failed = End(Kind.ERROR, {"error": {"message": "no"}})
    for decision in (End(Kind.COMPLETE, {"data": 1}), failed, CANCELLED, Retry(1.0, "later"), GiveBack(), LetGo()):
        attempted(watched, decision)
    told = figures(counted)
    outcomes = {key[2]: value for key, value in told.items() if key[0] == "datapusher_attempts_total"}
    assert outcomes == dict.fromkeys(("complete", "error", "cancelled", "retry", "drained", "lost"), 1)
    assert told["datapusher_attempt_seconds_count", "echo"] == 6


def test_job_types_and_stages_that_nobody_knows_share_a_word() -> None:
    counted = Figures()
    watched = Watched(Watch(counted), ["echo"], 2)
    attempted(watched, LetGo(), "made-up")
    for number in range(STAGES + 5):
        watched.stage("echo", f"stage {number}", 1.0)
    told = figures(counted)
    assert told["datapusher_attempts_total", OTHER, "lost"] == 1
    assert told["datapusher_stage_seconds_count", "echo", OTHER] == 5
    assert len([key for key in told if key[0] == "datapusher_stage_seconds_count"]) == STAGES + 1


def test_only_what_was_loaded_counts_as_loaded() -> None:
    counted = Figures()
    watched = Watched(Watch(counted), ["echo"], 2)
    pushed: dict[str, Json] = {"rows": 7, "rejected": 2, "file": {"size_bytes": 100}}
    idle: tuple[Json, ...] = ({**pushed, "skipped": "unchanged"}, {**pushed, "dry_run": True}, {"rows": "many"}, None, [1])
    for result in (pushed, *idle):
        attempted(watched, End(Kind.COMPLETE, {"data": result}))
    told = figures(counted)
    assert told["datapusher_file_bytes_total", "echo"] == 100
    assert told["datapusher_rows_total", "echo", "loaded"] == 7
    assert told["datapusher_rows_total", "echo", "rejected"] == 2


def test_slots_are_busy_while_they_have_a_job_in_hand() -> None:
    counted = Figures()
    watched = Watched(Watch(counted), ["echo"], 2)
    with watched.in_hand(1, delivery()), watched.in_hand(2, delivery()):
        assert (watched.busy, figures(counted)["datapusher_slots_busy",]) == (2, 2)
    assert (watched.busy, figures(counted)["datapusher_slots_busy",]) == (0, 0)
    watched.taken(CLAIM)
    watched.taken(Busy())
    told = figures(counted)
    assert told["datapusher_claims_total", "taken"] == told["datapusher_claims_total", "busy"] == 1
