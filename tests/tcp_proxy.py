"""A TCP proxy that can be cut and healed: how tests take a broker or a database away from one client only."""

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType


class TcpProxy:
    """Forwards 127.0.0.1:`port` to *target* while whole; cut, it resets every connection and refuses new ones.

    `silent=True` cuts like a firewall that drops packets: connections stay open and nothing comes through.
    """

    def __init__(self, host: str, target: int) -> None:
        self._target = (host, target)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._whole = threading.Event()
        self._whole.set()
        self._silent = False
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.refused = 0

    def __enter__(self) -> "TcpProxy":
        self._run(self._accept)
        return self

    def _run(self, target: Callable[..., None], *args: socket.socket) -> None:
        self._threads.append(threading.Thread(target=target, args=args, daemon=True))
        self._threads[-1].start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.cut()
        self._whole.set()
        _close(self._server)
        for thread in self._threads:
            thread.join(timeout=5)

    def cut(self, *, silent: bool = False) -> None:
        self._silent = silent
        self._whole.clear()
        if not silent:
            for one in self._open:
                _close(one)
            self._open.clear()

    def heal(self) -> None:
        self._silent = False
        self._whole.set()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            if not self._whole.is_set() and not self._silent:
                self.refused += 1
                _close(client)
                continue
            self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target, timeout=5)
        except OSError:
            _close(client)
            return
        server.settimeout(None)
        self._open += [client, server]
        for one, other in ((client, server), (server, client)):
            self._run(self._pump, one, other)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self._silent:
                    self._whole.wait()
                sink.sendall(data)
        _close(source)
        _close(sink)


def _close(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
