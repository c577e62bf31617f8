"""Servers for the tests of fetching: real HTTP and FTP on 127.0.0.1, with answers the test chooses."""

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; *body* may be chunks, sent as they come; *length* None means: tell the true one."""

    body: bytes | Callable[[], Iterator[bytes]] = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None


class FileServer(ThreadingHTTPServer):
    """Answers by path; `asked` keeps (path, headers) of each request."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []

    def url(self, path: str = "/file.csv", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.server_address[1]}{path}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: FileServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers.items())))
        answer = self.server.answers.get(self.path, Answer(b"not here", 404))
        body = [answer.body] if isinstance(answer.body, bytes) else answer.body()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if isinstance(answer.body, bytes):
            self.send_header("Content-Length", str(len(answer.body) if answer.length is None else answer.length))
        self.send_header("Connection", "close")
        self.end_headers()
        for chunk in body:
            self.wfile.write(chunk)
            self.wfile.flush()
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Silent."""


@contextmanager
def running(server: socketserver.TCPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class FtpServer(socketserver.ThreadingTCPServer):
    """As much of RFC 959 as a download needs; `cut` ends each transfer after so many bytes."""

    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False

    def __init__(self, files: dict[str, bytes], password: str | None = None, cut: int | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _FtpHandler)
        self.files, self.password, self.cut = files, password, cut

    def url(self, path: str, login: str = "") -> str:
        return f"ftp://{login}127.0.0.1:{self.server_address[1]}{path}"


class _FtpHandler(socketserver.StreamRequestHandler):
    server: FtpServer

    def handle(self) -> None:
        self._say("220 ready")
        self._data = socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        with self._data:
            for line in self.rfile:
                command, _, argument = line.decode().strip().partition(" ")
                if command == "QUIT":
                    return self._say("221 bye")
                self._answer(command, argument)

    def _answer(self, command: str, argument: str) -> None:
        known = argument in self.server.files
        if command == "PASS" and self.server.password not in (None, argument):
            self._say("530 wrong password")
        elif command in ("SIZE", "MDTM", "RETR") and not known:
            self._say("550 no such file")
        elif command == "RETR":
            self._send(self.server.files[argument])
        else:
            self._say(self._simple(command, argument))

    def _simple(self, command: str, argument: str) -> str:
        port = self._data.server_address[1]
        size = len(self.server.files.get(argument, b""))
        answers = {
            "USER": "331 password", "PASS": "230 in", "TYPE": "200 binary", "SIZE": f"213 {size}",
            "MDTM": "213 20240131102030", "EPSV": f"229 Extended (|||{port}|)",
            "PASV": f"227 Passive (10,0,0,1,{port >> 8},{port & 255})",
        }  # fmt: skip
        return answers.get(command, "502 not known")

    def _send(self, body: bytes) -> None:
        self._say("150 here it comes")
        connection, _ = self._data.get_request()
        with connection:
            connection.sendall(body[: self.server.cut])
        self._say("226 done")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())
