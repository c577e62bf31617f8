import threading
import time

from consumer.watchman import EVERY_S, Watchman
from tests.consumer.workshop import eventually


def test_all_running_jobs_are_looked_after_again_and_again() -> None:
    looks = {"a": 0, "b": 0}

    def look(name: str) -> None:
        looks[name] += 1

    watchman = Watchman()
    with watchman.looking(lambda: look("a")), watchman.looking(lambda: look("b")):
        eventually(lambda: min(looks.values()) >= 3, 5)


def test_a_look_that_fails_leaves_the_others_looked_after() -> None:
    looked = threading.Event()
    watchman = Watchman()
    with watchman.looking(lambda: 1 / 0), watchman.looking(looked.set):  # type: ignore[arg-type]
        assert looked.wait(5)


def test_a_look_that_is_under_way_ends_before_the_next_job_begins_and_none_comes_after() -> None:
    looking, ended = threading.Event(), []

    def look() -> None:
        looking.set()
        time.sleep(0.2)
        ended.append(time.monotonic())

    watchman = Watchman()
    with watchman.looking(look):
        assert looking.wait(5)
    assert len(ended) == 1
    time.sleep(3 * EVERY_S)
    assert len(ended) == 1


def test_a_watchman_who_has_had_nothing_to_do_looks_after_the_next_job() -> None:
    watchman, looked = Watchman(), threading.Event()
    time.sleep(3 * EVERY_S)
    with watchman.looking(looked.set):
        assert looked.wait(5)
