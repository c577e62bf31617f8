"""Folders for the files of running jobs, removed whatever becomes of the job or of the worker."""

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)

PREFIX = "datapusher-worker-"
LOCK = "lock"


class Scratch:
    """One worker's folder. Its lock file is held as long as the worker lives: an unlocked folder was left by a killed one."""

    def __init__(self, parent: Path | None = None) -> None:
        self._parent = parent or Path(tempfile.gettempdir())
        self.folder, self._lock = self._made()
        self._remove_abandoned()

    def _made(self) -> tuple[Path, int | None]:
        """It gets the name that others look for once it is locked: two workers that start together must not take each
        other's new folder for an abandoned one."""
        unnamed = Path(tempfile.mkdtemp(prefix=f"new-{PREFIX}", dir=self._parent))
        lock = _locked(unnamed / LOCK, create=True)
        return unnamed.rename(self._parent / unnamed.name.removeprefix("new-")), lock

    @contextmanager
    def job_folder(self) -> Iterator[Path]:
        """An empty folder that is gone after the block."""
        folder = self._new_folder()
        try:
            yield folder
        finally:
            _remove(folder)

    def _new_folder(self) -> Path:
        try:
            return Path(tempfile.mkdtemp(prefix="job-", dir=self.folder))
        except FileNotFoundError:
            # Whoever cleans the temporary folder (systemd-tmpfiles after ten days) has taken ours with it.
            self.folder.mkdir(mode=0o700, exist_ok=True)
            return Path(tempfile.mkdtemp(prefix="job-", dir=self.folder))

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)

    def _remove_abandoned(self) -> None:
        """Not by process id: the next worker of a container has the same one."""
        for folder in self._parent.glob(f"{PREFIX}*"):
            # Without its lock file a folder was made a moment ago, or is being removed.
            lock = _locked(folder / LOCK, create=False)
            if lock is not None:
                logger.info("removing %s, left by a worker that was killed", folder)
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def _remove(folder: Path) -> None:
    try:
        folder.rmdir()  # as small jobs leave it; to look into it first would cost several times that
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)


def _locked(path: Path, *, create: bool) -> int | None:
    """A descriptor that holds the lock; None when another process has it, or the file is not there or not ours."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
