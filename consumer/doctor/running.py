"""Who runs: workers, which tell the store that they live, and recorders, which the broker knows as consumers."""

from collections.abc import Iterator

from sqlalchemy import func, select

from consumer.doctor.finding import Finding, Patient
from consumer.doctor.store import opened
from publisher import broker_state
from publisher.policies import NoManagement
from schemas.errors import DataPusherError
from schemas.store import store_now
from schemas.tables import workers as living


def workers(patient: Patient) -> Iterator[Finding]:
    """Jobs wait where none lives."""
    try:
        with opened(patient) as connection:
            alive = living.c.good_until >= store_now(connection)
            count, slots = connection.execute(select(func.count(), func.sum(living.c.slots)).where(alive)).one()
    except DataPusherError:
        return  # told by `store`
    if count:
        yield Finding("workers", "ok", f"{count} live, with {slots} slots")
    else:
        yield Finding("workers", "warning", "none has told that it lives: jobs wait", "start one: datapusher worker")


def recorder(patient: Patient) -> Iterator[Finding]:
    """Without one, jobs run and are told to CKAN, but everything that shows them stands still."""
    if not patient.on_rabbitmq:
        return
    queue, settings = patient.topology.names.recorder, patient.settings
    try:
        count = broker_state.consumers(queue, settings.broker_url, settings.management_url)
    except NoManagement:
        return  # told by `policies`
    if count:
        yield Finding("recorder", "ok", f"{count} take events from {queue}")
    else:
        seen = f"none takes events from {queue}: the dashboard, GET /job/<id> and CKAN's page tell old news"
        yield Finding("recorder", "warning", seen, "start one: datapusher recorder")
