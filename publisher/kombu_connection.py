"""A connection of kombu's to one of several brokers, with TLS where their URLs ask for it."""

import ssl
from typing import Any

from kombu.connection import Connection, ConnectionPool, PooledConnection

from publisher.tls import Tls, divided
from schemas.errors import BadSetting


class _Named(Connection):
    """Has each broker's certificate name that broker; kombu alone asks for no name, or all of them for the first one's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self._name()

    def switch(self, conn_str: str) -> None:
        super().switch(conn_str)  # type: ignore[no-untyped-call]
        self._name()

    def Pool(self, limit: int | None = None, **kwargs: Any) -> ConnectionPool:
        return _Pool(self, limit, **kwargs)  # type: ignore[no-untyped-call]

    def _name(self) -> None:
        files: Any = self.ssl
        self.ssl = {**files, "server_hostname": self.hostname}


class _Pooled(_Named, PooledConnection):
    """One of a pool."""


class _Pool(ConnectionPool):
    def new(self) -> _Pooled:
        return _Pooled(self, **self.connection.info())


def connection(urls: str, tls: Tls | None, **options: Any) -> Any:
    """Of kombu's, not connected yet. *urls*: as `checked` gives them."""
    named = tls and tls.verify and not tls.server_name_indication
    return (_Named if named else Connection)(urls, ssl=_files(tls) if tls else False, **options)  # type: ignore[no-untyped-call]


def _files(tls: Tls) -> dict[str, object]:
    """As py-amqp takes them. A name that is asked for is checked, so there is none where nothing is to be checked."""
    required = ssl.CERT_REQUIRED if tls.verify else ssl.CERT_NONE
    files: dict[str, object] = {
        "ca_certs": tls.cacertfile,
        "certfile": tls.certfile,
        "keyfile": tls.keyfile,
        "cert_reqs": required,
    }
    name = tls.server_name_indication if tls.verify else None
    return {**files, "server_hostname": name} if name else files


def checked(urls: str) -> tuple[str, Tls | None]:
    """*urls* without white space, empty ones and parameters of TLS, and these. Raises: BadSetting."""
    each = [url.strip() for url in urls.split(";") if url.strip()]
    if not each or not all(url.startswith(("amqp://", "amqps://")) for url in each):
        raise BadSetting("url", "must be amqp://user:password@host:5672/vhost, several separated by ;")
    plain, tls = zip(*(divided(url, "url") for url in each), strict=True)
    if len(set(tls)) > 1:
        raise BadSetting("url", "must ask for the same TLS at each of several brokers")
    return ";".join(plain), tls[0]
