"""Fetches the file of a resource: from a URL to a file on disk with its hashes.

What is checked with a proxy (DATAPUSHER_DOWNLOAD_PROXY): the proxy resolves names, so the address connected to is its
affair, and it should refuse private networks itself; checked here are addresses written in the URL, and names as far
as they resolve here.
"""

import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from consumer.push.address_guard import AddressGuard, Origin
from consumer.push.api_key import token_header
from consumer.push.download import Download, FetchSettings, OnProgress, shown_url
from consumer.push.ftp import ftp_get
from consumer.push.http_get import Redirect, http_get
from consumer.push.share_links import direct_url
from schemas.errors import JobError

ONLY_THESE_SCHEMES = "Only http, https, and ftp resources may be fetched."


def fetch(
    url: str,
    into: Path,
    settings: FetchSettings,
    *,
    api_key: str | None = None,
    known_md5: str | None = None,
    on_progress: OnProgress | None = None,
) -> Download:
    """The file at *url*, written to the path *into*.

    *known_md5* is that of a file that need not be sent again: servers whose ETags are MD5s (S3 and its like) say so.

    *api_key* is sent to CKAN's own origins (`settings.ckan_urls`) only, and not again once a redirect has left that origin,
    so that no foreign server can have CKAN asked in the token's name. Give the key for uploads only: a link that a publisher
    typed may name someone else's private file.

    Raises:
        NotModified: the file is the one of *known_md5*.
        Transient: it may work later; with `retry_after_s` where the server said.
        FileError: `too-large`.
        JobError: it will not work; the message says why, the details have status and URL, never the token.
    """
    _origin(url.strip())  # refuses what is no address, before anything else looks at it
    url = direct_url(url.strip())
    first, shown = _origin(url), shown_url(url)
    guard = AddressGuard(settings.allowed_networks, settings.ckan_urls)
    private = _private_headers(first, settings, api_key)
    for _ in range(settings.max_redirects + 1):
        try:
            sent = {**_host_headers(url, settings), **_condition(known_md5), **private}
            return _get(url, into, sent, settings, guard, on_progress, shown=shown)
        except Redirect as redirect:
            url = redirect.url
            shown = shown_url(url, whole=False)
            if _origin(url) != first:
                private = {}
    raise JobError(
        f"The server redirects more than {settings.max_redirects} times. Give the resource the final link.",
        details={"Requested URL": shown},
    )


def _get(
    url: str,
    into: Path,
    headers: Mapping[str, str],
    settings: FetchSettings,
    guard: AddressGuard,
    on_progress: OnProgress | None,
    *,
    shown: str,
) -> Download:
    if _origin(url).scheme == "ftp":
        return ftp_get(url, into, settings, guard, on_progress)
    if settings.proxy:
        _check_before_proxy(url, guard)
    return http_get(url, into, headers, settings, guard, on_progress, shown=shown)


def _origin(url: str) -> Origin:
    try:
        origin = Origin.of(url)
    except ValueError as error:
        raise JobError(f"The link of the resource is not a web address: {error}.") from error
    if origin.scheme not in ("http", "https", "ftp"):
        raise JobError(ONLY_THESE_SCHEMES)
    if not origin.host:
        raise JobError(f"The link of the resource names no host: {shown_url(url)}")
    return origin


def _private_headers(origin: Origin, settings: FetchSettings, api_key: str | None) -> dict[str, str]:
    if not api_key or origin not in {Origin.of(ckan) for ckan in settings.ckan_urls if ckan}:
        return {}
    name, value = token_header(api_key)
    return {name: value}


def _condition(known_md5: str | None) -> dict[str, str]:
    return {"If-None-Match": f'"{known_md5}"'} if known_md5 else {}


def _host_headers(url: str, settings: FetchSettings) -> Mapping[str, str]:
    host = (urlsplit(url).hostname or "").lower()
    return {name: value for key, pairs in settings.host_headers.items() if key.lower() == host for name, value in pairs.items()}


def _check_before_proxy(url: str, guard: AddressGuard) -> None:
    try:
        guard.addresses(_origin(url))
    except socket.gaierror:
        return  # the name is known to the proxy only
    except UnicodeError as error:  # a label of more than 63 characters
        raise JobError(f"The link of the resource is not a web address: {error}.") from error
