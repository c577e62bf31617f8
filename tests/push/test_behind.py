from threading import current_thread

import pytest

from consumer.push.behind import Behind


def test_work_is_done_in_order_by_another_thread_and_all_of_it() -> None:
    done: list[tuple[int, str]] = []

    def work(number: int) -> None:
        done.append((number, current_thread().name.partition("_")[0]))

    with Behind(work) as behind:
        for number in range(20):
            behind(number)
    assert done == [(number, "behind") for number in range(20)]


def test_what_the_last_call_raises_comes_at_the_end() -> None:
    def work(number: int) -> float:
        return 1 / number

    with pytest.raises(ZeroDivisionError), Behind(work) as behind:
        behind(1)
        behind(0)


def test_an_error_of_the_caller_is_not_hidden() -> None:
    with pytest.raises(KeyError), Behind(lambda: [].pop()) as behind:
        behind()
        raise KeyError
