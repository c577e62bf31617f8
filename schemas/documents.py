"""The machine-readable descriptions of the HTTP side and of the bus, each whole in itself."""

import json
from importlib.resources import files

from schemas.messages import Json

#: Ends the reference to a JSON Schema that lies beside the documents.
A_FILE = ".schema.json"


def openapi() -> dict[str, Json]:
    """OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0): every route of the gateway."""
    return _read("openapi.json")


def asyncapi() -> dict[str, Json]:
    """AsyncAPI 3 (https://www.asyncapi.com/docs/reference/specification/v3.0.0): jobs in, events out.

    `schemas/asyncapi.json` with the JSON Schemas of the messages put into it, so that it can be read away from them.
    """
    document = _read("asyncapi.json")
    names = sorted({name for name in _references(document) if name.endswith(A_FILE)})
    schemas: dict[str, Json] = {name.removesuffix(A_FILE): dict(_read(name)) for name in names}
    whole = _pointed_inside(document)
    assert isinstance(whole, dict) and isinstance(whole["components"], dict)
    whole["components"]["schemas"] = schemas
    return whole


def _read(name: str) -> dict[str, Json]:
    document: dict[str, Json] = json.loads(files("schemas").joinpath(name).read_text("utf-8"))
    return document


def _references(node: Json) -> list[str]:
    if isinstance(node, dict):
        own = [target] if isinstance(target := node.get("$ref"), str) else []
        return own + [name for child in node.values() for name in _references(child)]
    return [name for child in node for name in _references(child)] if isinstance(node, list) else []


def _pointed_inside(node: Json) -> Json:
    """The same with references to files turned into references to the document's own components."""
    if isinstance(node, list):
        return [_pointed_inside(child) for child in node]
    if not isinstance(node, dict):
        return node
    target = node.get("$ref")
    if isinstance(target, str) and target.endswith(A_FILE):
        return {"$ref": f"#/components/schemas/{target.removesuffix(A_FILE)}"}
    return {key: _pointed_inside(child) for key, child in node.items()}
