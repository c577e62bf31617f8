"""What DataPusher does with a file, written anew from its facts: for comparison only.

One table set by a row reader that makes an object of each cell; types guessed on the first 1,000 rows, strictly, each cell
tried against each candidate; each cell cast on its own (dates by dateutil); 250 rows a `datastore_create`, one call after
the other, each with a connection of its own, all fields told each time, rows counted at the last.

Left out is what surrounds it: Flask, APScheduler and the SQLite file of jobs and logs. So the real one is slower.
"""

import csv
import decimal
import hashlib
import io
import json
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from typing import Any, Protocol

import requests
from dateutil import parser  # type: ignore[import-untyped]

CHUNK_ROWS = 250
SAMPLE_ROWS = 1000
#: Bytes read at a time while the file is fetched.
CHUNK_BYTES = 16_384


@dataclass
class Cell:
    value: Any
    column: str = ""
    kind: str = "text"

    @property
    def empty(self) -> bool:
        return self.value is None or (isinstance(self.value, str) and not self.value.strip())


def as_number(text: str) -> decimal.Decimal:
    return decimal.Decimal(text.replace(",", ""))


def as_moment(text: str) -> datetime:
    moment: datetime = parser.parse(text)
    return moment


CASTS: dict[str, Any] = {"numeric": as_number, "timestamp": as_moment, "text": str}


class DataPusherWay:
    """Pushes to the CKAN at *url* with one *token*."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token

    def push(self, resource_id: str) -> None:
        """The calls of one job, in its order, up to the last row."""
        resource = self._call("resource_show", id=resource_id)["result"]
        self.load(resource_id, self._fetched(resource["url"]))

    def load(self, resource_id: str, text: str) -> None:
        """From the file's text to the last row."""
        rows = cells_of(text)
        names = [str(cell.value) for cell in next(rows)]
        kinds, rows = guessed(rows)
        if self._call("datastore_search", resource_id=resource_id, limit=0):
            self._call("datastore_delete", resource_id=resource_id, force=True)
        self._send(resource_id, names, kinds, rows)

    def _send(self, resource_id: str, names: Sequence[str], kinds: Sequence[str], rows: Iterator[list[Cell]]) -> None:
        fields = [{"id": name, "type": kind} for name, kind in zip(names, kinds, strict=True)]
        chunk: list[dict[str, Any]] = []
        waiting: list[dict[str, Any]] | None = None
        for row in rows:
            chunk.append({name: cast(cell, kind) for name, cell, kind in zip(names, row, kinds, strict=True)})
            if len(chunk) == CHUNK_ROWS:
                if waiting:
                    self._create(resource_id, fields, waiting, last=False)
                waiting, chunk = chunk, []
        parts = [part for part in (waiting, chunk) if part]
        for part in parts:
            self._create(resource_id, fields, part, last=part is parts[-1])

    def _create(self, resource_id: str, fields: list[dict[str, str]], records: list[dict[str, Any]], *, last: bool) -> None:
        made = self._call(
            "datastore_create", resource_id=resource_id, fields=fields, force=True, records=records, calculate_record_count=last
        )
        assert made, "datastore_create was refused"

    def _fetched(self, url: str) -> str:
        parts, md5 = [], hashlib.md5(usedforsecurity=False)
        with requests.get(url, timeout=30, stream=True) as response:
            for part in response.iter_content(CHUNK_BYTES):
                parts.append(part)
                md5.update(part)
        return b"".join(parts).decode()

    def _call(self, action: str, **parameters: object) -> Any:
        """The answer; None where CKAN has no such thing."""
        headers = {"Content-Type": "application/json", "Authorization": self._token}
        body = json.dumps(parameters, default=as_json)
        response = requests.post(f"{self._url}/api/3/action/{action}", body, headers=headers, timeout=120)
        if response.status_code == 404:
            return None
        assert response.status_code in (200, 201), response.text
        return response.json()


def as_json(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def cells_of(text: str) -> Iterator[list[Cell]]:
    dialect = csv.Sniffer().sniff(text[:4096], ",;\t|")
    dialect.doublequote = True
    for row in csv.reader(io.StringIO(text, newline=""), dialect):
        yield [Cell(value, str(place)) for place, value in enumerate(row)]


def guessed(rows: Iterator[list[Cell]]) -> tuple[list[str], Iterator[list[Cell]]]:
    """The first kind of each column that all of the sample fit; and all rows."""
    sample = list(islice(rows, SAMPLE_ROWS))
    kinds = [next(kind for kind in CASTS if all(fits(row[place], kind) for row in sample)) for place in range(len(sample[0]))]

    def everything() -> Iterator[list[Cell]]:
        yield from sample
        yield from rows

    return kinds, everything()


def fits(cell: Cell, kind: str) -> bool:
    try:
        cast(cell, kind)
    except (ValueError, ArithmeticError, OverflowError):
        return False
    return True


def cast(cell: Cell, kind: str) -> Any:
    cell.kind = kind
    if cell.empty:
        return None if kind != "text" else cell.value
    value = CASTS[kind](cell.value)
    return unmangled(value) if kind == "text" else value


def unmangled(text: str) -> str:
    """It takes every text for UTF-8 that was read as Latin-1, and keeps it where it is not."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


class Way(Protocol):
    def push(self, resource_id: str) -> None:
        """The calls of one job."""


class DataPusherService:
    """`POST /job` answered as CKAN's plugin wants it, the job run in a thread; a context manager."""

    def __init__(self, way: Way) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(way))
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> "DataPusherService":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_about_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(way: Way) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            threading.Thread(target=run, args=(job,)).start()
            body = json.dumps({"job_id": uuid.uuid4().hex, "job_key": uuid.uuid4().hex}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    def run(job: dict[str, Any]) -> None:
        way.push(job["metadata"]["resource_id"])
        told = {"status": "complete", "metadata": job["metadata"]}
        requests.post(job["result_url"], json=told, headers={"Authorization": job["api_key"]}, timeout=30)

    return Handler
