"""This machine: secrets, settings that weaken a promise, disks, and the gateway that should run on it."""

import ipaddress
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import requests

from consumer.doctor.finding import CONNECT_S, Finding, Patient, Verdict
from schemas.settings import Settings, numbers, words

SHORT_SECRET = 16
FREE_BYTES = 2 * 1024**3
#: File systems that end with the machine, those that end with a container, and those on which SQLite's locks and its WAL
#: cannot be relied on (https://www.sqlite.org/wal.html#noshm, https://www.sqlite.org/faq.html#q5).
IN_MEMORY = frozenset({"tmpfs", "ramfs"})
OF_A_CONTAINER = frozenset({"overlay", "aufs"})
SHARED = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "fuse.glusterfs", "ceph"})
#: How long an outage of CKAN callbacks should outlive: a night and a day.
CALLBACKS_S = 86_400.0

#: (whether it weakens a promise, the setting, what it means, what to do)
Weakness = tuple[Callable[[Settings], bool], str, str, str]
WEAKNESSES: tuple[Weakness, ...] = (
    (lambda s: s.lease < 10, "LEASE", "a short pause of a worker gives its job away", "set it to 30"),
    (lambda s: s.job_memory == 0, "JOB_MEMORY", "one file may take all of the machine's memory, and all jobs with it",
     "set it to what one job may use, such as 4294967296"),
    (lambda s: s.job_timeout == 0, "JOB_TIMEOUT", "every job ends as it starts", "set it to 3600"),
    (lambda s: s.max_starts < 2, "MAX_STARTS", "a job dies with the first worker that is killed", "set it to 5"),
    (lambda s: s.slots == 0, "SLOTS", "workers run no job", "set it to 2"),
    (lambda s: s.max_attempts < 2, "MAX_ATTEMPTS", "a short outage of CKAN is the job's error", "set it to 5"),
    (lambda s: sum(numbers(s.callback_delays)) < CALLBACKS_S, "CALLBACK_DELAYS", "callbacks are given up within a day",
     "let them add up to more than 86400 seconds, as the default does"),
    (lambda s: not s.ssl_verify, "SSL_VERIFY", "anybody between can read CKAN's token",
     "turn it on, and name your authority: DATAPUSHER_CA_BUNDLE"),
    (lambda s: any(_is_everything(entry) for entry in words(s.allowed_networks)), "ALLOWED_NETWORKS",
     "whoever may add a resource can have files of the internal network loaded", "name only the networks that have files"),
)  # fmt: skip


def secrets(patient: Patient) -> Iterator[Finding]:
    made = Path(patient.settings.data_dir).expanduser() / "secret.key"
    if patient.on_rabbitmq and made.exists() and made.read_text().strip() == patient.settings.secret_key:
        advice = "set DATAPUSHER_SECRET_KEY to the same value for every process: one on another machine cannot open API keys"
        yield Finding("secret key", "warning", f"it was made on this machine and lies in {made}", advice)
    else:
        yield _strong("secret key", patient.settings.secret_key, "set DATAPUSHER_SECRET_KEY to a long random text")
    if patient.settings.password:
        yield _strong("password", patient.settings.password, "set a longer DATAPUSHER_PASSWORD, or none: one is made then", 8)


def settings(patient: Patient) -> Iterator[Finding]:
    for weakens, name, meaning, advice in WEAKNESSES:
        if weakens(patient.settings):
            yield Finding(f"DATAPUSHER_{name}", "warning", meaning, advice)


def temporary_folder(patient: Patient) -> Iterator[Finding]:
    folder = tempfile.gettempdir()
    free, needed = shutil.disk_usage(folder).free, max(FREE_BYTES, patient.settings.max_content_length)
    seen = f"{folder} has {free / 1e9:.1f} GB free"
    if free < needed:
        advice = f"{needed / 1e9:.1f} GB are needed for one file of DATAPUSHER_MAX_CONTENT_LENGTH: set TMPDIR to a larger disk"
        yield Finding("temporary folder", "warning", seen, advice)
    else:
        yield Finding("temporary folder", "ok", seen)


def data_folder(patient: Patient) -> Iterator[Finding]:
    """Where an SQLite store lies; accepted jobs are as safe as that."""
    path = patient.store_url.partition(":///")[2].partition("?")[0]
    if not patient.store_url.startswith("sqlite") or not path:
        return
    folder = Path(path).parent
    kind, free = file_system(folder, Path("/proc/self/mounts")), shutil.disk_usage(folder).free
    if place := _where_it_is_lost(kind):
        verdict, advice = place
        yield Finding("data folder", verdict, f"{folder} is on {kind}", advice)
    elif free < FREE_BYTES:
        yield Finding("data folder", "warning", f"{folder} has {free / 1e9:.1f} GB free", "make room: jobs are kept there")
    else:
        yield Finding("data folder", "ok", f"{folder} has {free / 1e9:.0f} GB free")


def _where_it_is_lost(kind: str) -> tuple[Verdict, str] | None:
    """What a type of file system means for a store, and what to do."""
    if kind in IN_MEMORY:
        return "wrong", "accepted jobs are lost with the machine's power: put DATAPUSHER_DATA_DIR on a disk"
    if kind in OF_A_CONTAINER:
        return "warning", "accepted jobs are lost with the container: put DATAPUSHER_DATA_DIR on a volume"
    if kind in SHARED:
        return "wrong", "SQLite can lose its file there: use a local disk, or PostgreSQL (DATAPUSHER_SQLALCHEMY_DATABASE_URI)"
    return None


def file_system(folder: Path, mounts: Path) -> str:
    """The type of the file system of *folder*, from a list such as /proc/self/mounts; empty where there is no such list."""
    if not mounts.exists():
        return ""
    lines = [line.split() for line in mounts.read_text().splitlines()]
    above = {str(place) for place in (folder.resolve(), *folder.resolve().parents)}
    fitting = [(len(place), number, kind) for number, (_, place, kind, *_rest) in enumerate(lines) if place in above]
    return max(fitting, default=(0, 0, ""))[2]


def gateway(patient: Patient) -> Iterator[Finding]:
    if not patient.gateway_url:
        return
    try:
        answer = requests.get(patient.gateway_url.rstrip("/") + "/health/ready", timeout=CONNECT_S)
    except requests.RequestException as error:
        seen = f"does not answer at {patient.gateway_url} ({type(error).__name__})"
        yield Finding("gateway", "warning", seen, "start it: datapusher gateway")
        return
    yield Finding("gateway", "ok" if answer.ok else "wrong", f"answers at {patient.gateway_url}: {answer.text.strip()[:200]}",
                  "" if answer.ok else "see what it says above")  # fmt: skip


def _strong(check: str, secret: str, advice: str, least: int = SHORT_SECRET) -> Finding:
    if len(secret) < least:
        return Finding(check, "warning", f"shorter than {least} characters", advice)
    return Finding(check, "ok", "set")


def _is_everything(entry: str) -> bool:
    try:
        return ipaddress.ip_network(entry, strict=False).prefixlen == 0
    except ValueError:
        return False
