"""The store: whether it answers, keeps what it confirms, has our clock, and holds keys that we can open."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, func, select, text

from consumer.doctor.finding import Finding, Patient, clock
from schemas.errors import BadSetting, DataPusherError, InvalidMessage
from schemas.sealing import Sealer, message_keys
from schemas.settings import words
from schemas.store import open_store, reading
from schemas.tables import jobs, outbox

#: PostgreSQL's settings with which a commit is not on disk when it is confirmed
#: (https://www.postgresql.org/docs/current/runtime-config-wal.html).
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")
#: The newest jobs whose keys are tried.
LATEST = 50


def store(patient: Patient) -> Iterator[Finding]:
    try:
        with opened(patient) as connection:
            yield Finding("store", "ok", f"answers ({connection.dialect.name})")
            yield from _durable(connection)
            yield from _outbox(connection)
            yield clock("store's clock", connection.execute(select(func.now())).scalar_one())
    except BadSetting as error:
        yield Finding("store", "wrong", error.message.splitlines()[0], "correct that, or name another database there")
    except DataPusherError as error:
        advice = "start the database, or correct DATAPUSHER_SQLALCHEMY_DATABASE_URI"
        yield Finding("store", "wrong", error.message.splitlines()[0], advice)


def keys(patient: Patient) -> Iterator[Finding]:
    """Jobs of a gateway that has another SECRET_KEY than this process cannot be run by it."""
    try:
        with opened(patient) as connection:
            newest = select(jobs.c.api_key).where(jobs.c.api_key.is_not(None)).order_by(jobs.c.requested_at.desc())
            kept = list(connection.execute(newest.limit(LATEST)).scalars())
    except DataPusherError:
        return  # told by `store`
    foreign = sum(not _opens(_sealer(patient), key) for key in kept)
    if foreign:
        advice = "give all processes of this store and this broker the same DATAPUSHER_SECRET_KEY (or DATAPUSHER_MESSAGE_KEYS)"
        yield Finding("keys", "wrong", f"{foreign} of the newest {len(kept)} jobs were sealed with another key", advice)
    elif kept:
        yield Finding("keys", "ok", f"the newest {len(kept)} jobs were sealed with ours")


@contextmanager
def opened(patient: Patient) -> Iterator[Connection]:
    engine = open_store(patient.store_url)
    try:
        with reading(engine) as connection:
            yield connection
    finally:
        engine.dispose()


def _durable(connection: Connection) -> Iterator[Finding]:
    if connection.dialect.name != "postgresql":
        return
    off = [name for name in DURABLE if connection.execute(text(f"SHOW {name}")).scalar_one() == "off"]
    if off:
        advice = "turn it on for this database: what was confirmed to CKAN is lost with the server's power"
        yield Finding("store's durability", "wrong", f"off in PostgreSQL: {', '.join(off)}", advice)


def _outbox(connection: Connection) -> Iterator[Finding]:
    waiting = int(connection.execute(select(func.count()).select_from(outbox)).scalar_one())
    if waiting:
        seen, advice = f"{waiting} accepted jobs are not yet on the bus", "see that a gateway runs and the broker answers"
        yield Finding("outbox", "warning", seen, advice)


def _sealer(patient: Patient) -> Sealer:
    return Sealer(message_keys(patient.settings.secret_key, words(patient.settings.message_keys)))


def _opens(sealer: Sealer, key: str) -> bool:
    try:
        sealer.open(key)
    except InvalidMessage:
        return False
    return True
