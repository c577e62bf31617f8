import threading
import time
from pathlib import Path

from schemas.turns import turn_at


def test_writers_of_one_file_wait_for_each_other_whatever_they_call_it(tmp_path: Path) -> None:
    (tmp_path / "other").symlink_to(tmp_path)
    began, entered = threading.Event(), threading.Event()

    def write() -> None:
        began.set()
        with turn_at(f"{tmp_path}/other/store.db", limit_s=5):
            entered.set()

    with turn_at(f"{tmp_path}/store.db", limit_s=5):
        threading.Thread(target=write).start()
        assert began.wait(5)
        assert not entered.wait(0.2)
    assert entered.wait(5)


def test_writers_of_two_files_do_not_wait_for_each_other(tmp_path: Path) -> None:
    with turn_at(f"{tmp_path}/a.db", limit_s=5), turn_at(f"{tmp_path}/b.db", limit_s=5):
        pass


def test_who_has_waited_long_enough_leaves_it_to_sqlite_and_frees_nobody_elses_turn(tmp_path: Path) -> None:
    path, began = f"{tmp_path}/store.db", time.monotonic()
    with turn_at(path, limit_s=5):
        for _ in range(2):  # the second would not wait if the first one's end had freed the turn
            with turn_at(path, limit_s=0.2):
                pass
    assert time.monotonic() - began >= 0.4
