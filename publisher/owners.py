"""Who is alive on this machine: a process keeps a lock on a file of its own, which the system drops however it ends.

So no lease has to run out before a killed consumer's messages come back: whoever gets the lock knows that its owner is
dead. `flock` and not `lockf`: a POSIX lock would be lost when any other part of the same process closes the file. The
lock would outlive its process in a child forked without exec; our children are spawned, and Python's files close on exec.
"""

import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterator
from pathlib import Path


class Owner:
    """One living holder of messages; known to others by `id`, a file name in *folder*."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.id = uuid.uuid4().hex
        self._path = folder / self.id
        fresh = folder / f".{self.id}"
        self._file = fresh.open("wb")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        os.rename(fresh, self._path)  # locked before it can be seen: nobody may take us for dead in between

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        self._file.close()


@contextlib.contextmanager
def burial(folder: Path, owner_id: str) -> Iterator[bool]:
    """Whether the owner is dead. While the caller acts on it nobody else is told so; its file goes afterwards."""
    try:
        file = (folder / owner_id).open("rb")
    except FileNotFoundError:
        yield True
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
        (folder / owner_id).unlink(missing_ok=True)
