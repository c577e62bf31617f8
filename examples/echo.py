"""The smallest jobs: run gateway and worker with DATAPUSHER_JOB_MODULES=consumer.push.job,examples.echo (without the first of
the two they run no pushes any more) and send

{"job_type": "echo", "api_key": "x", "data": "hello"}      to POST /job, which answers with the echo, or
{"job_type": "echo_slowly", "api_key": "x", "data": "hello"}, which answers at once and logs while it works.
"""

import logging
import time

from consumer import job
from schemas.messages import Json


@job.synchronous
def echo(task_id: str, input: dict[str, Json]) -> Json:
    """Gives back what it got."""
    if not input["data"]:
        raise job.JobError("There is nothing to echo: send some `data`.")
    return f"> {input['data']}"


@job.asynchronous
def echo_slowly(task_id: str, input: dict[str, Json]) -> Json:
    """The same, with a log: every line of this logger can be read at GET /job/<id>."""
    logger = logging.getLogger(task_id)
    logger.setLevel(logging.INFO)
    logger.addHandler(job.StoringHandler(task_id, input))
    text = str(input["data"] or "")
    for position, letter in enumerate(text, start=1):
        logger.info("Letter %d of %d: %s", position, len(text), letter)
        time.sleep(0.01)
    return f"> {text}"
