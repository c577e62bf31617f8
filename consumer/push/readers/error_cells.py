"""Error cells of a sheet (`#DIV/0!`): they become NULL, and the report says how many there are and where."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from consumer.push.table import KEPT_PLACES


@dataclass
class ErrorCells:
    """*rows* are the numbers of the first rows that have some."""

    count: int = 0
    rows: list[int] = field(default_factory=list)

    def add(self, rows: Iterable[int], count: int) -> None:
        """*count* more of them, in *rows*, as far as those are known."""
        self.count += count
        self.rows = sorted({*self.rows, *rows})[:KEPT_PLACES]
