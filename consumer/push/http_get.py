"""One HTTP request for a file, and its body to disk; redirects are answered, not followed."""

import re
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import requests
import urllib3

from consumer.push.address_guard import AddressGuard
from consumer.push.download import Body, Download, FetchSettings, OnProgress, Source, shown_url
from consumer.push.guarded_adapter import GuardedAdapter
from consumer.push.retry_after import retry_after_s
from schemas.errors import JobError, Transient

REDIRECTS = (301, 302, 303, 307, 308)
#: Asked to come again: request timeout, too early, too many requests; all of 5xx besides.
PASSING = (408, 425, 429)

_ADVICE = {
    401: "It wants a log-in. For a private or uploaded file, the user of DataPusher's API token must be allowed to see it.",
    403: "It does not let DataPusher read the file. For a private or uploaded file, the user of DataPusher's API token"
    " must be allowed to see it; other servers may block programs by their User-Agent or address.",
    404: "There is no file at this address. Check the link of the resource.",
    410: "The file was removed for good. Give the resource a new link.",
}


class Redirect(Exception):
    """The file is elsewhere: *url*, absolute."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


class NotModified(Exception):
    """304: the server's ETag is the one that it was asked about."""


def http_get(
    url: str,
    into: Path,
    headers: Mapping[str, str],
    settings: FetchSettings,
    guard: AddressGuard,
    on_progress: OnProgress | None,
    *,
    shown: str,
) -> Download:
    """The file at *url*, written to *into*. *shown* is the address as errors may show it.

    Raises: Redirect; NotModified where *headers* ask so; Transient for what may work later; JobError for what will not.
    """
    with _session(settings, guard) as session, closing(_ask(session, url, headers, settings)) as response:
        if response.status_code == 304 and "If-None-Match" in headers:
            raise NotModified
        _check_status(response, url, shown)
        return _saved(response, into, url, settings, on_progress)


def _session(settings: FetchSettings, guard: AddressGuard) -> requests.Session:
    session = requests.Session()
    # Proxies and passwords come from the settings alone, never from the environment or ~/.netrc.
    session.trust_env = False
    session.headers = requests.structures.CaseInsensitiveDict({"User-Agent": settings.user_agent, "Accept": "*/*"})
    session.headers["Accept-Encoding"] = "gzip, deflate"
    session.verify = settings.verify
    if settings.proxy:
        session.proxies = {"http": settings.proxy, "https": settings.proxy}
    for prefix in ("http://", "https://"):
        session.mount(prefix, GuardedAdapter(guard))
    return session


def _ask(session: requests.Session, url: str, headers: Mapping[str, str], settings: FetchSettings) -> requests.Response:
    timeout_s = settings.timeout_s
    try:
        return session.get(url, headers=dict(headers), stream=True, allow_redirects=False, timeout=(timeout_s, timeout_s))
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, UnicodeError, ValueError) as error:
        raise _unreachable(error, url, settings) from error


def _unreachable(error: Exception, url: str, settings: FetchSettings) -> JobError | Transient:
    host = urlsplit(url).hostname
    if isinstance(error, ValueError):  # InvalidURL, LocationParseError, UnicodeError
        return JobError(f"The link of the resource is not a web address: {shown_url(url)}")
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return JobError(
            f'The TLS certificate of "{host}" is not valid, so its file was not fetched. The server has to be put in'
            " order; DATAPUSHER_CA_BUNDLE names the authorities to trust, your own among them."
        )
    if isinstance(error, requests.exceptions.Timeout | TimeoutError):
        return Transient(
            f'"{host}" did not answer within {settings.timeout_s:g} seconds (the setting DATAPUSHER_DOWNLOAD_TIMEOUT).'
        )
    if isinstance(error, requests.exceptions.ProxyError):
        return Transient("The proxy does not answer or refuses (the setting DATAPUSHER_DOWNLOAD_PROXY).")
    return Transient(f'"{host}" cannot be reached: {_reason(error)}.')


def _reason(error: BaseException) -> str:
    """The innermost cause in a few words; the outer ones repeat the URL with its query."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return getattr(error, "strerror", None) or type(error).__name__


def _check_status(response: requests.Response, url: str, shown: str) -> None:
    status = response.status_code
    if status in REDIRECTS and (location := response.headers.get("Location")):
        # Headers are decoded as Latin-1, while servers send UTF-8 (as requests' own redirects know).
        raise Redirect(urljoin(url, location.encode("latin-1").decode("utf-8", "replace")))
    if 200 <= status < 300 and status != 202:
        return
    if status == 202 or status in PASSING or status >= 500:
        raise Transient(
            f'"{urlsplit(url).hostname}" asks to come again later ({_status_line(response)}).',
            retry_after_s=retry_after_s(response.headers.get("Retry-After")),
        )
    advice = _ADVICE.get(status, "Check the link of the resource.")
    raise JobError(
        f"The server did not give the file: {_status_line(response)}. {advice}",
        details={"HTTP status code": status, "Requested URL": shown},
    )


def _status_line(response: requests.Response) -> str:
    return f"HTTP {response.status_code} {response.reason or ''}".strip()


def _saved(
    response: requests.Response, into: Path, url: str, settings: FetchSettings, on_progress: OnProgress | None
) -> Download:
    with into.open("wb") as file:
        body = Body(file, settings, _length(response), on_progress)
        for chunk in _chunks(response.raw, url, settings):
            body.write(chunk)
    return body.finish(into, _source(response, url))


def _length(response: requests.Response) -> int | None:
    """Content-Length where it counts the bytes that end up on disk."""
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() and "Content-Encoding" not in response.headers else None


def _chunks(raw: urllib3.response.HTTPResponse, url: str, settings: FetchSettings) -> Any:
    """The body as it comes. `read1` and not `read`: that waits until a whole chunk is there, and a server that
    sends a byte now and then would never be measured."""
    host = urlsplit(url).hostname
    try:
        while chunk := raw.read1(settings.chunk_bytes, decode_content=True):
            yield chunk
    except (urllib3.exceptions.ReadTimeoutError, TimeoutError) as error:
        raise Transient(
            f'"{host}" stopped sending for {settings.timeout_s:g} seconds (the setting DATAPUSHER_DOWNLOAD_TIMEOUT).'
        ) from error
    except urllib3.exceptions.DecodeError as error:
        raise Transient(f'"{host}" sent a damaged body (its Content-Encoding cannot be undone).') from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise Transient(f'"{host}" broke off in the middle of the file.') from error


def _source(response: requests.Response, url: str) -> Source:
    headers = response.headers
    return Source(
        final_url=url,
        status=response.status_code,
        content_type=headers.get("Content-Type"),
        filename=disposition_filename(headers.get("Content-Disposition", "")),
        etag=headers.get("ETag"),
        last_modified=headers.get("Last-Modified"),
    )


def disposition_filename(header: str) -> str | None:
    """The file name in a Content-Disposition header (RFC 6266), without folders; None when it has none."""
    if match := re.search(r"filename\*\s*=\s*([\w-]*)'[^']*'([^;\s]+)", header, re.IGNORECASE):
        name = _unquoted(match[2], match[1] or "utf-8")
    elif match := re.search(r'filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))', header, re.IGNORECASE):
        name = re.sub(r"\\(.)", r"\1", match[1]) if match[1] is not None else unquote(match[2])
        name = name.encode("latin-1", "replace").decode("utf-8", "replace")
    else:
        return None
    return re.split(r"[/\\]", name)[-1] or None


def _unquoted(text: str, encoding: str) -> str:
    try:
        return unquote(text, encoding, "replace")
    except LookupError:
        return unquote(text)
