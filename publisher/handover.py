"""Handing messages to a consumer's handler until the consumer is cancelled."""

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Handover:
    """Once `cancel` has returned, nothing is handed over any more, from whatever thread it was called."""

    def __init__(self) -> None:
        self.cancelled = False
        #: Held during each call, so that `cancel` waits for it; re-entrant, since a handler may cancel its own consumer.
        self._handing = threading.RLock()

    def cancel(self) -> None:
        with self._handing:
            self.cancelled = True

    def hand(self, handle: Callable[[T], None], item: T) -> bool:
        """False when the consumer was cancelled before."""
        with self._handing:
            if self.cancelled:
                return False
            try:
                handle(item)
            except Exception:  # handlers promise not to raise; what this one was given stays in its hand
                logger.exception("the handler of a message failed")
            return True
