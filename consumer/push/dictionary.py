"""What a table's columns become in the DataStore: types, the data dictionary that is kept, and how a file has drifted."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from consumer.push.load import Drift, Existing, Field, Target
from consumer.push.options import ForcedType, Override
from consumer.push.profile import Profile
from consumer.push.table import Column
from schemas.errors import JobError
from schemas.messages import Json

#: Spellings of one type: as people write it, as pg_type has it.
_SAME_TYPE = {
    "int": "int4", "integer": "int4", "bigint": "int8", "smallint": "int2", "bool": "bool", "boolean": "bool",
    "float": "float8", "double precision": "float8", "decimal": "numeric", "nested": "json", "jsonb": "json",
    "string": "text", "varchar": "text",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a loader makes of a file's columns."""

    #: The table's columns that the file fills, as `datastore_create` takes them.
    fields: tuple[Field, ...]
    #: The file's columns that are loaded; as many as *fields*, in the same order.
    columns: tuple[Column, ...]
    drift: Drift
    primary_key: tuple[str, ...]
    indexes: tuple[tuple[str, ...], ...]
    aliases: tuple[str, ...]


def planned(columns: Sequence[Column], target: Target) -> Plan:
    """The plan for *columns*; in mode `replace` the file decides about columns and types, else the table does.

    Raises JobError where *drift* is `fail` and columns differ, and where an upsert has no key.
    """
    drift = drift_of(columns, target.existing)
    kept = columns if target.mode == "replace" else _kept(columns, target, drift)
    former = _former(kept, target)
    fields = tuple(_field(column, former[column.name], target) for column in kept)
    old = target.existing or Existing(())
    plan = Plan(
        fields=fields,
        columns=tuple(kept),
        drift=drift,
        primary_key=target.primary_key or old.key,
        indexes=old.indexes if target.indexes is None else target.indexes,
        aliases=old.aliases if target.aliases is None else target.aliases,
    )
    return _checked(plan, target)


def overrides(existing: Existing | None, mode: str) -> dict[str, Override]:
    """What the data dictionary, or in append and upsert the table itself, says about columns, for the reader."""
    return {one.id: _override(one, mode) for one in (existing.fields if existing else ())}


def drift_of(columns: Sequence[Column], existing: Existing | None) -> Drift:
    """How *columns* differ from the table's; no drift where there is no table."""
    if existing is None:
        return Drift()
    types, names = existing.types, [column.name for column in columns]
    return Drift(
        added=tuple(name for name in names if name not in types),
        gone=tuple(name for name in types if name not in names),
        retyped=tuple(
            (column.name, types[column.name], column.ckan)
            for column in columns
            if column.name in types and not same_type(column.ckan, types[column.name])
        ),
    )


def same_type(one: str, other: str) -> bool:
    return _SAME_TYPE.get(one.lower(), one.lower()) == _SAME_TYPE.get(other.lower(), other.lower())


def _override(field: Field, mode: str) -> Override:
    wish = str(field.info.get("type_override") or "") or None
    strip = field.extras.get("strip_extra_white", field.info.get("strip_extra_white"))
    return Override(
        type_override=_known_type(wish if mode == "replace" else field.type),
        strip=None if strip is None or strip == "" else str(strip).lower() not in ("false", "no", "0"),
    )


def _known_type(name: str | None) -> str | None:
    """*name*, or None where it is no type that the reader can check: then PostgreSQL decides about the values."""
    try:
        return name if name and ForcedType.of(name) else None
    except ValueError:
        return None


def _kept(columns: Sequence[Column], target: Target, drift: Drift) -> Sequence[Column]:
    """The columns that append and upsert load, by the drift policy."""
    if target.existing is None:
        return columns
    if target.drift == "fail" and (drift.added or drift.gone):
        raise JobError(
            "The file's columns are not those of the table, and the option drift is `fail`: nothing was loaded.",
            details={"New columns": ", ".join(drift.added), "Missing columns": ", ".join(drift.gone)},
        )
    if target.drift == "keep":
        return [column for column in columns if column.name not in drift.added]
    return columns


def _former(columns: Sequence[Column], target: Target) -> dict[str, Field | None]:
    """What each column was in the old table: by its name, else by the name that it has in the file."""
    old = {one.id: one for one in target.existing.fields} if target.existing else {}
    left = [one for name, one in old.items() if name not in {column.name for column in columns}]
    found: dict[str, Field | None] = {}
    for column in columns:
        known = old.get(column.name) or _renamed(column, left)
        if known in left:
            left.remove(known)
        found[column.name] = known
    return found


def _renamed(column: Column, left: Iterable[Field]) -> Field | None:
    """The column's former self under another stored name."""
    in_file = column.label or column.name
    return next((one for one in left if in_file in (one.id, one.info.get("label"))), None)


def _field(column: Column, former: Field | None, target: Target) -> Field:
    types = target.existing.types if target.existing and target.mode != "replace" else {}
    info: dict[str, Json] = dict(former.info) if former else {}
    if column.label and not info.get("label"):
        info["label"] = column.label
    if target.profile_to_dictionary and column.profile:
        info["profile"] = _profile(column.profile)
    return Field(column.name, types.get(column.name, column.ckan), info, former.extras if former else {})


def _profile(profile: Profile) -> Json:
    told = {key: value for key, value in asdict(profile).items() if value not in (None, ())}
    told["frequent"] = [list(pair) for pair in profile.frequent]
    return told


def _checked(plan: Plan, target: Target) -> Plan:
    """*plan* without kept indexes whose columns are gone. Raises JobError for given columns that are not there."""
    names = {one.id for one in plan.fields} | {one.id for one in (target.existing.fields if target.existing else ())}
    there = {one.id for one in plan.fields} if target.mode == "replace" else names
    for option, given in (("primary_key", target.primary_key), *(("indexes", one) for one in target.indexes or ())):
        _check_names(option, given, there)
    key = plan.primary_key if there.issuperset(plan.primary_key) else ()
    if target.mode == "upsert" and not key:
        raise JobError("The mode upsert needs a key: give the option primary_key, the columns whose values tell rows apart.")
    indexes = tuple(one for one in plan.indexes if there.issuperset(one))
    return Plan(**{**vars(plan), "primary_key": key, "indexes": indexes})


def _check_names(option: str, given: Sequence[str], there: set[str]) -> None:
    missing = [name for name in given if name not in there]
    if missing:
        raise JobError(
            f"The option {option} names columns that the table does not have: {', '.join(missing)}.",
            details={"Columns": ", ".join(sorted(there))},
        )
