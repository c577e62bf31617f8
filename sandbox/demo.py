"""`datapusher demo`: a file goes through the real service, embedded, into the sandbox's DataStore; its table is printed."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sandbox.server import Sandbox
from schemas.errors import DataPusherError

DATA = "wildlife-strikes.csv"
SHOWN_ROWS, CELL_CHARACTERS = 5, 18
#: Between two columns of a table on the screen.
FRAME_CHARACTERS = 3
START_LIMIT_S = 60.0

#: (gateway's URL, job id, job key, console) -> the ended job; shows progress meanwhile.
Follow = Callable[[str, str, str, Console], Mapping[str, Any]]


def run_demo(up: Sequence[str], file: Path | None, follow: Follow, *, keep: bool) -> int:
    """Starts the service with the command *up*, loads *file* and prints what became of it. Gives the exit status."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="datapusher-demo-") as folder, Sandbox() as ckan:
        console.print(f"A sandbox CKAN listens on {ckan.url}")
        with _service(up, Path(folder), console) as url:
            ckan.datapusher_url = url
            status = _load(ckan, url, file, follow, console)
            if keep:
                _keep(ckan, url, console)
    return status


@contextmanager
def _service(up: Sequence[str], folder: Path, console: Console) -> Iterator[str]:
    """The service as a process of its own, on a free port, with a fresh data folder; gives its URL."""
    port, log = _free_port(), folder / "service.log"
    environment = _environment(folder, port)
    with log.open("wb") as output:
        process = subprocess.Popen(up, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{port}/"
            _wait_until_ready(url, process, log)
            console.print(f"Data Pusher listens on {url} (embedded: no RabbitMQ, no PostgreSQL)")
            yield url
        finally:
            _stop(process)


def _environment(folder: Path, port: int) -> dict[str, str]:
    """This one without its DATAPUSHER_ variables: the demo shows the defaults, and writes nowhere but into *folder*."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("DATAPUSHER_")}
    return {
        **inherited,
        "DATAPUSHER_HOST": "127.0.0.1",
        "DATAPUSHER_PORT": str(port),
        "DATAPUSHER_DATA_DIR": str(folder / "data"),
    }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(url + "health/ready", timeout=2).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.1)
    raise DataPusherError(f"The service did not start:\n{log.read_text(errors='replace')}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _load(ckan: Sandbox, url: str, file: Path | None, follow: Follow, console: Console) -> int:
    name, content = (file.name, file.read_bytes()) if file else (DATA, files("sandbox").joinpath("data", DATA).read_bytes())
    console.print(f"Uploading {name} ({len(content):,} bytes); CKAN posts it to {url}job …\n")
    resource = ckan.add_resource(upload=(name, content), format=Path(name).suffix.lstrip(".").upper() or "CSV")
    status = ckan.status(resource["id"])
    job = follow(url, status["job_id"], status["job_key"], console)
    _show_log(job, console)
    task = ckan.wait_for(resource["id"], timeout_s=30)
    console.print(f"\nCKAN's task is [bold]{task['state']}[/bold]: the callback has arrived.\n")
    if job["state"] != "complete":
        console.print(f"[red]{escape(str(job['error']))}[/red]")
        return 1
    _show_table(ckan, resource["id"], console)
    return 0


def _show_log(job: Mapping[str, Any], console: Console) -> None:
    for entry in job["logs"]:
        console.print(f"  {entry['timestamp'][11:23]}  {entry['message']}", markup=False, highlight=False)


def _show_table(ckan: Sandbox, resource_id: str, console: Console) -> None:
    """Columns, types, first rows and count, as datastore_search tells them."""
    found = requests.post(
        f"{ckan.url}/api/3/action/datastore_search",
        json={"resource_id": resource_id, "limit": SHOWN_ROWS},
        headers={"Authorization": ckan.token},
        timeout=30,
    ).json()["result"]
    fields = [field for field in found["fields"] if field["id"] != "_id"]
    types = Table("column", "type", title="Columns", title_justify="left")
    for field in fields:
        types.add_row(escape(field["id"]), field["type"])
    console.print(types)
    console.print(_rows(fields, found["records"], console.width // (CELL_CHARACTERS + FRAME_CHARACTERS)))
    console.print(f"[bold]{found['total']:,} rows[/bold] × {len(fields)} columns in the DataStore")


def _rows(fields: Sequence[Mapping[str, Any]], records: Sequence[Mapping[str, Any]], most: int) -> Table:
    """The first columns, at most *most*, so that each row stays on one line of the screen."""
    names = [str(field["id"]) for field in fields]
    left_out = f" (the first {most} of {len(names)} columns)" if len(names) > most else ""
    table = Table(title=f"First rows{left_out}", title_justify="left")
    for name in names[:most]:
        table.add_column(_cell(name), no_wrap=True)
    for record in records:
        table.add_row(*(_cell(record[name]) for name in names[:most]))
    return table


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return escape(text if len(text) <= CELL_CHARACTERS else text[: CELL_CHARACTERS - 1] + "…")


def _keep(ckan: Sandbox, url: str, console: Console) -> None:
    console.print(f"\nStill running: the gateway on {url}, CKAN's API on {ckan.url} with token {ckan.token}. Ctrl-C ends it.")
    try:
        signal.pause()
    except KeyboardInterrupt:
        console.print("Ended.")
