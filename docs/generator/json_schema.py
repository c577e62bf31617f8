"""JSON Schemas as tables of properties."""

from collections.abc import Iterator, Mapping
from typing import Any

from docs.generator.markdown import code, table

Schema = Mapping[str, Any]
HEAD = ("name", "type", "", "what it is")


def properties(schema: Schema) -> list[str]:
    """The properties of an object, those of its inner objects as `outer.inner`."""
    return table(HEAD, _rows(schema, ""))


def _rows(schema: Schema, before: str) -> Iterator[tuple[str, str, str, str]]:
    required = schema.get("required", ())
    for name, each in schema.get("properties", {}).items():
        yield f"`{before}{name}`", kind(each), "required" if name in required else "", each.get("description", "")
        inner, mark = (each["items"], "[]") if isinstance(each.get("items"), dict) else (each, "")
        yield from _rows(inner, f"{before}{name}{mark}.")


def kind(schema: Schema) -> str:
    """The type in words, with a link where it is a schema of its own."""
    if "$ref" in schema:
        return link(schema["$ref"])
    if "const" in schema:
        return code(schema["const"])
    if "enum" in schema:
        return ", ".join(code("null" if each is None else each) for each in schema["enum"])
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return " or ".join(dict.fromkeys(kind(each) for each in schema[word])) if word != "allOf" else _all_of(schema)
    return _plain(schema)


def _all_of(schema: Schema) -> str:
    return " with ".join(kind(each) for each in schema["allOf"])


def _plain(schema: Schema) -> str:
    told = schema.get("type", "anything")
    names = [told] if isinstance(told, str) else list(told)
    if "array" in names and isinstance(schema.get("items"), dict):
        names[names.index("array")] = f"list of {kind(schema['items'])}"
    limits = [f"{words} {schema[key]}" for key, words in LIMITS.items() if key in schema]
    return " or ".join(names) + (f" ({', '.join(limits)})" if limits else "") + _default(schema)


LIMITS = {"minimum": "from", "maximum": "to", "maxLength": "at most", "format": "as"}


def _default(schema: Schema) -> str:
    return f", else `{str(schema['default']).lower()}`" if "default" in schema else ""


def link(reference: str) -> str:
    name = reference.rpartition("/")[2]
    return f"[{name}](#{anchor(name)})"


def anchor(name: str) -> str:
    return f"schema-{name.lower()}"


def section(name: str, schema: Schema) -> list[str]:
    """A schema under a heading of its own, where `link` leads."""
    shape = properties(schema) or [f"{kind(schema)}.", ""]
    return [f"### {name} {{#{anchor(name)}}}", "", schema.get("description", ""), "", *shape]
