"""The DataStore's database, for the COPY loader: roles, CKAN's functions, and whether it is CKAN's at all."""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg2
import requests

from consumer.doctor.ckan import ask
from consumer.doctor.finding import CONNECT_S, Finding, Patient, either
from consumer.push.loaders import datastore_write_url
from schemas.settings import words

WRITE_ROLE = "SELECT has_schema_privilege(current_schema(), 'CREATE'), to_regproc('populate_full_text_trigger') IS NOT NULL"
#: What `ckan datastore set-permissions` leaves behind, so that the read role can read tables made later.
DEFAULT_GRANTS = (
    "SELECT count(*) FROM pg_default_acl WHERE defaclrole = (SELECT oid FROM pg_roles WHERE rolname = current_user)"
)
THERE = "SELECT count(*) FROM pg_class WHERE relname = ANY(%s)"
#: Tables that CKAN names, of which one at least must be in the database.
SOME_TABLES = 100
PERMISSIONS = "run `ckan datastore set-permissions` on this database"


def datastore(patient: Patient) -> Iterator[Finding]:
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
    try:
        with connection, connection.cursor() as cursor:
            yield from _roles(patient, cursor)
            yield from _same(patient, cursor)
    finally:
        connection.close()


def _roles(patient: Patient, cursor: Any) -> Iterator[Finding]:
    cursor.execute(WRITE_ROLE)
    may_create, prepared = cursor.fetchone()
    cursor.execute(DEFAULT_GRANTS)
    (grants,) = cursor.fetchone()
    yield either("DataStore write role", may_create, "may create tables", "may not create tables", PERMISSIONS)
    yield either("DataStore", prepared, "has CKAN's functions", "lacks populate_full_text_trigger()", PERMISSIONS)
    reads = bool(grants or words(patient.settings.datastore_read_role))
    advice = f"{PERMISSIONS}, or set DATAPUSHER_DATASTORE_READ_ROLE"
    yield either("DataStore read role", reads, "may read new tables", "gets no rights on new tables", advice)


def _same(patient: Patient, cursor: Any) -> Iterator[Finding]:
    """Tables loaded into a database that CKAN does not read would never be seen."""
    names = _tables_of_ckan(patient)
    if not names:
        return
    cursor.execute(THERE, (list(names),))
    (there,) = cursor.fetchone()
    seen = f"has {there} of {len(names)} tables that CKAN names"
    advice = "set DATAPUSHER_DATASTORE_WRITE_URL to this CKAN's ckan.datastore.write_url: it names another database"
    yield either("DataStore's database", there > 0, seen, seen, advice)


def _tables_of_ckan(patient: Patient) -> Sequence[str]:
    """Tables of resources; none where CKAN is not looked at, or has none yet."""
    if not patient.ckan_url:
        return ()
    try:
        answer = ask(patient, "datastore_search", {"resource_id": "_table_metadata", "limit": SOME_TABLES})
        records = answer.json()["result"]["records"] if answer.ok else []
    except (requests.RequestException, ValueError, KeyError):
        return ()
    return [str(one["name"]) for one in records if not one.get("alias_of") and not str(one["name"]).startswith("_")]
