"""`/metrics`, `/health/live` and `/health/ready` of a process that has no other HTTP side: workers and recorders."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from schemas.errors import BadSetting
from schemas.metrics import CONTENT_TYPE

#: A client that says nothing is let go.
PATIENCE_S = 10.0


class MetricsServer:
    """A context that serves. *text* gives the metrics, *trouble* what keeps the process from its work ("" for nothing).

    Raises: BadSetting where the port cannot be had.
    """

    def __init__(self, host: str, port: int, text: Callable[[], bytes], trouble: Callable[[], str]) -> None:
        class Answers(_Answers):
            metrics_text, trouble_words = staticmethod(text), staticmethod(trouble)

        try:
            self._server = ThreadingHTTPServer((host, port), Answers)
        except OSError as error:
            raise BadSetting("DATAPUSHER_METRICS_PORT", f"cannot listen on {host}:{port}: {error.strerror}") from error
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> "MetricsServer":
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Answers(BaseHTTPRequestHandler):
    metrics_text: Callable[[], bytes]
    trouble_words: Callable[[], str]
    timeout = PATIENCE_S

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/metrics":
                self._answer(200, CONTENT_TYPE, self.metrics_text())
            case "/health/live":
                self._say(200, {"status": "ok"})
            case "/health/ready":
                why = self.trouble_words()
                self._say(503 if why else 200, {"status": "unavailable", "error": why} if why else {"status": "ok"})
            case _:
                self._say(404, {"error": "Not Found"})

    def log_message(self, *about_request: object) -> None:
        """A scrape every few seconds is no news."""

    def _say(self, status: int, answer: dict[str, str]) -> None:
        self._answer(status, "application/json", json.dumps(answer).encode())

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
