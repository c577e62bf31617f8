"""Speaks to a gateway over HTTP: what `datapusher submit | status | logs | cancel | resubmit` do.

Each function prints for people, or JSON for machines, and gives the exit status: 0 done, 1 the job failed or was refused.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import requests
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from schemas.errors import DataPusherError

POLL_S = 0.3
TIMEOUT_S = 30.0
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
        try:
            body = answer.json()
        except ValueError:
            body = {"error": answer.text[:200]}
        if not answer.ok:
            raise Refused(f"{body.get('error', body)} (HTTP {answer.status_code})")
        return body

    def job(self, job_id: str, **params: Any) -> JobDict:
        job: JobDict = self.call("GET", f"/job/{job_id}", params=params)
        return job

    def until_final(self, job_id: str) -> Iterator[JobDict]:
        """The job again and again, the last time in a final state."""
        while True:
            job = self.job(job_id)
            yield job
            if job["state"] in FINAL_STATES:
                return
            time.sleep(POLL_S)


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
    job: JobDict = {}
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("waiting", total=100, note="")
        for job in client.until_final(job_id):
            _move(progress, bar, job)
    return job


def _move(progress: Progress, bar: TaskID, job: JobDict) -> None:
    told = job.get("progress") or {}
    done = job["state"] in FINAL_STATES
    percent = 100 if done else told.get("percent")
    note = ", ".join(f"{value:,} {key}" for key, value in told.items() if key in ("rows", "bytes") and isinstance(value, int))
    stage = job["state"] if done else told.get("stage") or job["state"]
    progress.update(bar, description=str(stage), completed=percent or 0, total=None if percent is None else 100, note=note)


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
    shown = 0
    job: JobDict = {}
    for job in client.until_final(job_id) if follow else [client.job(job_id)]:
        for entry in job["logs"][shown:]:
            line = json.dumps(entry) if as_json else f"{entry['timestamp'][:19]}  {entry['level']:7}  {entry['message']}"
            print(line, flush=True)
        shown = len(job["logs"])
    return _exit_status(job)


def cancel(client: GatewayClient, job_id: str) -> int:
    client.call("POST", f"/job/{job_id}/cancel")
    print(f"{job_id} is being cancelled")
    return 0


def resubmit(client: GatewayClient, job_ids: Sequence[str], state: str | None) -> int:
    if not job_ids and state:
        listed = client.call("GET", "/job", params={"_status": state, "_limit": 1000})
        job_ids = [path.rpartition("/")[2] for path in listed["list"]]
    for job_id in job_ids:
        job = client.call("POST", f"/job/{job_id}/resubmit")
        print(f"{job_id} runs again as {job['job_id']}")
    if not job_ids:
        print("No job to run again.", file=sys.stderr)
    return 0 if job_ids else 1


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
    console = Console()
    for key in ("job_id", "job_type", "state", "requested_timestamp", "finished_timestamp", "metadata", "callback"):
        console.print(f"[bold]{key:20}[/bold] {job.get(key)}", highlight=False)
    if job.get("error"):
        console.print(f"{'error':20} {error_text(job)}", style="red", highlight=False)
    for entry in job["logs"]:
        console.print(f"  {entry['timestamp'][:19]}  {entry['level']:7}  {entry['message']}", highlight=False, markup=False)


def _show_jobs(jobs: Sequence[JobDict]) -> None:
    table = Table("job", "type", "state", "requested", "resource", "error")
    for job in jobs:
        resource = str(job["metadata"].get("resource_id", ""))
        error = error_text(job)[:60] if job.get("error") else ""
        table.add_row(job["job_id"], job["job_type"], job["state"], job["requested_timestamp"][:19], resource, error)
    Console().print(table)
