"""Where callbacks may go: `result_url` comes from whoever posts the job, and must not reach what only this machine reaches.

Allowed are public addresses, what ALLOWED_NETWORKS names, the CKANs that CKAN_URL_MAP names, and actions of the job's own
CKAN, which is often on a private network.
"""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from consumer.push.address_guard import AddressGuard, Origin
from consumer.url_map import internal_url
from schemas.messages import Json
from schemas.settings import Settings, words

#: The path of an action: CKAN's own is `/api/3/action/datapusher_hook`, below the site's root path.
ACTION = re.compile(r"(/.*)?/api/(\d/)?action/\w+")


def guard_of(url: str, settings: Settings, *, trusted: bool) -> AddressGuard:
    """For one request; the origin of a *trusted* one may lie on a private network."""
    return AddressGuard(words(settings.allowed_networks), (url,) if trusted else ())


def is_ckans(url: str, payload: Mapping[str, Json], settings: Settings) -> bool:
    """Whether *url* (as it will be asked) is an action of the CKAN of the job in *payload*, or its place was mapped to."""
    try:
        origin, parts = Origin.of(url), urlsplit(url)
        named = {Origin.of(pair.partition("=")[2].strip()) for pair in words(settings.ckan_url_map)}
        own = Origin.of(internal_url(_ckan_url(payload), settings.ckan_url_map))
    except ValueError:
        return False
    return origin in named or (origin == own and not parts.query and ACTION.fullmatch(parts.path) is not None)


def _ckan_url(payload: Mapping[str, Json]) -> str:
    metadata = payload.get("metadata")
    url = metadata.get("ckan_url") if isinstance(metadata, Mapping) else None
    return url if isinstance(url, str) else ""
