"""Who may do what: job keys, the secret key, and the administrator's session."""

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from aiohttp import web

from gateway.queries import JobRow

COOKIE = "datapusher_session"
SESSION_S = 12 * 3600
#: Failed logins of one address within the window, after which it has to wait: guessing must not pay.
MAX_FAILURES, WINDOW_S = 10, 300.0
#: Addresses that are remembered; the oldest are forgotten first.
MAX_ADDRESSES = 10_000


def same(given: str | None, expected: str | None) -> bool:
    """Whether both are there and equal, found out in constant time."""
    if not given or not expected:
        return False
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass"))


class Sessions:
    """Signs and checks the session cookie: nothing is kept on the server, so any gateway with the key takes it."""

    def __init__(self, secret_key: str) -> None:
        self._key = hmac.digest(secret_key.encode(), b"datapusher session", hashlib.sha256)

    def new(self) -> str:
        return self._signed(f"{int(time.time()) + SESSION_S}.{secrets.token_urlsafe(12)}")

    def valid(self, cookie: str) -> bool:
        text, _, _ = cookie.rpartition(".")
        expires = text.partition(".")[0]
        return same(cookie, self._signed(text)) and expires.isdecimal() and int(expires) > time.time()

    def _signed(self, text: str) -> str:
        return f"{text}.{hmac.digest(self._key, text.encode('utf-8', 'surrogatepass'), hashlib.sha256).hex()}"


class Doorman:
    """Decides what a request may do."""

    def __init__(self, secret_key: str, username: str, password: str) -> None:
        self.sessions = Sessions(secret_key)
        self.throttle = Throttle()
        self._secret_key = secret_key
        self._username = username
        self._password = password

    def is_administrator(self, request: web.Request) -> bool:
        """By session, or by the secret key in `Authorization`, bare or as `Bearer …`."""
        return self.has_session(request) or same(_key(request), self._secret_key)

    def has_session(self, request: web.Request) -> bool:
        cookie = request.cookies.get(COOKIE)
        return cookie is not None and self.sessions.valid(cookie)

    def may_see(self, request: web.Request, row: JobRow) -> bool:
        """The administrator, and whoever holds the job's own key."""
        return same(_key(request), row.job_key) or self.is_administrator(request)

    def knows(self, username: str, password: str) -> bool:
        # Both are compared, whatever the first says, so that the time tells nothing.
        return same(username, self._username) & same(password, self._password)


class Throttle:
    """Counts failed logins by address."""

    def __init__(self) -> None:
        self._failures: dict[str, list[float]] = {}

    def wait_s(self, address: str) -> float:
        """Seconds until this address may try again; 0 for now."""
        now = time.monotonic()
        recent = [moment for moment in self._failures.get(address, ()) if now - moment < WINDOW_S]
        return WINDOW_S - (now - recent[0]) if len(recent) >= MAX_FAILURES else 0.0

    def failed(self, address: str) -> None:
        recent = self._failures.pop(address, [])[-MAX_FAILURES + 1 :]
        self._failures[address] = [*recent, time.monotonic()]
        if len(self._failures) > MAX_ADDRESSES:
            del self._failures[next(iter(self._failures))]

    def succeeded(self, address: str) -> None:
        self._failures.pop(address, None)


def _key(request: web.Request) -> str | None:
    """Bare, as the old service had it and CKAN sends it; or as most HTTP clients would, after the word `Bearer`."""
    header = request.headers.get("Authorization")
    return header[7:].strip() if header and header[:7].lower() == "bearer " else header


def basic_credentials(headers: Mapping[str, str]) -> tuple[str, str] | None:
    """User name and password of an `Authorization: Basic …` header, if it is one."""
    header = headers.get("Authorization", "")
    if not header.lower().startswith("basic "):
        return None
    try:
        text = base64.b64decode(header[6:].strip(), validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return None
    username, _, password = text.partition(":")
    return username, password


def local_path(target: str) -> str | None:
    """*target* if it is a path on this server, else None: a login must not lead to a stranger's page."""
    if not target.startswith("/") or target.startswith(("//", "/\\")) or not target.isprintable() or "\\" in target:
        return None
    parts = urlsplit(target)
    return None if parts.scheme or parts.netloc else target
