"""CKAN's `datapusher` plugin: when it submits a job, what it keeps of it, and what the callback makes it do."""

import json
import logging
import threading
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urljoin

import requests

from sandbox.catalog import Catalog, Json
from sandbox.refusals import NotFound, ValidationError, missing

logger = logging.getLogger(__name__)

#: ckan.requests.timeout: CKAN waits no longer for POST /job and GET /job/<id>.
TIMEOUT_S = 5.0
#: ckan.datapusher.assume_task_stale_after; only an explicit datapusher_submit looks at it.
STALE_AFTER_S = 3600
#: ckan.datapusher.formats
FORMATS = (
    "csv", "xls", "xlsx", "tsv", "ods", "application/csv", "application/vnd.ms-excel",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.oasis.opendocument.spreadsheet",
)  # fmt: skip
_HEADERS = {"Content-Type": "application/json"}
_LOG_TIME = "%Y-%m-%dT%H:%M:%S.%f"


class Tasks:
    """The task_status table: one row per (entity, task type, key)."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str, str], Json] = {}
        self._lock = threading.Lock()

    def show(self, entity_id: str, task_type: str = "datapusher", key: str = "datapusher") -> Json:
        with self._lock:
            row = self._rows.get((entity_id, task_type, key))
            if row is None:
                raise NotFound
            return dict(row)

    def show_by_id(self, task_id: str) -> Json:
        with self._lock:
            for row in self._rows.values():
                if row["id"] == task_id:
                    return dict(row)
        raise NotFound

    def update(self, row: Mapping[str, object]) -> Json:
        absent = [name for name in ("entity_id", "entity_type", "key", "task_type") if not row.get(name)]
        if absent:
            raise missing(*absent)
        place = (str(row["entity_id"]), str(row["task_type"]), str(row["key"]))
        with self._lock:
            old = self._rows.get(place, {"id": str(uuid.uuid4()), "state": None, "value": None, "error": None})
            new = {**old, **row}
            new["last_updated"] = str(row.get("last_updated") or now()).replace(" ", "T")
            self._rows[place] = new
            return dict(new)


class DatapusherPlugin:
    """The plugin, pointed at *url* (ends in `/`; None = no service).

    Without a service nothing is sent: the task just becomes `pending`, as if the job had been taken, and the body that
    would have been posted is in `submissions` all the same.
    """

    def __init__(self, catalog: Catalog, tasks: Tasks, api_token: str, url: str | None, callback_base: str) -> None:
        self.url = url
        self.timeout_s = TIMEOUT_S
        self.submissions: list[Json] = []
        #: Bodies of datapusher_hook calls that were accepted, oldest first.
        self.hooks: list[Json] = []
        self._catalog = catalog
        self._tasks = tasks
        self._api_token = api_token
        self._callback_base = callback_base.rstrip("/")

    def resource_changed(self, resource: Mapping[str, object]) -> None:
        """CKAN's hook after each create, update and patch: submit, unless a job is under way or the format is no table."""
        if str(resource.get("format") or "").lower() not in FORMATS or resource.get("url_type") == "datapusher":
            return
        resource_id = str(resource["id"])
        if self._state_of(resource_id) in ("pending", "submitting"):
            return
        try:
            self.submit(resource_id)
        except ValidationError as refusal:
            logger.info("Submitting resource %s failed: %s", resource_id, refusal.error)

    def submit(self, resource_id: str, *, set_url_type: bool = False, ignore_hash: bool = False) -> bool:
        """datapusher_submit: False when a fresh job is pending. Raises ValidationError when the service refuses it.

        An answer CKAN cannot read (no job_id, `error` not a string, a time-out) rises as whatever Python raises, which
        is a 500 in CKAN, and leaves the task in `submitting`.
        """
        if self._is_fresh(resource_id):
            return False
        task: Json = {
            "entity_id": resource_id, "entity_type": "resource", "task_type": "datapusher", "key": "datapusher",
            "state": "submitting", "value": "{}", "error": "{}", "last_updated": now(),
        }  # fmt: skip
        self._tasks.update(task)
        job = self.job_for(resource_id, str(task["last_updated"]), set_url_type=set_url_type, ignore_hash=ignore_hash)
        self.submissions.append(job)
        value = self._post(task, job) if self.url else {}
        self._tasks.update({**task, "value": json.dumps(value), "state": "pending", "last_updated": now()})
        return True

    def job_for(self, resource_id: str, task_created: str, *, set_url_type: bool = False, ignore_hash: bool = False) -> Json:
        """The body of POST /job."""
        return {
            "api_key": self._api_token,
            "job_type": "push_to_datastore",
            "result_url": f"{self._callback_base}/api/3/action/datapusher_hook",
            "metadata": {
                "ignore_hash": ignore_hash,
                "ckan_url": self._callback_base,
                "resource_id": resource_id,
                "set_url_type": set_url_type,
                "task_created": task_created,
                "original_url": self._catalog.resource(resource_id)["url"],
            },
        }

    def hook(self, call: Mapping[str, object]) -> None:
        """datapusher_hook: keeps the status; on `complete`, submits again what has changed since."""
        metadata = call["metadata"] if isinstance(call["metadata"], dict) else {}
        resource_id = str(metadata["resource_id"])
        task = self._tasks.show(resource_id)
        again = call["status"] == "complete" and self._has_changed(resource_id, metadata)
        self.hooks.append(dict(call))
        self._tasks.update({**task, "state": call["status"], "last_updated": now()})
        if again:
            self.submit(resource_id)

    def status(self, resource_id: str) -> Json:
        """datapusher_status. Log entries CKAN cannot read rise as ValueError, TypeError or KeyError: a 500."""
        task = self._tasks.show(resource_id)
        kept = json.loads(str(task["value"]))
        job_id = kept.get("job_id")
        url = urljoin(self.url, f"job/{job_id}") if job_id and self.url else None
        return {
            "status": task["state"], "job_id": job_id, "job_url": url, "last_updated": task["last_updated"],
            "job_key": kept.get("job_key"), "error": json.loads(str(task["error"])),
            "task_info": self._job_detail(url, kept.get("job_key")) if url else None,
        }  # fmt: skip

    def _state_of(self, resource_id: str) -> object:
        try:
            return self._tasks.show(resource_id)["state"]
        except NotFound:
            return None

    def _is_fresh(self, resource_id: str) -> bool:
        """Whether a pending job is young enough to be believed."""
        if self._state_of(resource_id) != "pending":
            return False
        updated = datetime.fromisoformat(str(self._tasks.show(resource_id)["last_updated"]))
        return datetime.now(UTC).replace(tzinfo=None) - updated <= timedelta(seconds=STALE_AFTER_S)

    def _post(self, task: Json, job: Json) -> dict[str, object]:
        """POST /job as CKAN does it; returns what CKAN keeps of the answer."""
        target = urljoin(str(self.url), "job")
        try:
            answer = requests.post(target, headers=_HEADERS, timeout=self.timeout_s, data=json.dumps(job))
        except requests.ConnectionError as error:
            self._fail(task, {"message": "Could not connect to DataPusher.", "details": str(error)})
        try:
            answer.raise_for_status()
        except requests.HTTPError as error:
            self._fail(task, _refusal(answer, f"An Error occurred while sending the job: {error}"))
        told = answer.json()
        return {"job_id": told["job_id"], "job_key": told["job_key"]}

    def _fail(self, task: Json, error: Json) -> None:
        self._tasks.update({**task, "state": "error", "error": json.dumps(error), "last_updated": now()})
        raise ValidationError(error)

    def _has_changed(self, resource_id: str, metadata: Mapping[str, object]) -> bool:
        resource = self._catalog.resource(resource_id)
        if resource["last_modified"] and metadata.get("task_created"):
            try:
                created = datetime.fromisoformat(str(metadata["task_created"]))
            except ValueError:
                return False
            # an offset in task_created ends in a TypeError here, as in CKAN
            return datetime.fromisoformat(str(resource["last_modified"])) > created
        original = metadata.get("original_url")
        return bool(resource["url"] and original and resource["url"] != original)

    def _job_detail(self, url: str, job_key: str | None) -> Json:
        headers = {**_HEADERS, "Authorization": job_key or ""}
        try:
            answer = requests.get(url, timeout=self.timeout_s, headers=headers)
            answer.raise_for_status()
            detail: Json = answer.json()
        except (requests.ConnectionError, requests.HTTPError):
            return {"error": "cannot connect to datapusher"}
        for entry in _log_entries(detail):
            if "timestamp" in entry:
                moment = time.mktime(time.strptime(entry["timestamp"], _LOG_TIME))
                entry["timestamp"] = datetime.fromtimestamp(moment, UTC).replace(tzinfo=None).isoformat()
        return detail


def now() -> str:
    """As the plugin writes it: naive UTC, a space, always six digits."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _log_entries(detail: Json) -> list[dict[str, str]]:
    logs = detail["logs"]
    if not isinstance(logs, list):
        raise TypeError(f"logs is not a list but {type(logs).__name__}")
    return logs


def _refusal(answer: requests.Response, message: str) -> Json:
    """What CKAN tells about a refused job. An `error` that is not a string breaks CKAN: TypeError here too."""
    try:
        body = answer.json()
    except ValueError:
        body = answer.text
    else:
        if body.get("error"):
            message += " " + body["error"]
    return {"message": message, "details": body, "status_code": answer.status_code}
