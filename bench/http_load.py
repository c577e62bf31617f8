"""HTTP load: `as_fast_as_possible` by wrk where it is installed, which costs next to nothing, else by a client of our own;
`steadily` at a fixed rate, where a late answer does not delay the next request."""

import asyncio
import json
import math
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

#: For wrk; prints what we want to know as JSON.
SCRIPT = """
wrk.method, wrk.body = "POST", %s
wrk.headers["Content-Type"] = "application/json"
done = function(summary, latency)
  io.write(string.format('{"requests": %%d, "seconds": %%f, "failed": %%d, "p50_ms": %%f, "p99_ms": %%f}\\n',
    summary.requests, summary.duration / 1e6,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
"""


@dataclass(frozen=True)
class Load:
    requests: int
    seconds: float
    #: Answered with another status than 200, or not at all.
    failed: int
    p50_ms: float
    p99_ms: float

    @property
    def per_s(self) -> float:
        return (self.requests - self.failed) / self.seconds


def percentile(values: Sequence[float], percent: float) -> float:
    """By nearest rank; 0 for none."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)] if values else 0.0


def as_fast_as_possible(url: str, body: bytes, *, connections: int, seconds: float) -> Load:
    """POSTs *body*, each connection again as soon as it has its answer."""
    if shutil.which("wrk"):
        return _by_wrk(url, body, connections, seconds)
    return asyncio.run(_by_ourselves(url, body, connections, seconds))


def _by_wrk(url: str, body: bytes, connections: int, seconds: float) -> Load:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "post.lua"
        script.write_text(SCRIPT % json.dumps(body.decode()))
        command = ["wrk", "-t1", f"-c{connections}", f"-d{math.ceil(seconds)}s", "--timeout", "10s", "-s", str(script), url]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Load(**json.loads(next(line for line in output.splitlines() if line.startswith("{"))))


async def _by_ourselves(url: str, body: bytes, connections: int, seconds: float) -> Load:
    request, taken, failed = post(url, body), list[float](), 0
    end = time.perf_counter() + seconds

    async def one() -> None:
        nonlocal failed
        connection = await Connection.open(url)
        while (began := time.perf_counter()) < end:
            failed += (await connection.ask(request))[0] != 200
            taken.append((time.perf_counter() - began) * 1000)
        connection.close()

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    return Load(len(taken), time.perf_counter() - began, failed, percentile(taken, 50), percentile(taken, 99))


async def steadily(url: str, request: Callable[[], bytes], *, per_s: float, seconds: float, connections: int) -> Load:
    """Sends *per_s* requests a second, evenly; times count from when each was due, waiting for a connection included."""
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(connections):
        free.put_nowait(await Connection.open(url))
    taken, failed, began = list[float](), 0, time.perf_counter()

    async def one(due: float) -> None:
        nonlocal failed
        connection = await free.get()
        status, _ = await connection.ask(request())
        taken.append((time.perf_counter() - due) * 1000)
        failed += status != 200
        free.put_nowait(connection)

    async with asyncio.TaskGroup() as group:
        for number in range(round(per_s * seconds)):
            due = began + number / per_s
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(one(due))
    took = time.perf_counter() - began
    while not free.empty():
        free.get_nowait().close()
    return Load(len(taken), took, failed, percentile(taken, 50), percentile(taken, 99))


def post(url: str, body: bytes) -> bytes:
    parts = urlsplit(url)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def get(url: str, key: str) -> bytes:
    parts = urlsplit(url)
    return f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: {key}\r\n\r\n".encode()


class Connection:
    """One request after the other; understands as much of HTTP as our gateway writes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, url: str) -> "Connection":
        parts = urlsplit(url)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        return int(head[9:12]), await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()
