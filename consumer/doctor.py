"""`datapusher doctor`: looks at everything a promise rests on, and says of each thing that is wrong what to do about it."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal

import psycopg2
import requests
from sqlalchemy import func, select

from consumer.push.ckan import Ckan, CkanSettings
from consumer.push.loaders import datastore_write_url
from publisher.bus import Bus
from publisher.connect import await_connected
from publisher.policies import NoManagement, differing
from schemas.errors import BusError, DataPusherError
from schemas.settings import Settings, words
from schemas.store import open_store, reading
from schemas.tables import outbox
from schemas.topology import Topology

Verdict = Literal["ok", "warning", "wrong"]
CONNECT_S = 5.0
#: Clocks further apart than this make leases and `task_created` comparisons wrong.
CLOCK_LIMIT_S = 5.0
#: RabbitMQ's default consumer_timeout; a job that holds its delivery longer loses its channel and is started again.
CONSUMER_TIMEOUT_DEFAULT_S = 1800.0
FREE_BYTES = 2 * 1024**3
WRITE_ROLE = "SELECT has_schema_privilege(current_schema(), 'CREATE'), to_regproc('populate_full_text_trigger') IS NOT NULL"
#: What `ckan datastore set-permissions` leaves behind, so that the read role can read tables made later.
DEFAULT_GRANTS = "SELECT count(*) FROM pg_default_acl a JOIN pg_roles r ON r.oid = a.defaclrole WHERE r.rolname = current_user"


@dataclass(frozen=True)
class Finding:
    """What one check saw. *advice* says what to do; empty where nothing is to be done."""

    check: str
    verdict: Verdict
    seen: str
    advice: str = ""


@dataclass(frozen=True)
class Patient:
    """What is examined. *ckan_url* and *api_key* are looked at where given."""

    settings: Settings
    store_url: str
    topology: Topology
    connect: Callable[[], Bus]
    ckan_url: str = ""
    api_key: str = ""
    gateway_url: str = ""


def examine(patient: Patient) -> Iterator[Finding]:
    """Every finding, as it is made. Nothing is changed anywhere."""
    checks = (_secrets, _store, _bus, _policies, _consumer_timeout, _temporary_folder, _lease, _gateway, _ckan, _datastore)
    for check in checks:
        try:
            yield from check(patient)
        except Exception as error:  # a check that fails in an unforeseen way is a finding, not the end of the examination
            yield Finding(check.__name__.strip("_").replace("_", " "), "wrong", f"{type(error).__name__}: {error}", "see above")


def _secrets(patient: Patient) -> Iterator[Finding]:
    made = Path(patient.settings.data_dir).expanduser() / "secret.key"
    if made.exists() and made.read_text().strip() == patient.settings.secret_key:
        if patient.settings.broker_url.startswith("amqp"):
            yield Finding(
                "secret key", "warning", f"it was made on this machine and lies in {made}",
                "set DATAPUSHER_SECRET_KEY to the same value for every process: one on another machine cannot open API keys",
            )  # fmt: skip
            return
    weak = len(patient.settings.secret_key) < 16
    yield Finding("secret key", "warning" if weak else "ok", "shorter than 16 characters" if weak else "set",
                  "set DATAPUSHER_SECRET_KEY to a long random text" if weak else "")  # fmt: skip


def _store(patient: Patient) -> Iterator[Finding]:
    try:
        engine = open_store(patient.store_url)
        with reading(engine) as connection:
            waiting = int(connection.execute(select(func.count()).select_from(outbox)).scalar_one())
            there = connection.execute(select(func.now())).scalar_one()
    except DataPusherError as error:
        advice = "start the database, or correct DATAPUSHER_SQLALCHEMY_DATABASE_URI"
        yield Finding("store", "wrong", error.message.splitlines()[0], advice)
        return
    yield Finding("store", "ok", f"answers ({engine.dialect.name})")
    if waiting:
        yield Finding(
            "outbox",
            "warning",
            f"{waiting} accepted jobs are not yet on the bus",
            "see that a gateway runs and the broker answers",
        )
    yield _clock("store's clock", there)


def _clock(check: str, there: object) -> Finding:
    if isinstance(there, str):
        there = datetime.fromisoformat(there)
    assert isinstance(there, datetime)
    there = there if there.tzinfo else there.replace(tzinfo=UTC)
    apart_s = abs((datetime.now(UTC) - there).total_seconds())
    if apart_s <= CLOCK_LIMIT_S:
        return Finding(check, "ok", f"{apart_s:.1f} s from ours")
    return Finding(
        check, "wrong", f"{apart_s:.0f} s from ours", "run NTP on both machines: leases and CKAN's task times rest on it"
    )


def _bus(patient: Patient) -> Iterator[Finding]:
    bus = patient.connect()
    try:
        await_connected(bus, CONNECT_S)
        dead = {queue: bus.depth(queue) for queue in (patient.topology.names.dead, patient.topology.names.dead_callbacks)}
    except BusError as error:
        yield Finding("bus", "wrong", error.message, "start the broker, or correct DATAPUSHER_BROKER_URL")
        return
    finally:
        bus.close()
    yield Finding("bus", "ok", "connected; exchanges and queues are declared")
    for queue, depth in dead.items():
        if depth:
            yield Finding("dead letters", "warning", f"{depth} in {queue}", "look at them: datapusher dead list")


def _policies(patient: Patient) -> Iterator[Finding]:
    settings = patient.settings
    if not settings.broker_url.startswith("amqp"):
        return
    try:
        missing = differing(patient.topology, settings.broker_url, settings.management_url)
    except NoManagement as error:
        yield Finding("policies", "warning", "the management API does not answer, so they cannot be looked at", error.message)
        return
    if missing:
        yield Finding("policies", "warning", f"missing or different: {', '.join(missing)}", "datapusher topology apply")
    else:
        yield Finding("policies", "ok", "as they should be")


def _consumer_timeout(patient: Patient) -> Iterator[Finding]:
    """RabbitMQ tells it nowhere; what can be known is whether a job may run longer than the default."""
    settings = patient.settings
    if not settings.broker_url.startswith("amqp"):
        return
    longest_s = settings.job_timeout + settings.drain_timeout
    if longest_s < CONSUMER_TIMEOUT_DEFAULT_S:
        yield Finding("consumer_timeout", "ok", f"no job may run longer than {longest_s:.0f} s")
        return
    yield Finding(
        "consumer_timeout", "warning",
        f"a job may run {longest_s:.0f} s, and RabbitMQ lets a delivery be held for {CONSUMER_TIMEOUT_DEFAULT_S:.0f} s",
        f"in rabbitmq.conf set consumer_timeout = {int(longest_s * 2000)} (milliseconds), as deploy/rabbitmq.conf does; "
        "a job that is cut off is run again, but its work is lost",
    )  # fmt: skip


def _temporary_folder(patient: Patient) -> Iterator[Finding]:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if free < max(FREE_BYTES, patient.settings.max_content_length):
        yield Finding("temporary folder", "warning", f"{folder} has {free / 1e9:.1f} GB free",
                      "a file of DATAPUSHER_MAX_CONTENT_LENGTH does not fit: set TMPDIR to a larger disk")  # fmt: skip
    else:
        yield Finding("temporary folder", "ok", f"{folder} has {free / 1e9:.0f} GB free")


def _lease(patient: Patient) -> Iterator[Finding]:
    lease_s = patient.settings.lease
    if lease_s < 10:
        yield Finding(
            "lease",
            "warning",
            f"{lease_s:g} s",
            "set DATAPUSHER_LEASE to 30: a short pause of a worker would give its job away",
        )


def _gateway(patient: Patient) -> Iterator[Finding]:
    if not patient.gateway_url:
        return
    try:
        answer = requests.get(patient.gateway_url.rstrip("/") + "/health/ready", timeout=CONNECT_S)
    except requests.RequestException as error:
        yield Finding(
            "gateway",
            "warning",
            f"does not answer at {patient.gateway_url} ({type(error).__name__})",
            "start it: datapusher gateway",
        )
        return
    yield Finding("gateway", "ok" if answer.ok else "wrong", f"answers at {patient.gateway_url}: {answer.text.strip()[:200]}",
                  "" if answer.ok else "see what it says above")  # fmt: skip


def _ckan(patient: Patient) -> Iterator[Finding]:
    if not patient.ckan_url:
        yield Finding("CKAN", "warning", "not looked at", "name it: datapusher doctor --ckan https://… --api-key …")
        return
    url = Ckan(patient.ckan_url, patient.api_key, CkanSettings.of(patient.settings)).internal_url
    started = time.monotonic()
    answer = _ask(patient, url, "status_show", {})
    if not answer.ok:
        yield Finding(
            "CKAN",
            "wrong",
            f"{url} answers {answer.status_code}",
            "correct the URL (with root_path), or DATAPUSHER_CKAN_URL_MAP",
        )
        return
    yield Finding(
        "CKAN",
        "ok",
        f"{url} answers in {time.monotonic() - started:.2f} s, version {answer.json()['result'].get('ckan_version')}",
    )
    yield from _plugins(answer.json()["result"].get("extensions", ()))
    if "Date" in answer.headers:
        yield _clock("CKAN's clock", parsedate_to_datetime(answer.headers["Date"]))
    yield from _token(patient, url)


def _ask(patient: Patient, url: str, action: str, body: dict[str, object]) -> requests.Response:
    headers = {"Authorization": patient.api_key} if patient.api_key else {}
    call = f"{url.rstrip('/')}/api/3/action/{action}"
    return requests.post(call, json=body, headers=headers, timeout=CONNECT_S, verify=patient.settings.ssl_verify)


def _plugins(extensions: Sequence[str]) -> Iterator[Finding]:
    for plugin in ("datastore", "datapusher"):
        if plugin in extensions:
            yield Finding(f"plugin {plugin}", "ok", "on")
        else:
            yield Finding(f"plugin {plugin}", "wrong", "off", f"add {plugin} to ckan.plugins")


def _token(patient: Patient, url: str) -> Iterator[Finding]:
    """The callback asks for the right to update the resource, so the token's user must be an editor, or a sysadmin."""
    if not patient.api_key:
        yield Finding("API token", "warning", "not looked at", "name it: --api-key …")
        return
    answer = _ask(patient, url, "organization_list_for_user", {"permission": "update_dataset"})
    organizations = answer.json().get("result") if answer.ok else None
    if not organizations:
        yield Finding("API token", "wrong", "its user may edit no organization's datasets, or CKAN does not know the token",
                      "make a token of a sysadmin or an editor: ckan user token add <user> datapusher")  # fmt: skip
    else:
        yield Finding("API token", "ok", f"its user may edit the datasets of {len(organizations)} organizations")


def _datastore(patient: Patient) -> Iterator[Finding]:
    url = datastore_write_url(patient.settings.datastore_write_url, patient.ckan_url)
    if not url:
        yield Finding("COPY loader", "warning", "off: files are loaded through CKAN's API",
                      "set DATAPUSHER_DATASTORE_WRITE_URL to ckan.datastore.write_url: several times faster")  # fmt: skip
        return
    try:
        connection = psycopg2.connect(url.replace("postgresql+psycopg2://", "postgresql://"), connect_timeout=int(CONNECT_S))
    except psycopg2.OperationalError as error:
        yield Finding("COPY loader", "wrong", str(error).strip().splitlines()[0], "correct DATAPUSHER_DATASTORE_WRITE_URL")
        return
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT has_schema_privilege(current_schema(), 'CREATE'), to_regproc('populate_full_text_trigger') IS NOT NULL"
        )
        may_create, prepared = cursor.fetchone() or (False, False)
        cursor.execute(
            "SELECT count(*) FROM pg_default_acl WHERE defaclrole = (SELECT oid FROM pg_roles WHERE rolname = current_user)"
        )
        (grants,) = cursor.fetchone() or (0,)
    connection.close()
    advice = "run `ckan datastore set-permissions` on this database"
    yield _either("DataStore write role", may_create, "may create tables", "may not create tables", advice)
    yield _either("DataStore", prepared, "has CKAN's functions", "lacks populate_full_text_trigger()", advice)
    if not grants and not words(patient.settings.datastore_read_role):
        yield Finding(
            "DataStore read role", "wrong", "gets no rights on new tables", f"{advice}, or set DATAPUSHER_DATASTORE_READ_ROLE"
        )
    else:
        yield Finding("DataStore read role", "ok", "may read new tables")


def _either(check: str, holds: bool, good: str, bad: str, advice: str) -> Finding:
    return Finding(check, "ok", good) if holds else Finding(check, "wrong", bad, advice)
