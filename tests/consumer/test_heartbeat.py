"""Workers tell that they live, and are gone when they do not."""

from datetime import timedelta

from sqlalchemy import Engine, insert, select, update

from consumer.heartbeat import Alive, Heartbeat
from schemas.store import reading, store_now, writing
from schemas.tables import workers
from tests.consumer.workshop import Workshop, eventually

BEAT_S = 0.2


def living(engine: Engine) -> dict[str, int]:
    """Worker -> busy slots, of those whose row is good."""
    with reading(engine) as connection:
        query = select(workers.c.worker, workers.c.busy).where(workers.c.good_until >= store_now(connection))
        return {worker: busy for worker, busy in connection.execute(query)}


def rows(engine: Engine) -> list[str]:
    with reading(engine) as connection:
        return list(connection.execute(select(workers.c.worker)).scalars())


def alive(name: str) -> Alive:
    return Alive(f"/worker/{name}", "1.2.3", 2, ("echo",))


def test_a_killed_worker_is_gone_after_three_beats(workshop: Workshop) -> None:
    known = set(living(workshop.engine))
    process = workshop.worker_process(worker_beat=BEAT_S, slots=1)
    eventually(lambda: set(living(workshop.engine)) - known)
    (name,) = set(living(workshop.engine)) - known
    assert name.endswith(f"/{process.pid}")
    job_id = workshop.send("sleeps", 60)
    eventually(lambda: living(workshop.engine)[name] == 1)
    process.kill()
    eventually(lambda: name not in living(workshop.engine))
    assert job_id


def test_a_worker_that_ends_in_order_is_gone_at_once(workshop: Workshop) -> None:
    known = set(living(workshop.engine))
    stop = workshop.worker(worker_beat=60.0)
    eventually(lambda: set(living(workshop.engine)) - known)
    stop.set()
    eventually(lambda: set(living(workshop.engine)) == known)


def test_it_tells_again_and_again_since_when_it_lives(engine: Engine) -> None:
    heart = Heartbeat(engine, alive("a/1"), lambda: 0, BEAT_S)
    heart.start()
    eventually(lambda: rows(engine))
    with reading(engine) as connection:
        first = connection.execute(select(workers)).one()
    eventually(lambda: _seen_at(engine) != first.seen_at)
    with reading(engine) as connection:
        later = connection.execute(select(workers)).one()
    heart.stop()
    assert (later.started_at, later.version, later.slots) == (first.started_at, "1.2.3", 2)
    assert later.good_until > first.good_until
    assert rows(engine) == []


def test_what_is_over_is_removed_by_the_next_worker_that_tells(engine: Engine) -> None:
    dead = {"worker": "/worker/dead/1", "version": "1", "slots": 1, "busy": 1, "job_types": []}
    with writing(engine) as connection:
        now = store_now(connection)
        old = {"started_at": now, "seen_at": now, "good_until": now - timedelta(seconds=1)}
        connection.execute(insert(workers).values({**dead, **old}))
    heart = Heartbeat(engine, alive("b/1"), lambda: 0, 60.0)
    heart.start()
    eventually(lambda: rows(engine) == ["/worker/b/1"])
    heart.stop()


def test_a_row_of_an_earlier_process_with_its_name_is_taken_over(engine: Engine) -> None:
    """A container's process has the same number each time."""
    hearts = [Heartbeat(engine, alive("pod/1"), lambda: 0, 60.0) for _ in range(2)]
    hearts[0].start()
    eventually(lambda: rows(engine))
    with writing(engine) as connection:
        connection.execute(update(workers).values(busy=2))
    hearts[1].start()
    eventually(lambda: living(engine) == {"/worker/pod/1": 0})
    hearts[1].stop()
    hearts[0].stop()


def test_workers_of_one_name_that_start_at_once_all_tell(engine: Engine) -> None:
    """What a thread stumbles over fails its test, by pytest's own doing."""
    for _ in range(5):
        hearts = [Heartbeat(engine, alive("pod/1"), lambda: 0, 1.0) for _ in range(6)]
        for heart in hearts:
            heart.start()
        eventually(lambda: rows(engine) == ["/worker/pod/1"])
        for heart in hearts:
            heart.stop()
    assert rows(engine) == []


def _seen_at(engine: Engine) -> object:
    with reading(engine) as connection:
        return connection.execute(select(workers.c.seen_at)).scalar_one()
