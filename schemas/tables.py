"""The store's tables. Each has one writer, named at the table; times are naive UTC."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    func,
    text,
)

metadata = MetaData()

#: Inserted by the gateway (or by the recorder for a job published directly), updated by the recorder.
jobs = Table(
    "jobs",
    metadata,
    Column("job_id", String(128), primary_key=True),
    Column("job_type", String(100), nullable=False),
    Column("state", String(20), nullable=False),
    #: The highest event sequence that set the state: an older event that comes late changes nothing.
    Column("sequence", BigInteger, nullable=False, default=0, server_default=text("0")),
    Column("attempt", Integer, nullable=False, default=0, server_default=text("0")),
    Column("requested_at", DateTime, nullable=False),
    Column("started_at", DateTime),
    Column("finished_at", DateTime),
    Column("resource_id", String(200)),
    Column("ckan_url", Text),
    Column("result_url", Text),
    Column("job_key", String(64)),
    Column("aps_job_id", String(64)),
    Column("metadata", JSON, nullable=False),
    Column("sent_data", JSON(none_as_null=True)),
    #: Sealed (`schemas.sealing`), for a resubmission; null for a job that was published directly.
    Column("api_key", Text),
    #: What the job function returned: the report of a push.
    Column("data", JSON(none_as_null=True)),
    Column("error", JSON(none_as_null=True)),
    Column("error_text", Text),
    #: The newest progress event's data: stage, percent, rows, bytes.
    Column("progress", JSON(none_as_null=True)),
    Column("progress_sequence", BigInteger, nullable=False, default=0, server_default=text("0")),
    #: {"state": "waiting" | "delivered" | "retrying" | "dead", "attempts": n, "last_error": text}
    Column("callback", JSON(none_as_null=True)),
    Column("callback_sequence", BigInteger, nullable=False, default=0, server_default=text("0")),
    Column("worker", Text),
    Index("jobs_requested", "requested_at", "job_id"),
    Index("jobs_state", "state", "requested_at", "job_id"),
    Index("jobs_resource", "resource_id", "requested_at", "job_id"),
    #: What ended when: throughput over time, and which jobs are old.
    Index("jobs_finished", "finished_at", "state", "job_type"),
    Index(
        "jobs_errors", "requested_at", "job_id",
        sqlite_where=text("error_text IS NOT NULL"), postgresql_where=text("error_text IS NOT NULL"),
    ),
)  # fmt: skip
#: The indexed part of a CKAN's URL: a stranger's may be longer than an index row can be.
ckan_key = func.substr(jobs.c.ckan_url, text("1"), text("200"), type_=String)
Index("jobs_ckan", ckan_key, jobs.c.requested_at, jobs.c.job_id)

#: Accepted, not yet confirmed by the bus. Written by the gateway.
outbox = Table(
    "outbox",
    metadata,
    Column("job_id", String(128), primary_key=True),
    Column("job_type", String(100), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("headers", JSON, nullable=False),
    Column("created_at", DateTime, nullable=False),
    #: Not before then: whoever publishes it has put it ahead of now, so that two sweepers seldom publish the same row.
    Column("due_at", DateTime, nullable=False),
    Index("outbox_due", "due_at"),
)

#: Written by the gateway: jobs that must not run (on), and of those the ones whose traces must go.
cancellations = Table(
    "cancellations",
    metadata,
    Column("job_id", String(128), primary_key=True),
    Column("requested_at", DateTime, nullable=False),
    Column("deleted", Boolean, nullable=False),
)

#: Written by the recorder. The event's sequence is the key, so that an event heard twice is written once.
logs = Table(
    "logs",
    metadata,
    Column("job_id", String(128), primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("timestamp", DateTime, nullable=False),
    Column("level", String(20), nullable=False),
    Column("message", Text, nullable=False),
    Column("module", Text),
    Column("func_name", Text),
    Column("lineno", Integer),
)

#: Rows that were not loaded. Written by the recorder.
rejects = Table(
    "rejects",
    metadata,
    Column("job_id", String(128), primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("position", Integer, primary_key=True),
    #: 1-based line (or sheet row) where the record starts.
    Column("row", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("text", Text),
)

#: Who runs what. Written by workers.
claims = Table(
    "claims",
    metadata,
    Column("job_id", String(128), primary_key=True),
    #: What only one job at a time may write: the CKAN's URL and the resource's id; the job's own id where it has none.
    Column("resource_key", Text, nullable=False),
    #: Starts of the job so far, whatever became of them; survives republishing, unlike the broker's count.
    Column("starts", Integer, nullable=False),
    #: Of those, the ones that ended in order (retried, postponed, drained): only the others count against MAX_STARTS.
    Column("orderly_ends", Integer, nullable=False, default=0, server_default=text("0")),
    #: The worker and slot that runs it now; null when nobody does.
    Column("owner", Text),
    Column("lease_until", DateTime),
    Column("running", Boolean, nullable=False),
    #: {"kind": …, "data": …, "sequence": …} once the job has ended: what was told, so that it can be told again.
    Column("outcome", JSON(none_as_null=True)),
    Column("callback_delivered", Boolean, nullable=False, default=False, server_default=text("false")),
    #: Until then somebody is sending the callback: a copy of its message waits.
    Column("callback_until", DateTime),
    #: What the job has noted for its next attempt, or for the next job of its resource, in the middle of a change.
    Column("kept", JSON(none_as_null=True)),
    Column("changed_at", DateTime, nullable=False),
    Index("claims_one_running", "resource_key", unique=True, sqlite_where=text("running"), postgresql_where=text("running")),
    Index("claims_changed", "changed_at"),
    Index("claims_kept", "resource_key", sqlite_where=text("kept IS NOT NULL"), postgresql_where=text("kept IS NOT NULL")),
)

#: Workers that live. Each writes its own row, again and again; one that is killed is gone when its row is over.
workers = Table(
    "workers",
    metadata,
    #: "/worker/<host>/<process id>": its slots' claims have this and the slot's number as owner.
    Column("worker", String(300), primary_key=True),
    Column("version", String(50), nullable=False),
    Column("slots", Integer, nullable=False),
    #: Slots that had a job in hand when it last told.
    Column("busy", Integer, nullable=False),
    Column("job_types", JSON, nullable=False),
    Column("started_at", DateTime, nullable=False),
    Column("seen_at", DateTime, nullable=False),
    Column("good_until", DateTime, nullable=False),
)

#: One row: the version that `schemas.store` has brought the tables to.
schema_version = Table("schema_version", metadata, Column("version", Integer, primary_key=True, autoincrement=False))
