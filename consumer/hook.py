"""One POST to a `result_url`, with all that may come back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError

from consumer.hook_guard import guard_of, is_ckans
from consumer.push.address_guard import AddressGuard, AddressRefused
from consumer.push.api_key import token_header
from consumer.push.guarded_adapter import GuardedAdapter
from consumer.url_map import internal_url
from schemas.errors import JobError
from schemas.messages import Json
from schemas.settings import Settings

#: CKAN's own are one or two: to https, to a canonical path.
MOST_REDIRECTS = 5
#: Of a refusal's body, in bytes: enough for CKAN's `error` object.
BODY_BYTES = 2000
REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Answer:
    """*error* is None when the callback has arrived: any 2xx."""

    status: int | None
    error: str | None
    #: False when another try would end the same, whatever happens at the other side.
    passing: bool = True


def post(url: str, payload: Mapping[str, Json], api_key: str, settings: Settings) -> Answer:
    """POSTs *payload* as JSON; redirects are POSTed again, but to the same host only. Never raises."""
    try:
        token = token_header(api_key) if api_key else None
    except JobError as error:
        return Answer(None, error.message, passing=False)
    body = json.dumps(payload).encode()
    target = internal_url(url, settings.ckan_url_map)
    try:
        return _follow(target, body, token, settings, trusted=is_ckans(target, payload, settings))
    except AddressRefused:
        return Answer(None, f"{_shown(target)} {_NOT_PUBLIC}", passing=False)
    except (requests.RequestException, HTTPError, OSError, ValueError) as error:
        # urllib3's and ValueErrors pass through requests for odd addresses, and while a body is read.
        return Answer(None, f"{_shown(target)} did not take the callback: {_reason(error, settings)}")


_NOT_PUBLIC = (
    "is not an address of the public Internet, nor an action of the job's CKAN (metadata.ckan_url). An administrator can"
    " allow its host with the setting DATAPUSHER_ALLOWED_NETWORKS, and then replay the callback."
)


def _follow(url: str, body: bytes, token: tuple[str, str] | None, settings: Settings, *, trusted: bool) -> Answer:
    for _ in range(MOST_REDIRECTS):
        answer, location = _once(url, body, token, settings, guard_of(url, settings, trusted=trusted))
        if not location:
            return answer
        target = urljoin(url, location)
        if not _same_place(urlsplit(url), urlsplit(target)):
            return Answer(answer.status, f"{_shown(url)} redirects to {_shown(target)}, where a token must not go")
        url = target
    return Answer(answer.status, f"{_shown(url)} redirects without end")


def _once(url: str, body: bytes, token: tuple[str, str] | None, settings: Settings, guard: AddressGuard) -> tuple[Answer, str]:
    """The answer, and where it redirects to, if it does."""
    with requests.Session() as session:
        # Proxies and passwords come from the settings alone; ~/.netrc would replace our Authorization.
        session.trust_env = False
        for prefix in ("http://", "https://"):
            session.mount(prefix, GuardedAdapter(guard))
        with session.post(
            url,
            body,
            headers=_headers(token, settings),
            timeout=settings.callback_timeout,
            verify=settings.verify,
            allow_redirects=False,
            stream=True,
        ) as response:
            redirects = response.status_code in REDIRECTS
            return _answer(url, response), response.headers.get("Location", "") if redirects else ""


def _headers(token: tuple[str, str] | None, settings: Settings) -> dict[str, str]:
    """`Connection: close`, since uwsgi closes without a word and the next request of a pool would fail."""
    headers = {"Content-Type": "application/json", "User-Agent": settings.user_agent, "Connection": "close"}
    return {**headers, token[0]: token[1]} if token else headers


def _answer(url: str, response: requests.Response) -> Answer:
    if 200 <= response.status_code < 300:
        return Answer(response.status_code, None)
    text = response.raw.read(BODY_BYTES, decode_content=True).decode("utf-8", "replace")
    said = " ".join(text.split())
    return Answer(response.status_code, f"{_shown(url)} answered {response.status_code}{': ' if said else ''}{said}")


def _same_place(before: SplitResult, after: SplitResult) -> bool:
    """The same scheme, host and port, or the same host by https instead of http. Never back to http."""
    if before.hostname != after.hostname:
        return False
    if before.scheme == after.scheme:
        return before.port == after.port
    return (before.scheme, after.scheme) == ("http", "https")


def _shown(url: str) -> str:
    """Without user name, password and query, which may hold secrets."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "what is no web address"
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _reason(error: Exception, settings: Settings) -> str:
    match error:
        case requests.exceptions.SSLError():
            return "its TLS certificate is not valid (DATAPUSHER_CA_BUNDLE names the authorities to trust)"
        case requests.exceptions.Timeout():
            return f"no answer within {settings.callback_timeout:g} s (DATAPUSHER_CALLBACK_TIMEOUT)"
        case requests.exceptions.ConnectionError():
            return "it cannot be reached, or broke off the connection"
        case ValueError():
            return "it is no web address"
        case _:
            return f"it broke off its answer ({type(error).__name__})"
