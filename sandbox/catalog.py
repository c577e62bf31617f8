"""Datasets, resources and organizations as CKAN shows them; in memory, thread-safe."""

import re
import threading
import unicodedata
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from mimetypes import guess_type

from sandbox.refusals import NotFound, ValidationError, missing

Json = dict[str, object]

_NAME = re.compile(r"[a-z0-9_-]+")
_UPLOAD_URL = "{site}/dataset/{package}/resource/{resource}/download/{name}"
#: Every key CKAN shows of a resource without any extension, with its value in a new one.
_RESOURCE: Json = {
    "cache_last_updated": None, "cache_url": None, "created": None, "datastore_active": False, "description": None,
    "format": "", "hash": "", "id": None, "last_modified": None, "metadata_modified": None, "mimetype": None,
    "mimetype_inner": None, "name": None, "package_id": None, "position": 0, "resource_type": None, "size": None,
    "state": "active", "url": "", "url_type": None,
}  # fmt: skip
#: What a resource_update leaves as it was when the caller does not send it (CKAN 2.12).
_KEPT_BY_UPDATE = (
    "created", "datastore_active", "format", "hash", "id", "last_modified", "mimetype", "name", "package_id",
    "position", "size", "state", "url", "url_type",
)  # fmt: skip
_NOT_FOR_CALLERS = ("upload", "clear_upload", "metadata_modified", "package_id", "position", "created", "state")
#: How CKAN spells the formats it knows (`resource_formats.json`), as far as tables come in them.
_FORMATS = ("CSV", "TSV", "XLS", "XLSX", "ODS", "JSON", "TXT", "XML", "ZIP", "GeoJSON", "PDF", "HTML", "XLSM", "XLSB")


@dataclass(frozen=True)
class Upload:
    """A file sent along with a resource; *name* as CKAN will show it in the URL."""

    name: str
    data: bytes
    modified: datetime = field(default_factory=lambda: datetime.now(UTC))


class Catalog:
    """Everything CKAN's own database would hold. *site_url* has no slash at its end."""

    def __init__(self, site_url: str) -> None:
        self.site_url = site_url
        self.packages: dict[str, Json] = {}
        self.resources: dict[str, Json] = {}
        self.uploads: dict[str, Upload] = {}
        self.organizations: dict[str, Json] = {}
        self._lock = threading.RLock()

    def create_organization(self, call: Mapping[str, object]) -> Json:
        name = _valid_name(call)
        made = {"id": str(uuid.uuid4()), "name": name, "title": "", "type": "organization", "state": "active"}
        with self._lock:
            self.organizations[str(made["id"])] = dict(made)
        return {**made}

    def create_package(self, call: Mapping[str, object]) -> Json:
        """A new dataset. A private one needs an organization, as in CKAN."""
        name = _valid_name(call)
        private = _as_bool(call.get("private"))
        if private and not call.get("owner_org"):
            raise ValidationError({"private": ["Datasets with no organization can't be private."]})
        now = timestamp()
        made: Json = {
            "id": str(uuid.uuid4()), "name": name, "title": call.get("title") or name, "notes": call.get("notes"),
            "private": private, "owner_org": call.get("owner_org"), "state": "active", "type": "dataset",
            "metadata_created": now, "metadata_modified": now,
        }  # fmt: skip
        with self._lock:
            if any(package["name"] == name for package in self.packages.values()):
                raise ValidationError({"name": ["That URL is already in use."]})
            self.packages[str(made["id"])] = made
        return self.show_package(str(made["id"]))

    def patch_package(self, call: Mapping[str, object]) -> Json:
        package = self.package(_required(call, "id"))
        with self._lock:
            package.update({key: value for key, value in call.items() if key not in ("id", "resources")})
            package["metadata_modified"] = timestamp()
        return self.show_package(str(package["id"]))

    def package(self, name: str) -> Json:
        """The dataset with that id or name, to be changed by this class only. Raises NotFound."""
        with self._lock:
            for package in self.packages.values():
                if name in (package["id"], package["name"]):
                    return package
        raise NotFound

    def show_package(self, name: str) -> Json:
        package = self.package(name)
        with self._lock:
            inside = [dict(res) for res in self.resources.values() if res["package_id"] == package["id"]]
        return {**package, "num_resources": len(inside), "resources": inside, "extras": [], "tags": [], "groups": []}

    def resource(self, resource_id: str) -> Json:
        """A copy of the resource, keys sorted as CKAN sorts them. Raises NotFound."""
        with self._lock:
            if resource_id not in self.resources:
                raise NotFound
            return dict(sorted(self.resources[resource_id].items()))

    def is_private(self, resource_id: str) -> bool:
        with self._lock:
            package = self.packages.get(str(self.resources.get(resource_id, {}).get("package_id")), {})
        return package.get("private") is True

    def create_resource(self, call: Mapping[str, object], upload: Upload | None = None) -> Json:
        package = self.package(_required(call, "package_id"))
        resource_id = str(call.get("id") or uuid.uuid4())
        made = {**_RESOURCE, "id": resource_id, "package_id": package["id"], "created": timestamp()}
        with self._lock:
            made["position"] = sum(res["package_id"] == package["id"] for res in self.resources.values())
            self.resources[resource_id] = made
        return self._change(resource_id, call, upload)

    def update_resource(self, call: Mapping[str, object], upload: Upload | None = None) -> Json:
        """Extra keys that are not sent again are lost; the columns in `_KEPT_BY_UPDATE` are not."""
        resource_id = self._existing(call)
        with self._lock:
            old = self.resources[resource_id]
            self.resources[resource_id] = {**_RESOURCE, **{key: old[key] for key in _KEPT_BY_UPDATE}}
        return self._change(resource_id, call, upload)

    def patch_resource(self, call: Mapping[str, object], upload: Upload | None = None) -> Json:
        return self._change(self._existing(call), call, upload)

    def delete_resource(self, call: Mapping[str, object]) -> None:
        with self._lock:
            self.resources.pop(self._existing(call), None)

    def _existing(self, call: Mapping[str, object]) -> str:
        resource_id = _required(call, "id")
        with self._lock:
            if resource_id not in self.resources:
                raise NotFound("Resource was not found.")
        return resource_id

    def _change(self, resource_id: str, call: Mapping[str, object], upload: Upload | None) -> Json:
        with self._lock:
            resource = self.resources[resource_id]
            resource.update({key: value for key, value in call.items() if key not in _NOT_FOR_CALLERS})
            resource["id"] = resource_id
            resource["metadata_modified"] = timestamp()
            if upload is not None:
                self._take_upload(resource, upload)
            self._settle(resource)
        return self.resource(resource_id)

    def _take_upload(self, resource: Json, upload: Upload) -> None:
        name = munged(upload.name)
        self.uploads[str(resource["id"])] = Upload(name, upload.data, upload.modified)
        resource.update(url=name, url_type="upload", size=len(upload.data), last_modified=timestamp(upload.modified))
        resource["mimetype"] = guess_type(name)[0]

    def _settle(self, resource: Json) -> None:
        """What CKAN derives: full URL, size as a number, format from the name and in its own spelling."""
        url = str(resource["url"] or "")
        if resource["url_type"] == "upload":
            name = url.rsplit("/", 1)[-1]
            url = _UPLOAD_URL.format(site=self.site_url, package=resource["package_id"], resource=resource["id"], name=name)
        elif resource["url_type"] == "datastore":
            url = f"{self.site_url}/datastore/dump/{resource['id']}"
        elif url and "://" not in url:
            url = f"http://{url}"
        resource["url"] = url
        resource["format"] = spelled(str(resource["format"] or "") or _extension(url))
        if isinstance(resource["size"], str) and resource["size"].isdigit():
            resource["size"] = int(resource["size"])
        resource["datastore_active"] = _as_bool(resource["datastore_active"])


def timestamp(moment: datetime | None = None) -> str:
    """UTC without a zone and always with microseconds, as CKAN writes its dates."""
    return (moment or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S.%f")


def munged(name: str) -> str:
    """A file's name as CKAN puts it into a URL: ASCII, lower case, dashes; letters it cannot fold are dropped."""
    stem, dot, extension = name.rpartition(".")
    plain = unicodedata.normalize("NFKD", stem or extension).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"[^a-z0-9_. -]", "", plain).replace(" ", "-")
    return re.sub(r"-+", "-", plain).strip("-") + (dot + extension.lower() if stem else "")


def spelled(format_name: str) -> str:
    """CKAN's own spelling of a format it knows, any other one as it is."""
    return next((known for known in _FORMATS if known.lower() == format_name.lower().lstrip(".")), format_name)


def _extension(url: str) -> str:
    last = url.split("?")[0].rsplit("/", 1)[-1]
    extension = last.rpartition(".")[2] if "." in last else ""
    return extension if spelled(extension) in _FORMATS and "/" in url.split("://", 1)[-1] else ""


def _required(call: Mapping[str, object], name: str) -> str:
    if not call.get(name):
        raise missing(name)
    return str(call[name])


def _valid_name(call: Mapping[str, object]) -> str:
    name = _required(call, "name")
    if not _NAME.fullmatch(name):
        message = "Must be purely lowercase alphanumeric (ascii) characters and these symbols: -_"
        raise ValidationError({"name": [message]})
    return name


def _as_bool(value: object) -> bool:
    return value is True or str(value).lower() in ("true", "yes", "t", "y", "1")
