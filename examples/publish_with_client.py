"""Have a resource loaded, and wait for the end, with Data Pusher's own client.

    CKAN_API_TOKEN=… python examples/publish_with_client.py https://ckan.example.org <resource id>

The broker's address is in DATAPUSHER_BROKER_URL; several addresses are separated by `;`.
"""

import os
import sys

from publisher.client import Publisher
from schemas.errors import NotPublished, Unroutable

BROKER = os.environ.get("DATAPUSHER_BROKER_URL", "amqp://guest:guest@localhost:5672/")
PREFIX = os.environ.get("DATAPUSHER_VHOST_PREFIX", "datapusher")


def main(ckan_url: str, resource_id: str) -> None:
    with Publisher(BROKER, prefix=PREFIX, waits=True) as publisher:
        try:
            job_id = publisher.push(resource_id=resource_id, ckan_url=ckan_url, api_key=os.environ["CKAN_API_TOKEN"])
        except Unroutable as error:
            sys.exit(f"Nobody runs such jobs: {error}")
        except NotPublished as error:
            sys.exit(f"Try again later: {error}")
        end = publisher.wait(job_id, timeout_s=600)
    if end.complete and isinstance(end.data, dict):
        loaded = f"{end.data['rows']} rows" if "rows" in end.data else f"nothing loaded, {end.data['skipped']}"
        print(f"{job_id}: {loaded}")
    else:
        sys.exit(f"{job_id}: {end.state}, {end.error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
