"""Things made in another thread, one or two before they are asked for."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_AHEAD = 2


def ahead(things: Iterator[T]) -> Iterator[T]:
    """The same *things*, and what making them raises. Worth it where making or using them leaves Python's lock."""
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        coming: deque[Future[T | None]] = deque(pool.submit(next, things, None) for _ in range(_AHEAD))
        try:
            while (thing := coming.popleft().result()) is not None:
                coming.append(pool.submit(next, things, None))
                yield thing
        finally:
            for future in coming:
                future.cancel()
