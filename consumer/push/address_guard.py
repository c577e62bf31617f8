"""Which network addresses may be asked (the guard against server-side request forgery): for files, callbacks and CKAN.

The guard resolves a name once, checks every address, and connects to a checked address: a name whose
answer changes between the check and the connection gains nothing.
"""

import ipaddress
import logging
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from schemas.errors import JobError

logger = logging.getLogger(__name__)

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

DEFAULT_PORTS = {"http": 80, "https": 443, "ftp": 21}

# IPv6 ranges that carry an IPv4 address which the packet may end up at, and where in the 128 bits it sits.
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052
IPV4_COMPATIBLE = ipaddress.IPv6Network("::/96")  # RFC 4291, deprecated, still routed by some
LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")  # RFC 8215: never public
#: Where clouds tell a machine its credentials: all of link-local, and what AWS (over IPv6) and Alibaba use. No CKAN is there.
METADATA = tuple(map(ipaddress.ip_network, ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "100.100.100.200/32")))


class AddressRefused(JobError):
    """The file lies on a network that may not be fetched from."""


@dataclass(frozen=True)
class Origin:
    """Scheme, host (lower case) and port: what a token may be sent to (RFC 6454)."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Origin":
        """Raises ValueError for a port that is no number."""
        parts = urlsplit(url)
        scheme = parts.scheme.lower()
        return cls(scheme, plain_host(parts.hostname or ""), parts.port or DEFAULT_PORTS.get(scheme, 0))


def plain_host(host: str) -> str:
    """A host name as compared: no brackets, no final dot, lower case."""
    return host.strip("[]").rstrip(".").lower()


def is_public(address: IPAddress) -> bool:
    """Whether *address* is reachable on the public Internet; one that carries IPv4 addresses is what they are."""
    carried = tuple(_carried(address))
    if carried:
        return all(is_public(inner) for inner in carried)
    local = address.is_loopback or address.is_link_local or address.is_unspecified or address in LOCAL_NAT64
    site_local = getattr(address, "is_site_local", False)
    return address.is_global and not (local or site_local or address.is_multicast or address.is_reserved)


def _carried(address: IPAddress) -> Iterator[IPAddress]:
    if not isinstance(address, ipaddress.IPv6Address):
        return
    if address.ipv4_mapped:
        yield address.ipv4_mapped
    elif address.sixtofour:
        yield address.sixtofour
    elif address.teredo:
        yield from address.teredo
    elif address in NAT64 or address in IPV4_COMPATIBLE:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


@dataclass(frozen=True)
class AddressGuard:
    """Opens connections to allowed addresses only.

    *allowed* is a list of CIDRs, addresses and host names (`.example.org` stands for every name below it);
    *origins* are URLs whose scheme, host and port may lie anywhere but where clouds keep credentials: CKAN's own.
    """

    allowed: Iterable[str] = ()
    origins: Iterable[str] = ()
    _networks: tuple[IPNetwork, ...] = field(init=False)
    _hosts: frozenset[str] = field(init=False)
    _origins: frozenset[Origin] = field(init=False)

    def __post_init__(self) -> None:
        entries = [entry.strip() for entry in self.allowed if entry.strip()]
        networks = [network for entry in entries if (network := _network(entry)) is not None]
        object.__setattr__(self, "_networks", tuple(networks))
        object.__setattr__(self, "_hosts", frozenset(plain_host(e) for e in entries if _network(e) is None))
        object.__setattr__(self, "_origins", frozenset(Origin.of(url) for url in self.origins if url))

    def connect(self, origin: Origin, timeout_s: float | None) -> socket.socket:
        """A TCP connection to *origin*.

        Raises:
            AddressRefused: no address of the host may be connected to.
            OSError: the name does not resolve, or none of the allowed addresses answers.
        """
        failure: OSError = OSError(f"{origin.host} has no address")
        for family, kind, protocol, sockaddr in self.addresses(origin):
            try:
                return _connected(family, kind, protocol, sockaddr, timeout_s)
            except OSError as error:
                failure = error
        raise failure

    def addresses(self, origin: Origin) -> Sequence[tuple[int, int, int, tuple[object, ...]]]:
        """The allowed (family, type, protocol, sockaddr) of *origin*'s host; never empty."""
        found = socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
        good = [
            (family, kind, protocol, tuple(sockaddr))
            for family, kind, protocol, _, sockaddr in found
            if self.allows(origin, str(sockaddr[0]))
        ]
        if not good:
            # The addresses go to the log only: a publisher must not learn how internal names resolve.
            logger.warning("refused to fetch from %s: it resolves to %s", origin.host, [f[4][0] for f in found])
            raise AddressRefused(
                f'The file is on "{origin.host}", which is not an address of the public Internet. An administrator'
                " can allow it with the setting DATAPUSHER_ALLOWED_NETWORKS.",
                details={"Host": origin.host},
            )
        return good

    def allows(self, origin: Origin, address: str) -> bool:
        """Whether *origin* may be connected to at *address* (an IP address as text)."""
        ip = ipaddress.ip_address(address.partition("%")[0])
        candidates = (ip, *_carried(ip))
        if self._allowed_host(origin.host) or _any_in(candidates, self._networks):
            return True
        return is_public(ip) or (origin in self._origins and not _any_in(candidates, METADATA))

    def _allowed_host(self, host: str) -> bool:
        labels = host.split(".")
        return host in self._hosts or any("." + ".".join(labels[n:]) in self._hosts for n in range(1, len(labels)))


def _any_in(addresses: Iterable[IPAddress], networks: Sequence[IPNetwork]) -> bool:
    return any(address in network for address in addresses for network in networks)


def _network(text: str) -> IPNetwork | None:
    try:
        return ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None


def _connected(family: int, kind: int, protocol: int, sockaddr: tuple[object, ...], timeout_s: float | None) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        sock.settimeout(timeout_s)
        # As urllib3 does: a request's body must not wait until the other side has acknowledged its headers.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect(sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock
