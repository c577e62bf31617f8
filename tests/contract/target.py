"""The CKAN under test, called the way a loader calls it: POST, JSON, a bare token, one connection a call."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests

Fields = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Target:
    """A CKAN by URL and token. No connection is pooled: uwsgi closes them without telling."""

    url: str
    token: str

    def post(
        self, action: str, params: Mapping[str, object] | None = None, *, token: str | None = None, **how: Any
    ) -> requests.Response:
        """The bare HTTP answer. *token* "" = nobody."""
        authorization = self.token if token is None else token
        headers = {"Authorization": authorization} if authorization else {}
        body = {"data": params} if "files" in how else {"json": dict(params or {})}
        return requests.post(f"{self.url}/api/3/action/{action}", headers=headers, timeout=60, **body, **how)

    def call(self, action: str, **params: object) -> Any:
        """The result; any refusal fails the test."""
        answer = self.post(action, params)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    def refused(self, action: str, **params: object) -> tuple[int, dict[str, Any]]:
        """The status and the `error` object of a call that must not succeed."""
        answer = self.post(action, params)
        told = answer.json()
        assert told["success"] is False, answer.text
        return answer.status_code, told["error"]

    def dataset(self, *, private: bool = False) -> str:
        params: dict[str, object] = {"name": f"contract-{uuid.uuid4().hex[:12]}", "private": private}
        if private:
            params["owner_org"] = self.call("organization_create", name=f"contract-{uuid.uuid4().hex[:12]}")["id"]
        return str(self.call("package_create", **params)["id"])

    def resource(self, **more: object) -> str:
        """A linked resource of a format that DataPusher is not asked about; its id."""
        params = {"package_id": self.dataset(), "url": "http://files.invalid/x", "format": "TXT", **more}
        return str(self.call("resource_create", **params)["id"])

    def upload(self, name: str, data: bytes, *, private: bool = False, format: str = "TXT") -> dict[str, Any]:
        params = {"package_id": self.dataset(private=private), "format": format}
        answer = self.post("resource_create", params, files={"upload": (name, data)})
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["result"])

    def table(self, fields: Fields, records: Sequence[Mapping[str, object]] = (), **more: object) -> str:
        """A resource with a table of these (name, type) columns; its id."""
        resource_id = self.resource()
        self.create(resource_id, fields, records=list(records), **more)
        return resource_id

    def create(self, resource_id: str, fields: Fields, **more: object) -> Any:
        described = [{"id": name, "type": kind} for name, kind in fields]
        return self.call("datastore_create", resource_id=resource_id, force=True, fields=described, **more)

    def insert(self, resource_id: str, records: object, **more: object) -> requests.Response:
        params = {"resource_id": resource_id, "force": True, "method": "insert", "calculate_record_count": False}
        return self.post("datastore_upsert", {**params, "records": records, **more})

    def rows(self, resource_id: str, **more: object) -> list[dict[str, Any]]:
        return list(self.call("datastore_search", resource_id=resource_id, **more)["records"])

    def columns(self, resource_id: str) -> list[tuple[str, str]]:
        fields = self.call("datastore_search", resource_id=resource_id, limit=0)["fields"]
        return [(field["id"], field["type"]) for field in fields]

    def task(self, resource_id: str) -> dict[str, Any]:
        """The datapusher plugin's task_status row."""
        key = {"entity_id": resource_id, "task_type": "datapusher", "key": "datapusher"}
        return dict(self.call("task_status_show", **key))

    def hook(self, resource_id: str, status: str, /, **metadata: object) -> requests.Response:
        return self.post("datapusher_hook", {"status": status, "metadata": {"resource_id": resource_id, **metadata}})
