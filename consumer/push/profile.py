"""What the values of a column look like: counted while the file is read (profiler.py), never needed to load it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """Numbers are None where they make no sense (mean of a text) or nothing was seen. All JSON-safe."""

    distinct: int | None = None
    distinct_exact: bool = True  #: else estimated, within a few per cent
    min: str | None = None  #: of numbers and moments by their value, of text by code points
    max: str | None = None
    mean: float | None = None
    stddev: float | None = None  #: of the population
    min_length: int | None = None  #: characters
    max_length: int | None = None
    frequent: tuple[tuple[str, int], ...] = ()  #: value, count; most frequent first, then by code points
    frequent_exact: bool = True  #: else counted in a sample of the rows and scaled up
