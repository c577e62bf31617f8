"""The file behind a resource: where it really lies, what may be told to whom on the way there, and fetching it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from consumer.push.ckan import Ckan, Resource
from consumer.push.download import Download, FetchSettings, Progress, shown_url
from consumer.push.fetch import fetch
from consumer.push.formats import Hints
from consumer.push.http_get import NotModified
from consumer.report import Report
from schemas.errors import BadSetting
from schemas.settings import Settings, words


def fetch_file(
    resource: Resource, ckan: Ckan, api_key: str, folder: Path, settings: Settings, report: Report, known_md5: str | None = None
) -> Download | None:
    """The resource's file in *folder*; None where its server says that it is still the one of *known_md5*. CKAN's token goes
    along for uploads only, and to CKAN only.

    Raises: JobError (FileError `too-large`) for what will not work, Transient for what may later.
    """
    url = file_url(resource, ckan)
    report.info("Fetching from: %s", shown_url(url))

    def tell(progress: Progress) -> None:
        report.progress("fetching", bytes=progress.done_bytes, bytes_total=progress.total_bytes, percent=progress.percent)

    key = api_key if resource.url_type == "upload" else None
    try:
        download = fetch(
            url, folder / "file", fetch_settings(settings, ckan), api_key=key, known_md5=known_md5, on_progress=tell
        )
    except NotModified:
        return None
    report.info("Fetched %s bytes (%s).", f"{download.size_bytes:,}", download.content_type or "no content type")
    return download


def file_url(resource: Resource, ckan: Ckan) -> str:
    """Where the resource's file is fetched from.

    An upload is asked of CKAN at the address that its API is asked at: the one in the resource is for browsers, and may
    be unreachable from here (callback_url_base, CKAN_URL_MAP). Uploads that lie elsewhere (S3) stay where they are.
    """
    url = resource.url
    download = f"/dataset/{resource.package_id}/resource/{resource.id}/download/"
    if resource.url_type == "upload" and download in urlsplit(url).path:
        return ckan.internal_url + url[url.index(download) :]
    if url.startswith(ckan.url + "/"):
        return ckan.internal_url + url.removeprefix(ckan.url)
    return url


def hints_of(resource: Resource, download: Download) -> Hints:
    """What was said about the file's format."""
    return Hints(
        declared=resource.format or None, url=resource.url, filename=download.filename, content_type=download.content_type
    )


def fetch_settings(settings: Settings, ckan: Ckan) -> FetchSettings:
    return replace(fetch_settings_without_ckan(settings), ckan_urls=(ckan.url, ckan.internal_url))


def fetch_settings_without_ckan(settings: Settings) -> FetchSettings:
    return FetchSettings(
        max_bytes=settings.max_content_length,
        timeout_s=settings.download_timeout,
        total_time_s=settings.download_total_timeout,
        min_speed=settings.download_min_speed,
        chunk_bytes=settings.chunk_size,
        proxy=settings.download_proxy or None,
        verify=settings.verify,
        user_agent=settings.user_agent,
        host_headers=host_headers(settings.download_headers),
        allowed_networks=words(settings.allowed_networks),
    )


def host_headers(setting: str) -> Mapping[str, Mapping[str, str]]:
    """The headers of DOWNLOAD_HEADERS, `host=Header: value` separated by `;`, by host.

    Raises BadSetting, without the value: it is a secret.
    """
    found: dict[str, dict[str, str]] = {}
    for entry in filter(None, (part.strip() for part in setting.split(";"))):
        host, equals, header = entry.partition("=")
        name, colon, value = header.partition(":")
        if not equals or not colon or not host.strip() or not name.strip():
            raise BadSetting("DATAPUSHER_DOWNLOAD_HEADERS", "an entry is not of the form host=Header: value")
        found.setdefault(host.strip().lower(), {})[name.strip()] = value.strip()
    return found
