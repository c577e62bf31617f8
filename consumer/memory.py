"""What a job that may be killed has to know when it starts again: kept with its claim, so no worker has to survive.

It belongs to the resource: where a job dies for good, the next one of the same resource finds what it has left.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from schemas.messages import Json

Kept = Mapping[str, Json] | None


def _nowhere(_value: Kept) -> None:
    """Outside a worker there is no next attempt."""


@dataclass(frozen=True)
class Memory:
    """*kept*: what an earlier attempt, or an earlier job of the same resource, has left; None for nothing."""

    kept: Kept = None
    #: Returns once the store has it; None forgets. Kills the job where the claim is lost.
    keep: Callable[[Kept], None] = _nowhere

    @property
    def lasts(self) -> bool:
        return self.keep is not _nowhere


FORGETFUL = Memory()
