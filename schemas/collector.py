"""Python's collector of cyclic garbage, set to what our processes do (https://docs.python.org/3/library/gc.html)."""

import gc

#: Containers that may come to be, less those that went, before it looks for cycles; Python's own 700 is met many times by
#: one batch of messages or rows, of which hardly any is part of a cycle.
YOUNG = 20_000


def collect_rarely() -> None:
    """Call it when all imports are done: they are not looked at any more, which takes 100 ms each time, and the rest seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
