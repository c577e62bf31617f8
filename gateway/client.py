"""Speaks to a gateway over HTTP: what `datapusher submit | status | logs | cancel | resubmit` do.

Each function prints for people, or JSON for machines, and gives the exit status: 0 done, 1 the job failed or was refused.
"""

import itertools
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import requests
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column, Table

from gateway import event_stream
from schemas.errors import DataPusherError

POLL_S = 0.3
TIMEOUT_S = 30.0
#: Jobs in one answer to `GET /job`.
PAGE = 1000
NO_TERMINAL_WIDTH = 240
ERROR_CHARACTERS = 60
LEVEL_STYLES = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}
FINAL_STATES = ("complete", "error", "cancelled", "dead")

JobDict = Mapping[str, Any]


class Refused(DataPusherError):
    """The gateway refused."""


class GatewayClient:
    """One gateway, with the key that opens its jobs (SECRET_KEY, or one job's key)."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        self._session.headers["Authorization"] = key

    def call(self, method: str, path: str, **options: Any) -> Any:
        """The decoded answer. Raises: Refused, with the gateway's own words."""
        try:
            answer = self._session.request(method, self.url + path, timeout=TIMEOUT_S, **options)
        except requests.RequestException as error:
            raise Refused(f"No gateway answers at {self.url}/ ({type(error).__name__}). Is `datapusher up` running?") from error
        if not answer.ok:
            raise Refused(f"{_refusal(answer)} (HTTP {answer.status_code})")
        return answer.json()

    def job(self, job_id: str, **params: Any) -> JobDict:
        job: JobDict = self.call("GET", f"/job/{job_id}", params=params)
        return job

    def jobs(self, state: str) -> list[str]:
        """The ids of all jobs in *state*, newest first. Raises: Refused."""
        found: dict[str, None] = {}
        for offset in itertools.count(0, PAGE):
            params: dict[str, str | int] = {"_status": state, "_limit": PAGE, "_offset": offset}
            page = [path.rpartition("/")[2] for path in self.call("GET", "/job", params=params)["list"]]
            found.update(dict.fromkeys(page))
            if len(page) < PAGE:
                break
        return list(found)

    def events(self, job_id: str) -> Iterator[JobDict]:
        """What happens to the job, event by event, until it has ended. Raises: Refused."""
        url = f"{self.url}/job/{job_id}/events"
        try:
            yield from event_stream.events(self._session, url)
        except event_stream.StreamRefused as error:
            raise Refused(f"{_refusal(error.answer)} (HTTP {error.answer.status_code})") from None
        except requests.RequestException as error:
            raise Refused(f"The gateway at {self.url}/ is away ({type(error).__name__}). The job goes on.") from error

    def ended(self, job_id: str) -> JobDict:
        """The job once the store knows its end, too."""
        while (job := self.job(job_id))["state"] not in FINAL_STATES:
            time.sleep(POLL_S)
        return job


def _refusal(answer: requests.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return answer.text[:200]
    return str(body.get("error", body) if isinstance(body, dict) else body)


def submit(client: GatewayClient, body: bytes, *, wait: bool, as_json: bool) -> int:
    job = client.call("POST", "/job", data=body, headers={"Content-Type": "application/json"})
    if not wait:
        _print(job) if as_json else print(job["job_id"])
        return 0
    job = follow(client, job["job_id"], Console(stderr=True))
    _print(job) if as_json else _say_end(job)
    return _exit_status(job)


def follow_job(url: str, job_id: str, key: str, console: Console) -> JobDict:
    """`follow` with the key of one job."""
    return follow(GatewayClient(url, key), job_id, console)


def follow(client: GatewayClient, job_id: str, console: Console) -> JobDict:
    """Shows a progress bar until the job has ended; gives the ended job."""
    columns = (TextColumn("{task.description}", justify="left"), BarColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("waiting", total=None, note="")
        for event in client.events(job_id):
            told, state = event_stream.progress(event), event_stream.state(event)
            if told:
                _move(progress, bar, told)
            elif state:
                progress.update(bar, description=state, note="")
        progress.update(bar, total=100, completed=100)
    return client.ended(job_id)


def _move(progress: Progress, bar: TaskID, told: JobDict) -> None:
    rows, total, percent = told.get("rows"), told.get("rows_total"), told.get("percent")
    if isinstance(rows, int) and isinstance(total, int) and total:
        percent = 100 * rows / total
    note = ", ".join(f"{value:,} {key}" for key, value in told.items() if key in ("rows", "bytes") and isinstance(value, int))
    known = isinstance(percent, int | float)
    progress.update(
        bar, description=str(told["stage"]), completed=percent if known else 0, total=100 if known else None, note=note
    )


def status(client: GatewayClient, job_id: str | None, state: str | None, limit: int, *, as_json: bool) -> int:
    if job_id:
        job = client.job(job_id)
        _print(job) if as_json else _show_job(job)
        return _exit_status(job)
    listed = client.call("GET", "/job", params={"_limit": limit, **({"_status": state} if state else {})})
    jobs = [client.job(path.rpartition("/")[2]) for path in listed["list"]]
    _print(jobs) if as_json else _show_jobs(jobs)
    return 0


def logs(client: GatewayClient, job_id: str, *, follow: bool, as_json: bool) -> int:
    """The log so far; with *follow* what comes, too, until the job has ended."""
    console = wide_console()
    entries = map(event_stream.log_line, client.events(job_id)) if follow else client.job(job_id)["logs"]
    for entry in filter(None, entries):
        print(json.dumps(entry, ensure_ascii=False), flush=True) if as_json else _print_line(console, entry)
    return _exit_status(client.ended(job_id) if follow else client.job(job_id))


def _print_line(console: Console, entry: JobDict) -> None:
    text = f"{entry['timestamp'][:19]}  {entry['level']:7}  {entry['message']}"
    console.print(text, style=LEVEL_STYLES.get(entry["level"], ""), highlight=False, markup=False, soft_wrap=True)


def cancel(client: GatewayClient, job_id: str, *, as_json: bool) -> int:
    answer = client.call("POST", f"/job/{job_id}/cancel")
    _print(answer) if as_json else print(f"{job_id} is being cancelled")
    return 0


def resubmit(client: GatewayClient, job_ids: Sequence[str], api_key: str, *, as_json: bool) -> int:
    """One that is refused does not keep the others from running."""
    taken = [_resubmitted(client, job_id, api_key, as_json=as_json) for job_id in job_ids]
    if not taken:
        print("No job to run again.", file=sys.stderr)
    return 0 if taken and all(taken) else 1


def _resubmitted(client: GatewayClient, job_id: str, api_key: str, *, as_json: bool) -> bool:
    try:
        job = client.call("POST", f"/job/{job_id}/resubmit", json={"api_key": api_key} if api_key else {})
    except Refused as refusal:
        print(f"{job_id} does not run again: {refusal.message}", file=sys.stderr)
        return False
    again = {"job_id": job_id, "runs_again_as": job["job_id"]}
    print(json.dumps(again) if as_json else f"{job_id} runs again as {job['job_id']}", flush=True)
    return True


def _print(value: object) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _exit_status(job: JobDict) -> int:
    return 1 if job.get("state") in ("error", "cancelled", "dead") else 0


def _say_end(job: JobDict) -> None:
    console = Console()
    if job["state"] == "complete":
        console.print("complete", style="green")
    else:
        console.print(f"{job['state']}: {error_text(job)}", style="red")


def error_text(job: JobDict) -> str:
    """The error's message and its details, as one paragraph."""
    error = job.get("error") or {}
    if not isinstance(error, Mapping):
        return str(error)
    details = "; ".join(f"{key}: {value}" for key, value in error.items() if key != "message")
    return f"{error.get('message', '')}{f' ({details})' if details else ''}"


def _show_job(job: JobDict) -> None:
    console = wide_console()
    for key in ("job_id", "job_type", "state", "requested_timestamp", "finished_timestamp", "metadata", "callback"):
        for name, value in _facts(key, job.get(key)):
            console.print(f"{name:24} {value}", highlight=False, markup=False, soft_wrap=True)
    if job.get("error"):
        console.print(f"{'error':24} {error_text(job)}", style="red", highlight=False, markup=False, soft_wrap=True)
    for entry in job["logs"]:
        _print_line(console, entry)


def _facts(key: str, value: Any) -> list[tuple[str, str]]:
    """(name, text) of each thing that *value* tells; what is not known is left out."""
    if isinstance(value, Mapping):
        return [(f"{key}.{name}", str(one)) for name, one in value.items() if one is not None]
    return [] if value is None else [(key, str(value))]


def _shortened(text: str, most: int = ERROR_CHARACTERS) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def _show_jobs(jobs: Sequence[JobDict]) -> None:
    if not jobs:
        print("No job.")
        return
    table = Table(Column("job", no_wrap=True), "type", "state", "requested", "resource", "error")
    for job in jobs:
        resource = str(job["metadata"].get("resource_id", ""))
        error = _shortened(error_text(job)) if job.get("error") else ""
        table.add_row(job["job_id"], job["job_type"], job["state"], job["requested_timestamp"][:19], resource, error)
    wide_console().print(table)


def wide_console() -> Console:
    """For tables: as wide as the terminal; into a file or a pipe wide enough that nothing is cut."""
    console = Console()
    return console if console.is_terminal else Console(width=NO_TERMINAL_WIDTH)
