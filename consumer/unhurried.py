"""Progress on its way from a job to the bus: what the next says better is not told.

A small push is in each of its stages for some hundredths of a second: of 18 events that it told, 4 were outdated at once.
"""

import time
from collections.abc import Callable, Mapping

from schemas.messages import Json, Kind

Tell = Callable[[Kind, Mapping[str, Json]], None]

#: How long progress waits for better: nobody sees that it is so late.
HOLD_S = 0.2


class Unhurried:
    """Tells everything but progress at once, and the last progress at the latest when it is closed. For one thread."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._held: Mapping[str, Json] | None = None
        self._until = 0.0

    @property
    def patience_s(self) -> float | None:
        """Until `go_on` is due, in seconds; None while nothing is held."""
        return None if self._held is None else max(0.0, self._until - time.monotonic())

    def tell(self, kind: Kind, data: Mapping[str, Json]) -> None:
        if kind is not Kind.PROGRESS:
            self._tell(kind, data)
        elif self._held is None:
            self._held, self._until = data, time.monotonic() + HOLD_S
        else:
            self._held = data
        self.go_on()

    def go_on(self) -> None:
        """Tells what is held, if it has waited long enough."""
        if self._held is not None and time.monotonic() >= self._until:
            self.close()

    def close(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._tell(Kind.PROGRESS, held)
