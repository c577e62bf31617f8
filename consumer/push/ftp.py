"""A file by FTP. `requests` cannot, and DataPusher always promised to."""

import ftplib
from collections.abc import Iterator
from pathlib import Path
from socket import socket
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from consumer.push.address_guard import AddressGuard, Origin
from consumer.push.download import Body, Download, FetchSettings, OnProgress, Source, shown_url
from schemas.errors import JobError, Transient


def ftp_get(url: str, into: Path, settings: FetchSettings, guard: AddressGuard, on_progress: OnProgress | None) -> Download:
    """The file at *url* (ftp://[user[:password]@]host[:port]/path), written to *into*; passive mode, binary.

    Raises: Transient for what may work later; JobError for what will not.
    """
    host = urlsplit(url).hostname
    try:
        with _GuardedFTP(guard, settings.timeout_s) as ftp, into.open("wb") as file:
            return _retrieve(ftp, url, file, into, settings, on_progress)
    except ftplib.error_perm as error:
        raise _refused(error, url) from error
    except TimeoutError as error:
        raise Transient(
            f'"{host}" did not answer within {settings.timeout_s:g} seconds (the setting DATAPUSHER_DOWNLOAD_TIMEOUT).'
        ) from error
    except (ftplib.Error, EOFError, ConnectionError) as error:
        raise Transient(f'The FTP server "{host}" asks to come again later or broke off: {error}') from error
    except ValueError as error:  # a name that no host can have; an answer that is no UTF-8, or no number
        raise JobError(f'"{host}" is no FTP server, or does not answer as one. Check the link of the resource.') from error


def _retrieve(
    ftp: "_GuardedFTP", url: str, file: BinaryIO, into: Path, settings: FetchSettings, on_progress: OnProgress | None
) -> Download:
    path = _said(urlsplit(url).path, url)
    _log_in(ftp, url)
    ftp.voidcmd("TYPE I")
    size_bytes = _size(ftp, path)
    body = Body(file, settings, size_bytes, on_progress)
    for chunk in _chunks(ftp, path, settings):
        body.write(chunk)
    if size_bytes is not None and body.done_bytes < size_bytes:
        raise Transient(f"The FTP server broke off after {body.done_bytes:,} of {size_bytes:,} bytes.")
    return body.finish(into, Source(final_url=url, status=226, last_modified=_modified(ftp, path)))


def _log_in(ftp: "_GuardedFTP", url: str) -> None:
    parts = urlsplit(url)
    try:
        ftp.open(Origin.of(url))
    except OSError as error:
        raise Transient(f'"{parts.hostname}" cannot be reached: {error.strerror or error}.') from error
    ftp.login(_said(parts.username or "anonymous", url), _said(parts.password or "anonymous@", url))


def _said(part: str, url: str) -> str:
    """A *part* of *url* as it is said to the server: a line break would begin another command."""
    text = unquote(part)
    if any(ord(sign) < 32 for sign in text):
        raise JobError(f"The link of the resource has control characters in it: {shown_url(url)}")
    return text


def _chunks(ftp: "_GuardedFTP", path: str, settings: FetchSettings) -> Iterator[bytes]:
    with _data_connection(ftp, path) as data:
        while chunk := _received(data, settings.chunk_bytes):
            yield chunk
    ftp.voidresp()


def _data_connection(ftp: "_GuardedFTP", path: str) -> socket:
    try:
        return ftp.transfercmd(f"RETR {path}")
    except OSError as error:
        raise Transient(f"The FTP server cannot be reached for its data: {error.strerror or error}.") from error


def _received(data: socket, most_bytes: int) -> bytes:
    try:
        return data.recv(most_bytes)
    except TimeoutError:
        raise
    except OSError as error:
        raise Transient("The FTP server broke off in the middle of the file.") from error


def _size(ftp: ftplib.FTP, path: str) -> int | None:
    """None where the server does not know the command: not all do."""
    try:
        return ftp.size(path)
    except ftplib.error_perm as error:
        if str(error).startswith("550"):
            raise
        return None


def _modified(ftp: ftplib.FTP, path: str) -> str | None:
    try:
        return ftp.voidcmd(f"MDTM {path}").partition(" ")[2] or None
    except ftplib.Error:
        return None


def _refused(error: ftplib.error_perm, url: str) -> JobError:
    code = str(error)[:3]
    what = {"530": "it does not accept the user or the password", "550": "there is no such file, or it may not be read"}
    reason = what.get(code, f"it answers {str(error)[:200]!r}")
    return JobError(
        f"The FTP server did not give the file: {reason}. Check the link of the resource.",
        details={"FTP status code": code, "Requested URL": shown_url(url)},
    )


class _GuardedFTP(ftplib.FTP):
    """Connects through the guard. The data connection goes to the control connection's checked address:
    ftplib ignores the address that a PASV answer names."""

    def __init__(self, guard: AddressGuard, timeout_s: float) -> None:
        super().__init__(timeout=timeout_s)
        self._guard = guard

    def open(self, origin: Origin) -> None:
        self.host, self.port = origin.host, origin.port
        self.sock = self._guard.connect(origin, self.timeout)
        self.af = self.sock.family
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()
