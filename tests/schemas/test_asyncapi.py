"""schemas/asyncapi.json: it holds together, its examples are what it says, and it says what schemas/messages.py does."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from schemas.documents import asyncapi
from schemas.messages import Event, Job, Json, Kind
from schemas.topology import Names

DOCUMENT: dict[str, Any] = asyncapi()
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]


def payload_validator(name: str) -> Draft202012Validator:
    return Draft202012Validator({**MESSAGES[name]["payload"], "components": DOCUMENT["components"]})


def references(node: Json) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(target := node.get("$ref"), str):
            yield target
        node = list(node.values())
    for child in node if isinstance(node, list) else ():
        yield from references(child)


def test_every_reference_leads_to_a_place_in_the_document() -> None:
    for reference in set(references(DOCUMENT)):
        assert reference.startswith("#/"), reference
        node: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_every_kind_of_event_is_a_message_of_the_channel_and_no_other() -> None:
    channel = DOCUMENT["channels"]["events"]
    kinds = {kind.value for kind in Kind}
    assert set(channel["messages"]) == set(channel["parameters"]["kind"]["enum"]) == kinds == set(MESSAGES) - {"job"}


def test_the_channels_are_the_exchanges() -> None:
    exchanges = [channel["bindings"]["amqp"]["exchange"]["name"] for channel in DOCUMENT["channels"].values()]
    assert exchanges == [Names().jobs, Names().events]


@pytest.mark.parametrize("kind", list(Kind))
def test_the_example_of_an_event_is_one(kind: Kind) -> None:
    (example,) = MESSAGES[kind]["examples"]
    payload_validator(kind).validate(example["payload"])
    event = Event.decode(json.dumps(example["payload"]).encode())
    assert (event.kind, json.loads(event.encode())) == (kind, example["payload"])


@pytest.mark.parametrize("kind", list(Kind))
def test_an_event_of_another_kind_does_not_fit(kind: Kind) -> None:
    other = next(each for each in Kind if each is not kind)
    assert not payload_validator(kind).is_valid(MESSAGES[other]["examples"][0]["payload"])


def test_the_example_of_a_job_is_one() -> None:
    (example,) = MESSAGES["job"]["examples"]
    payload_validator("job").validate(example["payload"])
    assert Job.decode(json.dumps(example["payload"]).encode()).job_type == "push_to_datastore"
