"""The HTTP reference, from the OpenAPI document."""

from collections.abc import Iterator, Mapping
from typing import Any

from docs.generator.json_schema import kind, section
from docs.generator.markdown import example, joined, table

Json = Mapping[str, Any]
INTRODUCTION = """# HTTP reference

Each route with its parameters and answers, written by `make docs` from [openapi.json](../schemas/openapi.json), the OpenAPI 3.1
document that a gateway serves as `/openapi.json`. What the routes are for: [HTTP](http.md).
"""


def page(document: Json) -> str:
    return joined([INTRODUCTION, document["info"]["description"], "", *_routes(document), *_schemas(document)])


def _routes(document: Json) -> Iterator[str]:
    for path, operations in document["paths"].items():
        shared = operations.get("parameters", [])
        for method, operation in operations.items():
            if method != "parameters":
                yield from _route(document, method.upper(), path, operation, shared)


def _route(document: Json, method: str, path: str, operation: Json, shared: list[Json]) -> Iterator[str]:
    yield from (f"## {method} {path} {{#{operation['operationId']}}}", "", f"{operation['summary']}.", "")
    yield from (operation.get("description", ""), "")
    if keys := [name for each in operation.get("security", ()) for name in each]:
        yield from (f"Opened by: {', '.join(f'`{key}`' for key in dict.fromkeys(keys))}.", "")
    parameters = [_found(document, each) for each in (*shared, *operation.get("parameters", ()))]
    yield from table(("parameter", "in", "type", "what it is"), map(_parameter, parameters))
    yield from _body(operation.get("requestBody", {}))
    answers = ((status, _found(document, each)) for status, each in operation["responses"].items())
    yield from table(("answer", "what it means", "body"), (_answer(status, each) for status, each in answers))


def _found(document: Json, thing: Json) -> Json:
    """What a reference leads to."""
    node: Any = document
    for part in thing["$ref"].removeprefix("#/").split("/") if "$ref" in thing else ():
        node = node[part]
    return dict(node) if "$ref" in thing else thing


def _parameter(each: Json) -> tuple[str, str, str, str]:
    return f"`{each['name']}`", each["in"], kind(each["schema"]), each.get("description", "")


def _body(body: Json) -> Iterator[str]:
    for mimetype, content in body.get("content", {}).items():
        yield from (f"Body: `{mimetype}`, {kind(content['schema'])}.", "")
        for words, each in content.get("examples", {}).items():
            yield from (f"For example, {words}:", "", *example(each["value"]))


def _answer(status: str, answer: Json) -> tuple[str, str, str]:
    bodies = [f"`{mimetype}`: {kind(content['schema'])}" for mimetype, content in answer.get("content", {}).items()]
    headers = [
        f"header `{name}`{_after_colon(about.get('description', ''))}" for name, about in answer.get("headers", {}).items()
    ]
    words = "; ".join([answer["description"].rstrip("."), *headers])
    return "others" if status == "default" else status, words, "; ".join(bodies)


def _after_colon(words: str) -> str:
    return f": {words}" if words else ""


def _schemas(document: Json) -> Iterator[str]:
    yield from ("## Keys", "")
    rows = ((f"`{name}`", _place(each), each.get("description", "")) for name, each in _schemes(document))
    yield from table(("key", "where", "what it is"), rows)
    yield from ("## Bodies", "")
    for name, schema in document["components"]["schemas"].items():
        yield from section(name, schema)


def _schemes(document: Json) -> list[tuple[str, Json]]:
    return list(document["components"]["securitySchemes"].items())


def _place(scheme: Json) -> str:
    return f"{scheme['in']} `{scheme['name']}`" if "in" in scheme else f"HTTP {scheme.get('scheme', '')}"
