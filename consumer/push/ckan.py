"""The only client of CKAN's action API. Each call has a connection of its own.

CKAN behind `uwsgi --http` closes each connection after one answer and does not say so: a pooled one is dead by the
next call, and nobody knows whether the call was done. So every request asks for `Connection: close`.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urljoin, urlsplit

import orjson
import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from consumer.push.address_guard import AddressGuard, AddressRefused
from consumer.push.api_key import token_header
from consumer.push.ckan_answers import NotCkan, NotFound, Refused, Unanswered, result_of
from consumer.push.ckan_table import existing_table, has_indexes, key_in_refusal
from consumer.push.guarded_adapter import GuardedAdapter
from consumer.push.load import Existing
from consumer.url_map import internal_url
from schemas.errors import JobError, Transient
from schemas.messages import Json
from schemas.settings import Settings, words

#: Waits for a resource that CKAN is still saving: it may not be there yet, or its file's URL not be complete.
RESOURCE_DELAYS_S = (0.5, 1.0, 2.0, 4.0)

Wait = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class CkanSettings:
    """Each field is named after its setting (`DATAPUSHER_…`)."""

    #: CKAN_TIMEOUT: seconds for connecting, and for the answer.
    timeout_s: float = 120.0
    #: SSL_VERIFY
    verify: bool | str = True
    #: USER_AGENT
    user_agent: str = "Data Pusher (+https://ckan.org)"
    #: CKAN_URL_MAP: `public=internal` pairs of base addresses (url_map.internal_url).
    url_map: str = ""
    #: ALLOWED_NETWORKS: needed only where clouds keep credentials; any other private network may have a CKAN.
    allowed_networks: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> "CkanSettings":
        return cls(
            timeout_s=settings.ckan_timeout,
            verify=settings.verify,
            user_agent=settings.user_agent,
            url_map=settings.ckan_url_map,
            allowed_networks=words(settings.allowed_networks),
        )


@dataclass(frozen=True, kw_only=True)
class Resource:
    """What a push needs to know of a resource (resource_show)."""

    id: str
    package_id: str
    url: str
    #: `upload` for uploaded files, `` for links, `datastore` … for tables without a file.
    url_type: str
    #: As the publisher typed it: `CSV`, `xlsx`, `text/csv`.
    format: str
    #: MD5 of the file that was loaded last, if we or XLoader left it there.
    hash: str
    contains_all_records: bool | None
    #: Whether the resource has a table, as far as the resource itself knows; None where it does not say.
    datastore_active: bool | None

    @classmethod
    def of(cls, shown: Mapping[str, Json]) -> "Resource":
        texts = {key: str(shown.get(key) or "") for key in ("id", "package_id", "url", "url_type", "format", "hash")}
        complete, active = (_flag(shown.get(f"datastore_{key}")) for key in ("contains_all_records_of_source_file", "active"))
        return cls(**texts, contains_all_records=complete, datastore_active=active)


class Ckan:
    """One CKAN, asked with one job's token. *url* as the job has it; a root path in it stays. Safe in several threads."""

    def __init__(self, url: str, api_key: str, settings: CkanSettings | None = None) -> None:
        self.url = url.rstrip("/")
        self._settings = settings or CkanSettings()
        #: Where CKAN is really asked: *url*, or what CKAN_URL_MAP has for it.
        self.internal_url = internal_url(self.url, self._settings.url_map)
        self._token = token_header(api_key)
        #: Whether CKAN has answered as CKAN does. What is no answer of CKAN's then, is a server's in front of it that gave up.
        self._known = False

    def resource(self, resource_id: str, wait: Wait = time.sleep) -> Resource:
        """resource_show, patiently: CKAN may tell of a resource before it is saved, or of an upload before its file is.

        An upload whose URL never becomes complete gets the address that CKAN serves its uploads under.
        """
        for delay_s in RESOURCE_DELAYS_S:
            try:
                resource = self._resource(resource_id)
                if resource.url_type != "upload" or urlsplit(resource.url).scheme:
                    return resource
            except (NotFound, NotCkan, Transient):
                pass
            wait(delay_s)
        return self._with_file_url(self._resource(resource_id))

    def table(self, resource_id: str) -> Existing | None:
        """The resource's table in the DataStore, None where it has none."""
        try:
            info = self._info(resource_id)
            if "fields" not in info:  # CKAN 2.9
                info = {**info, "fields": self._fields(resource_id)}
        except NotFound:
            return None
        return existing_table(resource_id, info, self._unique_key(resource_id) if has_indexes(info) else ())

    def count(self, resource_id: str) -> int:
        """Rows of the resource's table, counted now. Raises NotFound where there is none."""
        meta = self._info(resource_id).get("meta")
        return _number(meta, "count")

    def shown_count(self, resource_id: str) -> int:
        """Rows of the table as CKAN tells everybody. From 2.12 on it keeps the number until a call drops it, and asking
        makes it keep one: so never ask between two calls that write."""
        asked = {"resource_id": resource_id, "limit": 0, "fields": ["_id"]}  # all columns would be described, too
        return _number(self.call("datastore_search", asked), "total")

    def forget_count(self, resource_id: str) -> None:
        """Drops the kept number. CKAN does not do that itself where `calculate_record_count` is true (seen in 2.12)."""
        self._insert_nothing(resource_id, count=False)

    def count_anew(self, resource_id: str) -> None:
        """Has CKAN count the table's rows, as its last call with rows does usually."""
        self._insert_nothing(resource_id, count=True)

    def _insert_nothing(self, resource_id: str, *, count: bool) -> None:
        body = {"resource_id": resource_id, "force": True, "method": "insert", "calculate_record_count": count}
        self.call("datastore_upsert", body)

    def create_table(self, resource_id: str, body: Mapping[str, object]) -> None:
        """datastore_create; *body* has its other parameters."""
        self.call("datastore_create", {"resource_id": resource_id, "force": True, **body})

    def delete_table(self, resource_id: str) -> None:
        """The table with its dictionary, indexes and aliases; no error where there is none."""
        try:
            self.call("datastore_delete", {"resource_id": resource_id, "force": True, "calculate_record_count": False})
        except NotFound:
            pass

    def delete_rows(self, resource_id: str) -> None:
        """All rows; the table stays."""
        self.call("datastore_delete", {"resource_id": resource_id, "force": True, "filters": {}})

    def patch_resource(self, resource_id: str, changes: Mapping[str, Json]) -> None:
        """resource_patch of these keys only. Only while CKAN's task is pending: at any other time it submits again."""
        self.call("resource_patch", {"id": resource_id, **changes})

    def call(self, action: str, parameters: Mapping[str, object] | bytes) -> Json:
        """The result of one action; *parameters* may be JSON already.

        Raises: JobError (Refused, NotFound, TooLarge) for what will not work; Transient for what may work later, and
        as Unanswered where it may have been done.
        """
        body = parameters if isinstance(parameters, bytes) else orjson.dumps(parameters)
        url = f"{self.internal_url}/api/3/action/{action}"
        response = self._post(url, body)
        if response.is_redirect:
            response = self._post(self._secure(url, response), body)
        try:
            result = result_of(response, action, len(body))
        except NotCkan as error:
            if self._known:
                raise Unanswered(error.message) from error
            raise
        self._known = True
        return result

    def _post(self, url: str, body: bytes) -> requests.Response:
        settings = self._settings
        name, value = self._token
        headers = {
            "Content-Type": "application/json", "User-Agent": settings.user_agent, "Connection": "close", name: value,
        }  # fmt: skip
        try:
            with requests.Session() as session:
                # Proxies and passwords come from the settings alone, never from the environment or ~/.netrc.
                session.trust_env = False
                for scheme in ("http://", "https://"):
                    session.mount(scheme, GuardedAdapter(AddressGuard(settings.allowed_networks, (url,))))
                return session.post(
                    url, body, headers=headers, timeout=settings.timeout_s, verify=settings.verify, allow_redirects=False
                )
        except AddressRefused as error:
            raise JobError(
                f"CKAN cannot be at {self.internal_url}: its address is one where clouds keep credentials."
            ) from error
        except (requests.RequestException, OSError, UnicodeError) as error:
            raise self._unreachable(error) from error

    def _secure(self, url: str, response: requests.Response) -> str:
        """Where a redirect leads, if only from http to https: a POST must not become a GET, nor the token travel."""
        target = urljoin(url, response.headers["Location"])
        if target != url.replace("http://", "https://", 1) or target == url:
            shown = urlsplit(target)._replace(query="", fragment="").geturl()
            raise JobError(
                f"CKAN at {self.internal_url} redirects API calls to {shown}. Set ckan.site_url or"
                " ckan.datapusher.callback_url_base in CKAN to its final address."
            )
        self.internal_url = self.internal_url.replace("http://", "https://", 1)
        return target

    def _unreachable(self, error: Exception) -> JobError | Transient:
        where = self.internal_url
        if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
            return JobError(
                f"The TLS certificate of CKAN at {where} is not valid. It has to be put in order;"
                " DATAPUSHER_CA_BUNDLE names the authorities to trust, your own among them."
            )
        if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema | UnicodeError):
            return JobError(f"CKAN's address is not a web address: {where}")
        if isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.SSLError) or _never_connected(error):
            return Transient(f"CKAN at {where} cannot be reached.")
        if isinstance(error, requests.exceptions.Timeout):
            limit_s = self._settings.timeout_s
            return Unanswered(f"CKAN at {where} did not answer within {limit_s:g} seconds (DATAPUSHER_CKAN_TIMEOUT).")
        return Unanswered(f"CKAN at {where} broke off the connection.")

    def _resource(self, resource_id: str) -> Resource:
        shown = self.call("resource_show", {"id": resource_id})
        if not isinstance(shown, dict):
            raise JobError(f"CKAN at {self.internal_url} tells nothing about resource {resource_id}.")
        return Resource.of(shown)

    def _info(self, resource_id: str) -> Mapping[str, Json]:
        info = self.call("datastore_info", {"id": resource_id})
        return info if isinstance(info, dict) else {}

    def _fields(self, resource_id: str) -> Json:
        found = self.call("datastore_search", {"resource_id": resource_id, "limit": 0})
        return found.get("fields") if isinstance(found, dict) else None

    def _with_file_url(self, resource: Resource) -> Resource:
        if resource.url_type != "upload" or urlsplit(resource.url).scheme:
            return resource
        path = f"/dataset/{resource.package_id}/resource/{resource.id}/download/{resource.url.lstrip('/')}"
        return replace(resource, url=self.url + path)

    def _unique_key(self, resource_id: str) -> tuple[str, ...]:
        """The columns of the table's unique key. datastore_info does not tell them, but an upsert of nothing is refused
        by their names; `dry_run` makes sure that nothing happens."""
        body = {"resource_id": resource_id, "force": True, "method": "upsert", "dry_run": True, "records": [{}]}
        try:
            self.call("datastore_upsert", body)
        except Refused as refusal:
            return key_in_refusal(refusal.error)
        return ()


def _flag(value: Json) -> bool | None:
    return None if value is None else str(value).lower() == "true"


def _number(result: Json, key: str) -> int:
    number = result.get(key) if isinstance(result, dict) else None
    if not isinstance(number, int):
        raise Unanswered("CKAN did not say how many rows the table has.")
    return number


def _never_connected(error: Exception) -> bool:
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)
