"""CKAN's action API, action by action: check the parameters, check the caller, do it, say it as CKAN does.

The order of the checks is CKAN's: parameters, then rights, then whether the thing exists in the DataStore.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sandbox.catalog import Catalog, Json, Upload, timestamp
from sandbox.datastore import Datastore, list_of_dicts, names_in
from sandbox.refusals import NotAuthorized, NotFound, ValidationError, missing
from sandbox.search import Query
from sandbox.tables import Column, Table, check_field_names
from sandbox.tasks import DatapusherPlugin, Tasks

ROWS_DEFAULT = 100  # ckan.datastore.search.rows_default
ROWS_MAX = 32_000  # ckan.datastore.search.rows_max
CKAN_VERSION = "2.12.0"
_READ_ONLY = (
    "Cannot edit read-only resource because changes made may be lost. Use a resource created for editing e.g. with"
    ' datastore_create or use "force=True" to ignore this warning.'
)
_RW_URL_TYPES = ("datastore",)
_METHODS = ("upsert", "insert", "update")
_CREATE_KEYS = ("resource_id", "fields", "primary_key", "indexes", "aliases", "triggers")
_SEARCH_KEYS = (
    "resource_id", "id", "q", "plain", "filters", "language", "limit", "offset", "fields", "sort", "distinct",
    "include_total", "total_estimation_threshold", "records_format", "include_next_page", "full_text",
)  # fmt: skip


@dataclass(frozen=True)
class Caller:
    """Who calls. There is one user, who may do anything, and the anonymous one, who may read what is public."""

    authorized: bool


@dataclass(frozen=True)
class Call:
    """The parameters of one call; *upload* is the file of a multipart request."""

    caller: Caller
    params: Mapping[str, object]
    upload: Upload | None = None

    def needed(self, name: str) -> str:
        """A parameter that must be there. Raises ValidationError."""
        value = self.params.get(name)
        if value is None or value == "":
            raise missing(name)
        return str(value)

    def resource_id(self) -> str:
        """`resource_id`, or `id` in its place."""
        value = self.params.get("resource_id") or self.params.get("id")
        if not value:
            raise missing("resource_id")
        return str(value)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.params.get(name, default)
        return value is True or str(value).lower() in ("true", "yes", "t", "y", "1")

    def may(self, what: str) -> None:
        """Raises NotAuthorized unless the caller is the user; *what* is CKAN's wording of the right."""
        if not self.caller.authorized:
            raise NotAuthorized(what)


Action = Callable[[Call], object]


@dataclass(frozen=True)
class Site:
    """The parts of one CKAN."""

    catalog: Catalog
    datastore: Datastore
    tasks: Tasks
    plugin: DatapusherPlugin


class Actions:
    """The action table. `reads` may be called with GET as well."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.reads: dict[str, Action] = {
            "status_show": self._status_show,
            "user_show": self._user_show,
            "package_show": self._package_show,
            "resource_show": self._resource_show,
            "task_status_show": self._task_status_show,
            "datastore_search": self._datastore_search,
            "datastore_info": self._datastore_info,
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
            "datastore_create": self._datastore_create,
            "datastore_upsert": self._datastore_upsert,
            "datastore_delete": self._datastore_delete,
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

    # The DataStore

    def _datastore_create(self, call: Call) -> Json:
        check_field_names(list_of_dicts(call.params.get("fields")))
        params = self._with_resource(call)
        resource = self._writable(Call(call.caller, params))
        resource_id, records = str(resource["id"]), params.get("records")
        counting = _counting(params)
        self._site.datastore.create(resource_id, params)
        self._count(self._site.datastore.find(resource_id), counting if records else False)
        self._mark_active(resource, True)
        answer = {name: params[name] for name in _CREATE_KEYS if name in params}
        return {**answer, "calculate_record_count": counting, "delete_fields": call.flag("delete_fields"), "method": "insert"}

    def _with_resource(self, call: Call) -> Mapping[str, object]:
        """The parameters with `resource_id`; makes the resource where `resource` was given instead."""
        params = call.params
        if "resource" in params and "resource_id" in params:
            raise ValidationError({"resource": ["resource cannot be used with resource_id"]})
        if not isinstance(params.get("resource"), dict):
            resource_id = params.get("resource_id") or params.get("id")
            if not resource_id:
                raise ValidationError({"resource_id": ["resource_id or resource required"]})
            if resource_id not in self._site.catalog.resources:
                raise ValidationError({"resource_id": [f"Resource not found: {resource_id}"]})
            return {**params, "resource_id": resource_id}
        call.may("create resources")
        wanted = {**dict(params["resource"]), "url_type": "datastore", "last_modified": timestamp()}  # type: ignore[call-overload]
        made = self._site.catalog.create_resource(wanted)
        return {**{key: value for key, value in params.items() if key != "resource"}, "resource_id": made["id"]}

    def _datastore_upsert(self, call: Call) -> Json:
        resource = self._writable(call)
        method = call.params.get("method")
        if method is not None and method not in _METHODS:
            raise ValidationError({"method": [f"Value must be one of {list(_METHODS)}"]})
        table = self._site.datastore.find(str(resource["id"]))
        counting = _counting(call.params)
        rows = self._site.datastore.upsert(table, call.params)
        self._count(table, counting)
        echoed = {name: call.params[name] for name in ("method", "dry_run") if name in call.params}
        answer: Json = {**echoed, "calculate_record_count": counting, "resource_id": resource["id"]}
        return answer if rows is None else {**answer, "records": rows}

    def _datastore_delete(self, call: Call) -> Json:
        filters = call.params.get("filters")
        if filters is not None and not isinstance(filters, dict):
            raise ValidationError({"filters": ["filters must be either a dict or null."]})
        resource = self._writable(call)
        table = self._site.datastore.find(str(resource["id"]))
        self._site.datastore.delete(table, filters)
        self._count(table, _counting(call.params))
        if filters is None:
            self._mark_active(resource, False)
        return {"resource_id": resource["id"]} | ({} if filters is None else {"filters": filters})

    def _writable(self, call: Call) -> Json:
        """The resource, when the caller may write its table. Raises the refusal otherwise."""
        resource_id = call.resource_id()
        resource = self._site.catalog.resource(resource_id)
        call.may(f"perform resource_update on resource {resource_id}")
        if not call.flag("force") and resource["url_type"] not in _RW_URL_TYPES:
            raise ValidationError({"read-only": [_READ_ONLY]})
        return resource

    def _mark_active(self, resource: Json, active: bool) -> None:
        """Through resource_patch, whose hook may submit the resource again: SEEN in CKAN 2.12."""
        resource_id = str(resource["id"])
        if self._site.catalog.resource(resource_id)["datastore_active"] == active:
            return
        patch: Json = {"id": resource_id, "datastore_active": active}
        if resource["url_type"] in _RW_URL_TYPES:
            patch["last_modified"] = timestamp()
        self._resource_patch(Call(Caller(authorized=True), patch))

    def _count(self, table: Table, counting: bool | str) -> None:
        """CKAN's stored row count. SEEN in 2.12: `true` counts only when no count is stored; the others drop it.

        A background job that counts again needs a `ckan jobs worker`; the sandbox has none, as most sites have not.
        """
        if counting is not True:
            table.cached_count = None
        elif table.cached_count is None:
            table.cached_count = self._site.datastore.count(table)

    def _datastore_search(self, call: Call) -> Json:
        name = call.resource_id()
        query, echoed = _query(call)
        table = self._readable(call, name, "Resource")
        page = self._site.datastore.search(table, query)
        answer: Json = {**echoed, "resource_id": table.resource_id, "records": page.records}
        answer["fields"] = [_field(column, "json") for column in page.columns]
        return answer if page.total is None else {**answer, "total": page.total}

    def _datastore_info(self, call: Call) -> Json:
        table = self._readable(call, call.resource_id(), "Resource/Alias")
        with_schema = call.flag("include_fields_schema", True)
        fields = [{**_field(column), **(_schema(table, column) if with_schema else {})} for column in table.columns]
        return {"fields": fields} | ({"meta": self._meta(table)} if call.flag("include_meta", True) else {})

    def _meta(self, table: Table) -> Json:
        return {
            "id": table.resource_id, "count": self._site.datastore.count(table), "table_type": "BASE TABLE",
            "aliases": list(table.aliases), "size": 0, "idx_size": 0, "db_size": 0,
        }  # fmt: skip

    def _readable(self, call: Call, name: str, kind: str) -> Table:
        table = self._site.datastore.find(name, kind)
        if self._site.catalog.is_private(table.resource_id):
            call.may(f"perform resource_show on resource {table.resource_id}")
        return table


def _counting(params: Mapping[str, object]) -> bool | str:
    value = params.get("calculate_record_count", "background")
    return "background" if value == "background" else value is True or str(value).lower() in ("true", "yes", "t", "1")


def _query(call: Call) -> tuple[Query, Json]:
    """The query, and the parameters CKAN echoes in its answer."""
    unknown = [name for name in call.params if name not in _SEARCH_KEYS]
    if unknown:
        raise ValidationError({"__extras": [f'invalid value "{unknown[0]}"']})
    if call.params.get("q") or call.params.get("full_text"):
        raise ValidationError({"q": ["the sandbox has no full-text search"]})
    filters = call.params.get("filters") or {}
    if not isinstance(filters, dict):
        raise ValidationError({"filters": ["Cannot parse JSON"]})
    query = Query(
        filters=filters,
        fields=names_in(call.params["fields"]) if call.params.get("fields") else None,
        sort=names_in(call.params.get("sort")),
        limit=min(_whole(call, "limit", ROWS_DEFAULT), ROWS_MAX),
        offset=_whole(call, "offset", 0),
        distinct=call.flag("distinct"),
        records_format=str(call.params.get("records_format") or "objects"),
        include_total=call.flag("include_total", True),
    )
    echoed = {name: value for name, value in call.params.items() if name in ("filters", "sort", "offset")}
    known = {"limit": query.limit, "records_format": query.records_format, "include_total": query.include_total}
    return query, {**echoed, "include_next_page": False, **known}


def _whole(call: Call, name: str, default: int) -> int:
    try:
        number = int(str(call.params.get(name, default)))
    except ValueError:
        raise ValidationError({name: ["Invalid integer", "Please enter an integer value"]}) from None
    if number < 0:
        raise ValidationError({name: ["Must be a natural number"]})
    return number


def _field(column: Column, nested: str = "nested") -> Json:
    """A column as CKAN lists it; datastore_search calls a nested one `json`, datastore_info does not."""
    short = nested if column.type.short == "nested" else column.type.short
    return {"id": column.name, "type": short} | ({} if column.info is None else {"info": column.info})


def _schema(table: Table, column: Column) -> Json:
    index = next((names for names in (*table.indexes, table.primary_key) if column.name in names), None)
    return {
        "schema": {
            "native_type": column.type.native,
            "notnull": False,
            "index_name": index and table.index_name(index),
            "is_index": index is not None,
            "uniquekey": False,
        }
    }
