"""Work that another thread does while the next thing is being made."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, ParamSpec

P = ParamSpec("P")


class Behind(Generic[P]):
    """Calls *work* in another thread, one call after the other and one at most in hand; what it raises comes with the next
    call or at the end. Worth it where the work leaves Python's lock."""

    def __init__(self, work: Callable[P, object]) -> None:
        self._work = work
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="behind")
        self._last: Future[object] | None = None

    def __enter__(self) -> "Behind[P]":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown()
        if kind is None:
            self._wait()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        self._wait()
        self._last = self._pool.submit(self._work, *args, **kwargs)

    def _wait(self) -> None:
        if self._last is not None:
            self._last.result()
