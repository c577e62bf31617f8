"""Any request that the OpenAPI document allows, and many that it does not: never a 500, every answer as documented.

`FUZZ_EXAMPLES=2000 python -m pytest tests/gateway/test_fuzzed.py` goes on for long, with new requests each time.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.gateway.conftest import Start
from tests.gateway.gateway_thread import JOB, SECRET
from tests.gateway.recording import Recording

DOCUMENT = json.loads((Path(__file__).parents[2] / "schemas" / "openapi.json").read_text())
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "20"))
#: The same requests each time, unless somebody wants to find new ones.
FUZZ = settings(
    max_examples=EXAMPLES, derandomize="FUZZ_EXAMPLES" not in os.environ, database=None, deadline=None,
    phases=(Phase.generate,), suppress_health_check=list(HealthCheck),
)  # fmt: skip
schema = schemathesis.openapi.from_dict(DOCUMENT)
schema.config.generation.update(modes=list(schemathesis.GenerationMode))

Ask = Callable[[schemathesis.Case[Any]], None]


@pytest.fixture
def ask(start: Start) -> Ask:
    """Sends a request, and checks its answer. Every other one has the key that opens all, and goes for a job that is there."""
    gateway = start(sync_timeout=0.05)
    recording = Recording(gateway.engine, gateway)
    asked: list[str] = []

    def ask(case: schemathesis.Case[Any]) -> None:
        asked.append(case.path)
        if len(asked) % 2:
            case.headers["Authorization"] = SECRET
            if "job_id" in case.path_parameters:
                case.path_parameters["job_id"] = gateway.accepted()["job_id"]
                recording.end(str(case.path_parameters["job_id"]))
        if isinstance(case.body, dict) and len(asked) % 4 == 1:
            case.body = dict[str, Any](case.body) | JOB
        with requests.Session() as session:
            case.call_and_validate(base_url=gateway.url, session=session, checks=CHECKS, timeout=20, allow_redirects=False)

    return ask


@schema.parametrize()
@FUZZ
def test_any_request_is_answered_as_documented(case: schemathesis.Case[Any], ask: Ask) -> None:
    ask(case)
