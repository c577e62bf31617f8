"""`choose_loader`: COPY where DataStore's write URL of that CKAN is known, else CKAN's API."""

from pathlib import Path

from consumer.memory import FORGETFUL, Memory
from consumer.push.ckan import Ckan
from consumer.push.load import Loader
from consumer.push.load_api import ApiLimits, ApiLoader
from consumer.push.load_copy import CopyLoader
from schemas.settings import Settings


def choose_loader(settings: Settings, ckan: Ckan, folder: Path, memory: Memory = FORGETFUL) -> Loader:
    """*folder* is the job's own temporary folder, *memory* what its next attempt will know."""
    write_url = datastore_write_url(settings.datastore_write_url, ckan.url)
    if write_url:
        return CopyLoader(write_url, ckan, read_role=settings.datastore_read_role)
    return ApiLoader(ckan, ApiLimits(settings.chunk_insert_rows, settings.chunk_insert_bytes), folder, memory=memory)


def datastore_write_url(setting: str, ckan_url: str) -> str | None:
    """The entry of DATAPUSHER_DATASTORE_WRITE_URL for the CKAN at *ckan_url*; an entry without a CKAN is for all."""
    for entry in filter(None, (part.strip() for part in setting.split(";"))):
        if entry.startswith("postgres"):
            return entry
        ckan, _, url = entry.partition("=")
        if _plain(ckan) == _plain(ckan_url):
            return url.strip()
    return None


def _plain(url: str) -> str:
    return url.strip().rstrip("/").lower()
