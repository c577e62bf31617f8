"""CKAN's data dictionary as it lies in the database: a comment on each column.

CKAN <= 2.10: the comment is `info` itself, `{"label": …}`. CKAN >= 2.11: ` {"_info": {"label": …}, "<plugin>": …}`, the
leading blank tells them apart. Comments that are neither are people's own and are kept.
"""

import json
from collections.abc import Mapping

from consumer.push.datastore_schema import TableFacts
from consumer.push.load import Existing, Field
from schemas.messages import Json

Info = Mapping[str, Json]


def info_of(comment: str | None) -> Info:
    """The `info` in *comment*; empty where there is none."""
    content = _content(comment)
    if not comment or content is None:
        return {}
    info = content.get("_info", {}) if comment.startswith(" ") else content
    return info if isinstance(info, dict) else {}


def comment_with(comment: str | None, additions: Info, *, in_object: bool) -> str | None:
    """*comment* with *additions* in its info, in the form that it has, or a new one in the site's form."""
    if not additions:
        return comment
    content = _content(comment)
    if comment and content is None:
        return comment
    if in_object if not comment else comment.startswith(" "):
        told = {**(content or {}), "_info": {**info_of(comment), **additions}}
        return " " + json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    return json.dumps({**(content or {}), **additions}, ensure_ascii=False)


def additions(fields: tuple[Field, ...], there: TableFacts | None) -> dict[str, Info]:
    """What *fields* say of columns that the table's dictionary does not say yet."""
    old = {column.name: info_of(column.comment) for column in (there.columns if there else ())}
    found = {one.id: {key: value for key, value in one.info.items() if old.get(one.id, {}).get(key) != value} for one in fields}
    return {name: added for name, added in found.items() if added}


def existing_of(facts: TableFacts) -> Existing:
    """The table as CKAN would tell of it, plugins' data aside."""
    fields = tuple(Field(column.name, column.type, info_of(column.comment)) for column in facts.columns)
    plain = tuple(index.columns for index in facts.indexes if not index.unique and not index.full_text and index.columns)
    return Existing(fields, tuple(view.name for view in facts.views if view.alias), plain, facts.key)


def _content(comment: str | None) -> dict[str, Json] | None:
    try:
        content = json.loads(comment or "{}")
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
