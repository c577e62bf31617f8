"""Has `requests` connect through an `AddressGuard`: what is checked is the address that is connected to."""

from collections.abc import Callable
from functools import partial
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from consumer.push.address_guard import AddressGuard, Origin


class GuardedAdapter(HTTPAdapter):
    """Mount it for http:// and https://. What the guard refuses comes out of the request as AddressRefused.

    With a proxy the connection goes to the proxy, whose address is the administrator's choice; then the caller checks
    the host before asking (`fetch`).
    """

    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {
            "http": partial(_pool, urllib3.HTTPConnectionPool, partial(_GuardedHTTP, guard=self._guard)),
            "https": partial(_pool, urllib3.HTTPSConnectionPool, partial(_GuardedHTTPS, guard=self._guard)),
        }


def _pool(kind: Callable[..., Any], connection: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    pool = kind(*args, **kwargs)
    pool.ConnectionCls = connection
    return pool


class _GuardedHTTP(HTTPConnection):
    scheme = "http"

    def __init__(self, *args: Any, guard: AddressGuard, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._guard = guard

    def _new_conn(self) -> Any:
        return _open(self, self.scheme, self._guard)


class _GuardedHTTPS(HTTPSConnection):
    scheme = "https"

    def __init__(self, *args: Any, guard: AddressGuard, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._guard = guard

    def _new_conn(self) -> Any:
        return _open(self, self.scheme, self._guard)


def _open(connection: HTTPConnection, scheme: str, guard: AddressGuard) -> Any:
    """The socket of *connection*; errors in the form urllib3 expects of `_new_conn`."""
    timeout_s = connection.timeout
    try:
        return guard.connect(Origin(scheme, connection.host.strip("[]").lower(), connection.port), timeout_s)
    except TimeoutError as error:
        raise ConnectTimeoutError(connection, f"no connection within {timeout_s} s") from error
    except OSError as error:
        raise NewConnectionError(connection, str(error)) from error
