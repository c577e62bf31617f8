"""A job function for DATAPUSHER_JOB_MODULES that those of tests.consumer.jobs_for_tests lack."""

import ctypes

from consumer import job
from schemas.messages import Json


@job.asynchronous
def holds_the_gil(task_id: str, input: dict[str, Json]) -> Json:
    """C code that neither ends nor lets any other thread of its process run."""
    ctypes.PyDLL(None).sleep(600)
    return None
