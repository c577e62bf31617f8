"""A DataPusher that answers whatever a test wants: what CKAN's plugin makes of it is the point."""

import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """*body*: an object becomes JSON, text stays text."""

    status: int = 200
    body: object = None
    delay_s: float = 0.0


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    json: Any


@dataclass
class Service:
    """What it will answer to POST (None = a good answer) and to GET, and what it has seen."""

    url: str = ""
    to_post: Answer | None = None
    to_get: Answer = field(default_factory=lambda: Answer(body={"logs": []}))
    seen: list[Seen] = field(default_factory=list)

    def jobs_of(self, resource_id: str) -> list[dict[str, Any]]:
        """The bodies of POST /job for one resource, oldest first."""
        posted = [seen.json for seen in self.seen if seen.method == "POST"]
        return [job for job in posted if job["metadata"]["resource_id"] == resource_id]

    def answer(self, method: str) -> Answer:
        if method == "GET":
            return self.to_get
        return self.to_post or Answer(body={"job_id": str(uuid.uuid4()), "job_key": str(uuid.uuid4())})


class ServiceServer(ThreadingHTTPServer):
    """Serves one Service on 127.0.0.1; leave with `close`."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.service = Service(f"http://127.0.0.1:{self.server_address[1]}/")
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: ServiceServer

    def do_GET(self) -> None:
        self._reply("GET", None)

    def do_POST(self) -> None:
        self._reply("POST", json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _reply(self, method: str, body: object) -> None:
        self.server.service.seen.append(Seen(method, self.path, dict(self.headers), body))
        answer = self.server.service.answer(method)
        time.sleep(answer.delay_s)
        data = (answer.body if isinstance(answer.body, str) else json.dumps(answer.body)).encode()
        try:
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except ConnectionError:
            pass  # the caller's time was over: that is what slow answers are for

    def log_message(self, format: str, *args: object) -> None:
        pass
