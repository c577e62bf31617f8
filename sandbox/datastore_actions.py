"""The datastore_* actions: check the parameters, check the caller, do it, say it as CKAN does.

The order of the checks is CKAN's: parameters, then rights, then whether the thing exists in the DataStore.
"""

from collections.abc import Mapping

from sandbox.call import Call, Site
from sandbox.catalog import Json, timestamp
from sandbox.datastore import list_of_dicts, names_in
from sandbox.refusals import ValidationError
from sandbox.search import Query
from sandbox.tables import Column, Table, check_field_names

ROWS_DEFAULT = 100  # ckan.datastore.search.rows_default
ROWS_MAX = 32_000  # ckan.datastore.search.rows_max
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


class DatastoreActions:
    """datastore_create and its kin on one site; the method's name is the action's without `datastore_`."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def create(self, call: Call) -> Json:
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

    def upsert(self, call: Call) -> Json:
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

    def delete(self, call: Call) -> Json:
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
        self._site.plugin.resource_changed(self._site.catalog.patch_resource(patch))

    def _count(self, table: Table, counting: bool | str) -> None:
        """CKAN's stored row count. SEEN in 2.12: `true` counts only when no count is stored; the others drop it.

        A background job that counts again needs a `ckan jobs worker`; the sandbox has none, as most sites have not.
        """
        if counting is not True:
            table.cached_count = None
        elif table.cached_count is None:
            table.cached_count = self._site.datastore.count(table)

    def search(self, call: Call) -> Json:
        name = call.resource_id()
        query, echoed = _query(call)
        table = self._readable(call, name, "Resource")
        page = self._site.datastore.search(table, query)
        answer: Json = {**echoed, "resource_id": table.resource_id, "records": page.records}
        answer["fields"] = [_field(column, "json") for column in page.columns]
        return answer if page.total is None else {**answer, "total": page.total}

    def info(self, call: Call) -> Json:
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
