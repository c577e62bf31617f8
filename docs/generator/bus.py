"""The reference of the bus, from the AsyncAPI document."""

from collections.abc import Iterator, Mapping
from typing import Any

from docs.generator.json_schema import kind, properties, section
from docs.generator.markdown import example, joined, table

Json = Mapping[str, Any]
INTRODUCTION = """# The bus

Exchanges and messages with a literal example of each, written by `make docs` from
[asyncapi.json](../schemas/asyncapi.json), the AsyncAPI 3 document that a gateway serves as `/asyncapi.json`.
How to use them: [messages](messages.md), [publishing](publishing.md).
"""


def page(document: Json) -> str:
    return joined(
        [INTRODUCTION, document["info"]["description"], "", *_channels(document), *_messages(document), *_schemas(document)]
    )


def _channels(document: Json) -> Iterator[str]:
    yield from ("## Exchanges", "")
    for name, channel in document["channels"].items():
        exchange = channel["bindings"]["amqp"]["exchange"]
        yield from (f"### {exchange['name']} {{#exchange-{name}}}", "")
        yield f"A durable {exchange['type']} exchange; the routing key is `{channel['address']}`. {channel['description']}"
        yield ""
        rows = ((f"`{key}`", about["description"], _one_of(about)) for key, about in channel["parameters"].items())
        yield from table(("part", "what it is", "one of"), rows)


def _one_of(parameter: Json) -> str:
    return ", ".join(f"[{each}](#message-{each})" for each in parameter.get("enum", ()))


def _messages(document: Json) -> Iterator[str]:
    yield from ("## Messages", "")
    for name, message in document["components"]["messages"].items():
        yield from (f"### {message['name']} {{#message-{name}}}", "", f"{message['title']}. {message['summary']}", "")
        yield from (f"Body: {_body(message['payload'])}, `{message['contentType']}`.", "")
        yield from properties(_own(message["payload"]))
        if "headers" in message:
            yield from ("AMQP headers:", "", *properties(message["headers"]))
        for each in message["examples"]:
            yield from example(each["payload"])


def _body(payload: Json) -> str:
    parts = payload.get("allOf", [payload])
    return kind(parts[0]) + (" with this `data`" if len(parts) > 1 else "")


def _own(payload: Json) -> Json:
    """Of an event only what its kind has beside the envelope."""
    return next((each["properties"]["data"] for each in payload.get("allOf", ()) if "properties" in each), {})


def _schemas(document: Json) -> Iterator[str]:
    yield from ("## What every message has", "")
    for name, schema in document["components"]["schemas"].items():
        yield from section(name, schema)
