"""`python -m publisher job.json`: send jobs from files to Data Pusher's broker."""

import json
import sys
from typing import IO

import click

from publisher.client import Publisher
from schemas.errors import DataPusherError


@click.command()
@click.argument("files", type=click.File("rb"), nargs=-1, required=True)
@click.option("--url", envvar="DATAPUSHER_BROKER_URL", required=True, help="amqp://user:password@host/vhost; several with ;")
@click.option("--prefix", envvar="DATAPUSHER_VHOST_PREFIX", default="datapusher", show_default=True, help="VHOST_PREFIX.")
def main(files: tuple[IO[bytes], ...], url: str, prefix: str) -> None:
    """Send the job in each of FILES (- for standard input), and print its id.

    A file holds one JSON object, as POST /job takes it:

    {"job_type": "push_to_datastore", "api_key": "…", "metadata": {"ckan_url": "https://…", "resource_id": "…"}}

    The exit status is 1 when a job was not sent, 2 for wrong usage.
    """
    try:
        with Publisher(url, prefix=prefix) as publisher:
            for file in files:
                click.echo(publisher.send(_job(file)))
    except DataPusherError as error:
        raise click.ClickException(error.message) from None


def _job(file: IO[bytes]) -> dict[str, object]:
    try:
        job = json.load(file)
    except ValueError as error:
        raise click.ClickException(f"{file.name} is not JSON: {error}") from None
    if not isinstance(job, dict):
        raise click.ClickException(f"{file.name} does not hold a JSON object")
    return job


if __name__ == "__main__":
    sys.exit(main())
