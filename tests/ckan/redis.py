"""Redis for CKAN: found where it usually listens, or started from what the machine has; a database that is empty."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator

from tests.services import Missing, free_port, listens, may_start

USUAL_PORT = int(os.environ.get("DATAPUSHER_TEST_REDIS_PORT", "6379"))
DATABASES = range(15, 0, -1)  # as many as Redis has unless told otherwise; 0 is everybody's
GET_REDIS = "apt-get install -y redis-server, or set DATAPUSHER_TEST_REDIS_PORT"


@contextlib.contextmanager
def redis() -> Iterator[str]:
    """redis:// URL of a database that was empty and is emptied afterwards. Raises: Missing."""
    with contextlib.ExitStack() as stack:
        port = USUAL_PORT if listens(USUAL_PORT) else stack.enter_context(_private_redis())
        number = next((number for number in DATABASES if command(port, number, "DBSIZE") == ":0"), None)
        if number is None:
            port, number = stack.enter_context(_private_redis()), 0
        try:
            yield f"redis://127.0.0.1:{port}/{number}"
        finally:
            command(port, number, "FLUSHDB")


def command(port: int, database: int, words: str) -> str:
    """The first line that Redis answers; its inline commands need no client library."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection, connection.makefile("rw") as stream:
        stream.write(f"SELECT {database}\r\n{words}\r\n")
        stream.flush()
        return [stream.readline().strip() for _ in range(2)][-1]


@contextlib.contextmanager
def _private_redis() -> Iterator[int]:
    program, port = _installed_redis(), free_port()
    with tempfile.TemporaryDirectory(prefix="datapusher-redis-") as folder:
        process = subprocess.Popen(
            [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder], stdout=subprocess.DEVNULL
        )
        try:
            _await(port)
            yield port
        finally:
            process.terminate()
            process.wait()


def _await(port: int) -> None:
    deadline = time.monotonic() + 20
    while not listens(port):
        if time.monotonic() > deadline:
            raise Missing("redis-server does not start")
        time.sleep(0.05)


def _installed_redis() -> str:
    if not may_start():
        raise Missing(f"no Redis runs here: {GET_REDIS}")
    if not shutil.which("redis-server") and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"], capture_output=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", "redis-server"], capture_output=True)
    program = shutil.which("redis-server")
    if not program:
        raise Missing(f"no Redis runs here and none is installed: {GET_REDIS}")
    return program
