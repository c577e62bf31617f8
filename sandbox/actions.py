"""CKAN's action API: which actions there are, and those about datasets, resources and DataPusher.

Each checks the parameters, then the caller's rights, does it, and says it as CKAN does.
"""

from collections.abc import Callable, Mapping

from sandbox.call import Action, Call, Site
from sandbox.catalog import Json, Upload
from sandbox.datastore_actions import DatastoreActions
from sandbox.refusals import NotFound, missing

CKAN_VERSION = "2.12.0"


class Actions:
    """The action table. `reads` may be called with GET as well."""

    def __init__(self, site: Site) -> None:
        self._site = site
        datastore = DatastoreActions(site)
        self.reads: dict[str, Action] = {
            "status_show": self._status_show,
            "user_show": self._user_show,
            "package_show": self._package_show,
            "resource_show": self._resource_show,
            "task_status_show": self._task_status_show,
            "datastore_search": datastore.search,
            "datastore_info": datastore.info,
        }
        self.writes: dict[str, Action] = {
            "organization_create": self._organization_create,
            "package_create": self._package_create,
            "package_patch": self._package_patch,
            "resource_create": self._resource_create,
            "resource_update": self._resource_update,
            "resource_patch": self._resource_patch,
            "resource_delete": self._resource_delete,
            "task_status_update": self._task_status_update,
            "datastore_create": datastore.create,
            "datastore_upsert": datastore.upsert,
            "datastore_delete": datastore.delete,
            "datapusher_submit": self._datapusher_submit,
            "datapusher_hook": self._datapusher_hook,
            "datapusher_status": self._datapusher_status,
        }

    # The catalogue

    def _status_show(self, call: Call) -> Json:
        return {
            "site_title": "CKAN sandbox", "site_description": "", "site_url": self._site.catalog.site_url,
            "error_emails_to": "", "locale_default": "en", "extensions": ["datastore", "datapusher"],
            "ckan_version": CKAN_VERSION,
        }  # fmt: skip

    def _user_show(self, call: Call) -> Json:
        """Without an id: who the token belongs to; nobody, for the anonymous caller."""
        if not call.caller.authorized and not call.params.get("id"):
            raise NotFound
        return {"id": "sandbox-user", "name": "sandbox", "display_name": "sandbox", "sysadmin": True, "state": "active"}

    def _organization_create(self, call: Call) -> Json:
        call.needed("name")
        call.may("create organizations")
        return self._site.catalog.create_organization(call.params)

    def _package_create(self, call: Call) -> Json:
        call.may("create packages")
        return self._site.catalog.create_package(call.params)

    def _package_patch(self, call: Call) -> Json:
        package = self._site.catalog.package(call.needed("id"))
        call.may(f"edit package {package['id']}")
        return self._site.catalog.patch_package(call.params)

    def _package_show(self, call: Call) -> Json:
        package = self._site.catalog.show_package(call.needed("id"))
        if package["private"]:
            call.may(f"read package {package['id']}")
        return package

    def _resource_show(self, call: Call) -> Json:
        resource = self._site.catalog.resource(call.needed("id"))
        if self._site.catalog.is_private(str(resource["id"])):
            call.may(f"read resource {resource['id']}")
        return resource

    def _resource_create(self, call: Call) -> Json:
        package = self._site.catalog.package(call.needed("package_id"))
        call.may(f"create resources on dataset {package['id']}")
        resource = self._site.catalog.create_resource(call.params, call.upload)
        self._site.plugin.resource_changed(resource)
        return resource

    def _resource_update(self, call: Call) -> Json:
        return self._changed(call, self._site.catalog.update_resource)

    def _resource_patch(self, call: Call) -> Json:
        return self._changed(call, self._site.catalog.patch_resource)

    def _changed(self, call: Call, change: Callable[[Mapping[str, object], Upload | None], Json]) -> Json:
        resource_id = call.needed("id")
        if resource_id in self._site.catalog.resources:
            call.may(f"edit resource {resource_id}")
        resource = change(call.params, call.upload)
        self._site.plugin.resource_changed(resource)
        return resource

    def _resource_delete(self, call: Call) -> None:
        call.may(f"delete resource {call.needed('id')}")
        self._site.catalog.delete_resource(call.params)

    # DataPusher

    def _task_status_show(self, call: Call) -> Json:
        if call.params.get("id"):
            return self._site.tasks.show_by_id(str(call.params["id"]))
        entity = call.needed("entity_id")
        return self._site.tasks.show(entity, call.needed("task_type"), call.needed("key"))

    def _task_status_update(self, call: Call) -> Json:
        call.may("update task_status table")
        return self._site.tasks.update(call.params)

    def _datapusher_submit(self, call: Call) -> bool:
        resource_id = call.resource_id()
        if resource_id not in self._site.catalog.resources:
            return False
        call.may(f"perform resource_update on resource {resource_id}")
        return self._site.plugin.submit(
            resource_id, set_url_type=call.flag("set_url_type"), ignore_hash=call.flag("ignore_hash")
        )

    def _datapusher_hook(self, call: Call) -> None:
        absent = [name for name in ("metadata", "status") if not call.params.get(name)]
        if absent:
            raise missing(*absent)
        metadata = call.params["metadata"]
        if not isinstance(metadata, dict) or not metadata.get("resource_id"):
            raise missing("resource_id")
        resource_id = str(metadata["resource_id"])
        self._site.catalog.resource(resource_id)
        call.may(f"perform resource_update on resource {resource_id}")
        self._site.plugin.hook(call.params)

    def _datapusher_status(self, call: Call) -> Json:
        resource_id = call.resource_id()
        self._site.catalog.resource(resource_id)
        call.may(f"perform resource_update on resource {resource_id}")
        return self._site.plugin.status(resource_id)
