"""Have a resource loaded, with nothing but pika.

CKAN_API_TOKEN=… python examples/publish_with_pika.py https://ckan.example.org <resource id>
"""

import json
import os
import sys
import uuid

import pika

BROKER = os.environ.get("DATAPUSHER_BROKER_URL", "amqp://guest:guest@localhost:5672/")
PREFIX = os.environ.get("DATAPUSHER_VHOST_PREFIX", "datapusher")


def main(ckan_url: str, resource_id: str) -> None:
    job = {
        "job_type": "push_to_datastore",
        "api_key": os.environ["CKAN_API_TOKEN"],
        "metadata": {"ckan_url": ckan_url, "resource_id": resource_id},
    }
    job_id = str(uuid.uuid4())
    connection = pika.BlockingConnection(pika.URLParameters(BROKER))
    channel = connection.channel()
    channel.confirm_delivery()  # from here on basic_publish returns when the broker has the job on its disks
    properties = pika.BasicProperties(
        message_id=job_id, type="datapusher.job", content_type="application/json", delivery_mode=2
    )
    try:
        channel.basic_publish(f"{PREFIX}.jobs", "push_to_datastore", json.dumps(job), properties, mandatory=True)
    except pika.exceptions.UnroutableError:
        sys.exit("Nobody runs such jobs: no worker for them has ever been connected.")
    except pika.exceptions.ChannelClosedByBroker as error:
        sys.exit(f"Nobody runs such jobs: {error.reply_text}. Are vhost and prefix right?")
    except pika.exceptions.NackError:
        sys.exit("The broker refuses the job: its queue is full or unavailable. Try again later.")
    finally:
        connection.close()
    print(job_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
