"""How long to wait before trying again."""

import random
from collections.abc import Iterator

FIRST_S, LONGEST_S = 0.2, 5.0


def delays() -> Iterator[float]:
    """0.2 s, doubling to 5 s, each between half and whole so that a fleet does not come back in step. Endless."""
    delay = FIRST_S
    while True:
        yield delay * random.uniform(0.5, 1.0)
        delay = min(delay * 2, LONGEST_S)
