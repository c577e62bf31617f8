"""Job options as they are typed on a command line."""

import json

from schemas.errors import JobError
from schemas.messages import Json


def options_in(text: str) -> dict[str, Json]:
    """The JSON object *text* as options, not checked yet. Raises JobError where it is none."""
    try:
        options = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise JobError(f"--options is not JSON: {error}") from error
    if not isinstance(options, dict):
        raise JobError('--options is not a JSON object, such as {"sheet": 2}')
    return options
