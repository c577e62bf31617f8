"""What fetching needs to know, and what it gives: settings, the body on its way to disk, the downloaded file."""

import hashlib
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit, urlunsplit

from schemas.errors import FileError, JobError, Transient

#: Speed is measured over this long: shorter would take a short pause for a slow server.
SPEED_WINDOW_S = 60.0
#: Progress is told at most this often.
PROGRESS_EVERY_S = 1.0


@dataclass(frozen=True, kw_only=True)
class FetchSettings:
    """Each field is named after its setting (`DATAPUSHER_…`)."""

    #: MAX_CONTENT_LENGTH: bytes of a body, as stored (after Content-Encoding is undone).
    max_bytes: int = 1024**3
    #: DOWNLOAD_TIMEOUT: seconds without a sign of life, for connecting and for each read.
    timeout_s: float = 30.0
    #: DOWNLOAD_TOTAL_TIMEOUT: seconds for one whole download; 0 = no limit.
    total_time_s: float = 3600.0
    #: DOWNLOAD_MIN_SPEED: bytes a second over SPEED_WINDOW_S; 0 = no limit.
    min_speed: int = 1024
    max_redirects: int = 10
    #: CHUNK_SIZE: bytes read at once.
    chunk_bytes: int = 1024**2
    #: DOWNLOAD_PROXY: URL of an HTTP proxy for http and https; ftp always goes direct.
    proxy: str | None = field(default=None, repr=False)
    #: SSL_VERIFY
    verify: bool | str = True
    #: USER_AGENT
    user_agent: str = "Data Pusher (+https://ckan.org)"
    #: DOWNLOAD_HEADERS: extra headers by host name; a host's headers go to that host only.
    host_headers: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    #: ALLOWED_NETWORKS: CIDRs and hosts that are fetched from although they are not public.
    allowed_networks: tuple[str, ...] = ()
    #: URLs of CKAN itself: may lie on any network, and the only ones that get the token.
    ckan_urls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """How far a download is. *total_bytes* and *percent* are None where the server does not say the length."""

    done_bytes: int
    total_bytes: int | None
    bytes_per_s: float

    @property
    def percent(self) -> float | None:
        return min(100.0, 100.0 * self.done_bytes / self.total_bytes) if self.total_bytes else None


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, kw_only=True)
class Source:
    """What the server said about the file beside its bytes. *filename* is that of Content-Disposition."""

    final_url: str
    status: int
    content_type: str | None = None
    filename: str | None = None
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, kw_only=True)
class Download(Source):
    """A file on disk. *md5* (hex) is what CKAN keeps as a resource's `hash`."""

    path: Path
    size_bytes: int
    md5: str
    sha256: str


class Body:
    """A file being written: hashes, counts, tells progress, and ends the download at its limits.

    *total_bytes* is the length as the server declares it, None where it does not or where the body is compressed.
    """

    def __init__(
        self, file: BinaryIO, settings: FetchSettings, total_bytes: int | None, on_progress: OnProgress | None
    ) -> None:
        self._file = file
        self._settings = settings
        self._total = total_bytes
        self._tell = on_progress
        # MD5 because that is what CKAN's `hash` holds; nothing relies on it against an attacker.
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()
        self._done = 0
        self._started = self._told = time.monotonic()
        self._window = deque([(self._started, 0)])
        if total_bytes is not None:
            self._check_size(total_bytes)

    def write(self, chunk: bytes) -> None:
        """Raises FileError too-large, JobError (total time) or Transient (too slow) at a limit."""
        self._done += len(chunk)
        self._check_size(self._done)
        self._check_time(time.monotonic())
        self._md5.update(chunk)
        self._sha256.update(chunk)
        self._file.write(chunk)

    def finish(self, path: Path, source: Source) -> Download:
        """The downloaded file; *path* is where the body was written to."""
        self._report(time.monotonic())
        return Download(
            path=path, size_bytes=self._done, md5=self._md5.hexdigest(), sha256=self._sha256.hexdigest(), **vars(source)
        )

    @property
    def done_bytes(self) -> int:
        return self._done

    def _check_size(self, size_bytes: int) -> None:
        limit = self._settings.max_bytes
        if size_bytes <= limit:
            return
        declared = f"{self._total:,} bytes" if self._total else f"more than {limit:,} bytes"
        raise FileError(
            "too-large",
            f"The file is too large: it has {declared}, and the limit is {limit:,} bytes (the setting"
            " DATAPUSHER_MAX_CONTENT_LENGTH). Ask an administrator to raise it, or publish a smaller or compressed file.",
            details={"Size": self._total or self._done, "Limit": limit},
        )

    def _check_time(self, now: float) -> None:
        limit_s = self._settings.total_time_s
        if limit_s and now - self._started > limit_s:
            raise JobError(
                f"The download was not finished after {limit_s:g} seconds (the setting DATAPUSHER_DOWNLOAD_TOTAL_TIMEOUT);"
                f" {self._done:,} bytes had come."
            )
        self._check_speed(now)
        if now - self._told >= PROGRESS_EVERY_S:
            self._report(now)

    def _check_speed(self, now: float) -> None:
        if not self._settings.min_speed or now - self._window[-1][0] < SPEED_WINDOW_S / 60:
            return
        self._window.append((now, self._done))
        since, bytes_then = self._window[0]
        while now - self._window[0][0] > SPEED_WINDOW_S:
            since, bytes_then = self._window.popleft()
        speed = (self._done - bytes_then) / (now - since)
        if now - since >= SPEED_WINDOW_S and speed < self._settings.min_speed:
            raise Transient(
                f"The server sends too slowly: {speed:,.0f} bytes a second, and the least is {self._settings.min_speed:,}"
                " (the setting DATAPUSHER_DOWNLOAD_MIN_SPEED)."
            )

    def _report(self, now: float) -> None:
        self._told = now
        if self._tell is not None:
            self._tell(Progress(self._done, self._total, self._done / max(now - self._started, 1e-6)))


def shown_url(url: str, *, whole: bool = True) -> str:
    """*url* as it may be shown: without user and password; with *whole* False also without its query.

    Queries of redirect targets are often signatures (S3): whoever reads them can fetch the file.
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host, query=parts.query if whole else "", fragment=""))
