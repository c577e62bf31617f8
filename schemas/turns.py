"""Turns at an SQLite file: threads of one process that write to it wait for each other here, and not in SQLite.

A writer that finds the file locked sleeps and looks again, each time longer, up to 100 ms (sqlite3.c,
`sqliteDefaultBusyCallback`); one that waits for a lock is woken the moment it is free. Processes still meet in SQLite.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

#: Pages of 4 KiB that SQLite appends to its log before it writes them into the file itself: what changes often is written there
#: once (https://www.sqlite.org/wal.html#ckpt). Each connection must say it. SQLite's own 1,000 cost the recorder a tenth.
CHECKPOINT_PAGES = 4000

_locks: dict[str, threading.Lock] = {}


@contextmanager
def turn_at(path: str, *, limit_s: float) -> Iterator[None]:
    """While nobody else of this process writes to the file. After *limit_s* it goes on: SQLite then says what it says."""
    lock = _lock_of(path)
    mine = lock.acquire(timeout=limit_s)
    try:
        yield
    finally:
        if mine:
            lock.release()


@cache
def _lock_of(path: str) -> threading.Lock:
    return _locks.setdefault(os.path.realpath(path), threading.Lock())
