"""`python -m sandbox`: the stand-in CKAN by itself, until Ctrl-C."""

import signal
import threading

import click

from sandbox.server import Sandbox


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=5000, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option("--datapusher-url", metavar="URL", help="Where jobs are posted, such as http://127.0.0.1:8800/.")
@click.option("--token", help="The API token to accept; one is made when none is given.")
@click.option("--database", default=":memory:", show_default=True, help="SQLite file of the tables.")
def main(host: str, port: int, datapusher_url: str | None, token: str | None, database: str) -> None:
    """A small stand-in for CKAN 2.12 with its DataStore and its datapusher plugin.

    Faults can be ordered with POST /sandbox/faults, such as {"action": "datastore_upsert", "status": 503, "times": 2};
    GET /sandbox/requests lists what was asked.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with Sandbox(datapusher_url, token, host=host, port=port, database=database) as sandbox:
        click.echo(f"url   {sandbox.url}")
        click.echo(f"token {sandbox.token}")
        stop.wait()


if __name__ == "__main__":
    main()
