"""A connection of kombu's to one of several brokers, with TLS where their URLs ask for it."""

import re
import ssl
from typing import Any

from kombu.connection import Connection, ConnectionPool, PooledConnection

from publisher.tls import PARAMETERS, Tls, divided
from schemas.errors import BadSetting

#: https://www.rabbitmq.com/docs/uri-spec
PORTS = {"amqp": 5672, "amqps": 5671}


class _Named(Connection):
    """Has each broker's certificate name that broker; kombu alone asks for no name, or all of them for the first one's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self._name()

    def switch(self, conn_str: str) -> None:
        super().switch(conn_str)  # type: ignore[no-untyped-call]
        self._name()

    def _name(self) -> None:
        files: Any = self.ssl
        self.ssl = {**files, "server_hostname": self.hostname}


class _NamedOfPool(_Named, PooledConnection):
    """The same in a pool, which makes its connections by itself."""


class Pool(ConnectionPool):
    """Left alone in a child of a fork: kombu's own would shut the parent's sockets down there."""

    close_after_fork = False

    def new(self) -> Any:
        kind: Any = _NamedOfPool if isinstance(self.connection, _Named) else PooledConnection
        return kind(self, **self.connection.info())


def connection_to(urls: str, tls: Tls | None, **options: Any) -> Any:
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
        raise BadSetting("url", f"must have the same {', '.join(PARAMETERS)} for each of several brokers")
    return ";".join(map(_complete, plain)), tls[0]


def _complete(url: str) -> str:
    """With port and vhost: what a URL leaves out kombu would take from the one before it. Of parameters kombu knows one."""
    address, _, query = url.partition("?")
    scheme, _, rest = address.partition("://")
    place, _, vhost = rest.partition("/")
    if not re.search(r":\d+$", place.rpartition("@")[2]):
        place += f":{PORTS[scheme]}"
    heartbeat = [part for part in query.split("&") if part.startswith("heartbeat=")]
    return "?".join((f"{scheme}://{place}/{vhost or '%2F'}", *heartbeat[:1]))
