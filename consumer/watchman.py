"""One thread that looks after all running jobs of a worker: to start one for each job costs more than a small job does."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

#: How often limits, lease and stop are looked at while a job runs.
EVERY_S = 0.1


class Watchman:
    """May be used from any thread."""

    def __init__(self) -> None:
        self._rounds: dict[_Round, None] = {}
        self._somebody = threading.Event()
        threading.Thread(target=self._walk, name="watchman", daemon=True).start()

    @contextmanager
    def looking(self, look: Callable[[], None]) -> Iterator[None]:
        """Calls *look* ten times a second, from another thread; not after the block any more."""
        mine = _Round(look)
        self._rounds[mine] = None
        self._somebody.set()
        try:
            yield
        finally:
            del self._rounds[mine]
            mine.end()

    def _walk(self) -> None:
        while True:
            self._somebody.wait()
            time.sleep(EVERY_S)
            self._somebody.clear()
            rounds = tuple(self._rounds)
            if rounds:
                self._somebody.set()
            for each in rounds:
                each.go()


class _Round:
    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self._over = False
        #: Held while it looks, so that a late look cannot meet what comes after its end.
        self._looking = threading.Lock()

    def end(self) -> None:
        with self._looking:
            self._over = True

    def go(self) -> None:
        with self._looking:
            if self._over:
                return
            try:
                self._look()
            except Exception:  # a bug in looking after one job must not leave the others alone
                logger.exception("a running job could not be looked after")
