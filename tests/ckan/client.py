"""The real CKAN as a publisher uses it: files linked and uploaded, pages looked at, tables read."""

import html
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests

from tests.contract.target import Target

LIMIT_S = 120.0


@dataclass(frozen=True)
class RealCkan(Target):
    """All that Target does, and what happens to a resource once the datapusher plugin has submitted it."""

    def link(self, url: str, format: str = "CSV", **more: object) -> str:
        """A new resource for a file elsewhere; its id."""
        return self.resource(url=url, format=format, **more)

    def put(self, name: str, data: bytes, format: str = "CSV", *, private: bool = False) -> str:
        """A new resource with an uploaded file; its id."""
        return str(self.upload(name, data, format=format, private=private)["id"])

    def put_again(self, resource_id: str, name: str, data: bytes) -> None:
        """Another file in its place."""
        answer = self.post("resource_patch", {"id": resource_id}, files={"upload": (name, data)})
        assert answer.status_code == 200, answer.text

    def pushed(self, resource_id: str, state: str = "complete", limit_s: float = LIMIT_S) -> dict[str, Any]:
        """`datapusher_status` once the plugin's task has ended, which must be in *state*."""
        self.until(lambda: self.task(resource_id)["state"] not in ("pending", "submitting"), "the task ends", limit_s)
        status = dict(self.call("datapusher_status", resource_id=resource_id))
        assert status["status"] == state, status
        return status

    def until(self, holds: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> None:
        """Asks seldom: CKAN has two processes, and work to do."""
        deadline = time.monotonic() + limit_s
        while not holds():
            assert time.monotonic() < deadline, f"after {limit_s:g} s not true: {what}"
            time.sleep(0.2)

    def page(self, path: str) -> str:
        """The text that a page shows to the administrator, without its tags and surplus space."""
        answer = requests.get(self.url + path, headers={"Authorization": self.token}, timeout=60)
        assert answer.status_code == 200, f"{path}: {answer.status_code}"
        body = re.sub(r"(?s)<(script|style)\b.*?</\1>", " ", answer.text)
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())

    def log_page(self, resource_id: str) -> str:
        """The page "DataStore" of a resource: state, error and upload log."""
        dataset = self.call("resource_show", id=resource_id)["package_id"]
        return self.page(f"/dataset/{dataset}/resource_data/{resource_id}")

    def views(self, resource_id: str) -> list[str]:
        """The kinds of the resource's views."""
        return sorted(view["view_type"] for view in self.call("resource_view_list", id=resource_id))

    def search(self, resource_id: str, *, token: str = "", **more: Any) -> requests.Response:
        """datastore_search by nobody in particular: CKAN's read-only role answers."""
        return self.post("datastore_search", {"resource_id": resource_id, **more}, token=token)

    def total(self, resource_id: str, **more: Any) -> int:
        answer = self.search(resource_id, limit=0, **more)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["result"]["total"])

    def values(self, resource_id: str) -> list[list[Any]]:
        """The rows as everybody sees them, in the table's order, `_id` first."""
        answer = self.search(resource_id, records_format="lists", limit=1000)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["result"]["records"])

    def has_table(self, resource_id: str) -> bool:
        return self.search(resource_id, limit=0).status_code == 200

    def describe(self, resource_id: str, infos: Mapping[str, Mapping[str, object]]) -> None:
        """The data dictionary as its page saves it: all fields, those of *infos* with something to say."""
        fields = [
            {"id": name, "type": kind, **({"info": dict(infos[name])} if name in infos else {})}
            for name, kind in self.columns(resource_id)
            if name != "_id"
        ]
        self.call("datastore_create", resource_id=resource_id, force=True, fields=fields)

    def infos(self, resource_id: str) -> dict[str, dict[str, Any]]:
        """What the data dictionary has to say, by column."""
        fields = self.call("datastore_info", resource_id=resource_id)["fields"]
        return {field["id"]: field["info"] for field in fields if field.get("info")}
