"""A job that does nothing: what is left is what the service itself costs."""

from consumer import job
from schemas.messages import Json


@job.asynchronous
def noop(task_id: str, input: dict[str, Json]) -> object:
    return {}
