"""Every setting, in one table: the fields of `Settings`.

A field's environment variable is `DATAPUSHER_` and its name in capitals; the same name in lower case is its key in the
TOML file that `DATAPUSHER_CONFIG` names. The environment wins over the file. `docs/settings.md` is generated from here.
"""

import ipaddress
import json
import os
import re
import ssl
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schemas.errors import BadSetting

PREFIX = "DATAPUSHER_"
TRUE, FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")


def setting(default: object, help: str, *, unit: str = "", secret: bool = False, section: str = "") -> Any:
    """A row of the table. *unit* is said in the docs and in refusals; a *secret* never prints."""
    return field(default=default, metadata={"help": help, "unit": unit, "secret": secret, "section": section})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one process runs with; read once at its start by `Settings.read`."""

    # The gateway
    host: str = setting("0.0.0.0", "Address the gateway listens on.", section="Gateway")
    port: int = setting(8800, "Port the gateway listens on; 0 takes a free one.")
    url_prefix: str = setting("", "Path the routes are served under, besides the root, such as `/datapusher`.")
    name: str = setting("datapusher", "Name that `GET /status` tells.")
    secret_key: str = setting("", "Opens every job by HTTP, signs sessions and seals API keys in messages. Made and kept "
                              "in the data folder when not set.", secret=True)  # fmt: skip
    username: str = setting("admin", "Administrator's name for `/login` and the dashboard.")
    password: str = setting("", "Administrator's password; made at start and printed once when not set.", secret=True)
    list_requires_auth: bool = setting(False, "Whether `GET /job` is for the administrator only.")
    max_body: int = setting(1_048_576, "Largest body a request may have.", unit="bytes")
    sync_timeout: float = setting(60.0, "How long a request waits for a synchronous job.", unit="seconds")
    keep_jobs_age: int = setting(14, "Age from which `DELETE /job` removes finished jobs when it names none.", unit="days")
    legacy_timezone: str = setting("UTC", "Time zone of timestamps in answers: the one CKAN's host runs in.")
    metrics: bool = setting(True, "Whether `GET /metrics` answers.")
    metrics_port: int = setting(0, "Port on which a worker or a recorder serves `/metrics`, `/health/live` and "
                                "`/health/ready`; 0 for none. The gateway has them on its own port.")  # fmt: skip

    # Store and bus
    data_dir: str = setting("~/.datapusher", "Folder for the default store and the generated secret.", section="Store and bus")
    sqlalchemy_database_uri: str = setting("", "The store: `postgresql+psycopg2://…` or `sqlite:///…`; empty means "
                                           "`datapusher.db` in the data folder.", secret=True)  # fmt: skip
    broker_url: str = setting("embedded:", "`embedded:` (a queue table in the store's SQLite file), `amqp://…`, or `amqps://…` "
                              "with TLS; several separated by `;` for failover.", secret=True)  # fmt: skip
    vhost_prefix: str = setting("datapusher", "First part of every exchange's and queue's name, so that several "
                                "installations can share a vhost.")  # fmt: skip
    management_url: str = setting("", "RabbitMQ's management API, such as `http://guest:guest@localhost:15672`; empty means "
                                  "port 15672 of the broker's host (https on 15671 with `amqps://`).", secret=True)  # fmt: skip
    message_keys: str = setting("", "Fernet keys that seal API keys in messages, comma-separated, the first seals; derived "
                                "from SECRET_KEY when not set.", secret=True)  # fmt: skip

    # Worker
    job_modules: str = setting("consumer.push.job", "Modules that register job functions, comma-separated.", section="Worker")
    slots: int = setting(2, "Jobs that one worker runs at the same time.")
    job_timeout: float = setting(3600.0, "How long one attempt of a job may run.", unit="seconds")
    job_cpu_time: float = setting(
        7200.0, "Processor time one attempt of a job may use, over all its threads; 0 sets no limit.", unit="seconds"
    )
    job_memory: int = setting(4_294_967_296, "Memory one job may use; 0 sets no limit.", unit="bytes")
    jobs_per_child: int = setting(1000, "Jobs after which a slot's child process is replaced.")
    max_starts: int = setting(5, "Starts of one job, killed ones included, before it is declared poison.")
    max_attempts: int = setting(5, "Attempts of one job before a passing failure becomes its error.")
    retry_delays: str = setting(
        "10,60,600,3600", "Waits between attempts, comma-separated; the last one repeats.", unit="seconds"
    )
    busy_delay: float = setting(2.0, "Wait before a job looks again whether its resource is free.", unit="seconds")
    lease: float = setting(30.0, "How long a worker's claim on a resource outlives its last renewal.", unit="seconds")
    worker_beat: float = setting(
        10.0, "How often a worker tells that it lives; after three missed beats it is taken for gone.", unit="seconds"
    )
    drain_timeout: float = setting(
        60.0, "How long SIGTERM waits for running jobs before they go back to the queue.", unit="seconds"
    )
    max_rejects_kept: int = setting(1000, "Rejected rows kept for `GET /job/<id>/rejects.csv`.")

    # Callback
    callback_timeout: float = setting(30.0, "Limit for one POST to a job's result_url.", unit="seconds", section="Callback")
    callback_delays: str = setting("10,60,600,3600,21600,86400", "Waits between deliveries of a callback; then it is dead.",
                                   unit="seconds")  # fmt: skip

    # Fetching
    max_content_length: int = setting(1_073_741_824, "Largest file that is fetched.", unit="bytes", section="Fetching")
    chunk_size: int = setting(1_048_576, "Bytes read from the source at a time.", unit="bytes")
    download_timeout: float = setting(30.0, "Wait for a connection, and for the next bytes.", unit="seconds")
    download_total_timeout: float = setting(3600.0, "Limit for the whole download.", unit="seconds")
    download_min_speed: int = setting(1024, "Slowest average speed over a minute; 0 sets no limit.", unit="bytes per second")
    download_proxy: str = setting("", "Proxy for fetching files, such as `http://proxy:3128`.", secret=True)
    download_headers: str = setting("", "Headers for single hosts, as `host=Header: value`, separated by `;`.", secret=True)
    user_agent: str = setting("Data Pusher (+https://ckan.org)", "User-Agent of every request.")
    ssl_verify: bool = setting(True, "Whether TLS certificates are checked: CKAN's, the file servers', those of callbacks.")
    ca_bundle: str = setting("", "PEM file of the authorities whose certificates are taken, such as "
                             "`/etc/ssl/certs/ca-certificates.crt`, the system's, instead of Mozilla's list.")  # fmt: skip
    allowed_networks: str = setting("", "Networks (CIDR) and hosts that files may be fetched from and callbacks posted to "
                                    "although they are not public, comma-separated; CKAN's own need not be named.")  # fmt: skip
    ckan_url_map: str = setting("", "Where CKAN is really reached, as `public=internal` pairs, comma-separated.")
    max_expansion_ratio: int = setting(200, "Largest ratio of unpacked to packed size of an archive.")
    max_expanded_length: int = setting(17_179_869_184, "Largest unpacked size of an archive.", unit="bytes")

    # Loading
    datastore_write_url: str = setting("", "DataStore's write URL; turns the COPY loader on. One `postgresql://…`, or per CKAN "
                                       "`https://a.example=postgresql://…`, `;` between.",
                                       secret=True, section="Loading")  # fmt: skip
    datastore_read_role: str = setting("", "DataStore's read-only role; found by its grants when not set.")
    chunk_insert_rows: int = setting(10_000, "Rows in one call of the API loader.")
    chunk_insert_bytes: int = setting(8_388_608, "Size of one call of the API loader.", unit="bytes")
    skip_url_types: str = setting("datastore,tabledesigner", "url_types whose tables have no file behind them.")
    ckan_timeout: float = setting(120.0, "Limit for one call of CKAN's API.", unit="seconds")

    # Reading: site-wide defaults of the options a job may carry in its metadata
    format: str = setting("", "Format, whatever the resource says.", section="Reading (defaults of job options)")
    member: str = setting("", "Archive member to load.")
    encoding: str = setting("", "Encoding of delimited text; empty means found out.")
    encoding_errors: str = setting("strict", "`strict`, or `replace` undecodable bytes.")
    delimiter: str = setting("", "Delimiter; empty means found out.")
    quote: str = setting("", "Quote character; empty means found out.")
    escape: str = setting("", "Escape character; empty means found out.")
    header_row: str = setting("", "1-based row of the header, 0 for none; empty means found out.")
    sheet: str = setting("", "Sheet to load, by name or number; empty means the first with data.")
    widths: str = setting("", "Column widths of fixed-width text, comma-separated.", unit="characters")
    strip: bool = setting(True, "Whether outer white space of cells is removed.")
    null_tokens: str = setting("", "JSON list of tokens that mean NULL in typed columns; empty means the usual ones.")
    decimal: str = setting("", "Decimal mark, `.` or `,`; empty means found out by column.")
    date_format: str = setting("", "Layout of dates, such as `%Y%m%d`; empty means found out by column.")
    day_first: bool = setting(False, "Whether 01/02/2024 is the first of February where a file proves nothing.")
    types: str = setting("", "JSON object of column names and types that win over what is found out.")
    type_mapping: str = setting("ckan", "`ckan`, `rich`, or a JSON object from rich types to PostgreSQL's.")
    max_rows: int = setting(0, "Load only the first rows; 0 loads all.")
    max_rejects: str = setting("5%", "Rejected rows, a number or a share, above which a job fails.")
    profile: bool = setting(True, "Whether columns are profiled (distinct values, min, max, mean …).")
    mode: str = setting("replace", "`replace`, `append` or `upsert`.")
    primary_key: str = setting("", "Columns of the key, comma-separated.")
    indexes: str = setting("", "Columns to index, comma-separated; empty keeps those the table has.")
    aliases: str = setting("", "Aliases of the table, comma-separated; empty keeps those it has.")
    drift: str = setting("add", "What append and upsert do with columns the table lacks: `keep`, `add` or `fail`.")
    unordered: bool = setting(False, "Whether the API loader may use two connections and so lose the file's row order.")
    profile_to_dictionary: bool = setting(False, "Whether the column profile is written to the data dictionary.")

    # Logging
    log_file: str = setting("", "File that the process logs to.", section="Logging")
    stderr: bool = setting(True, "Whether the process logs to stderr.")
    log_level: str = setting("INFO", "Least severe level that is logged.")
    log_format: str = setting("text", "`text` or `json`.")

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Settings":
        """Settings from the environment over the TOML file that DATAPUSHER_CONFIG names.

        Raises: BadSetting, naming the variable, what it holds and what it may be.
        """
        values = {**_from_file(environ.get(PREFIX + "CONFIG", "")), **_from_environ(environ)}
        types = get_type_hints(cls)
        parsed: dict[str, Any] = {name: _parse(name, types[name], value) for name, value in values.items()}
        return cls(**parsed)

    @property
    def verify(self) -> bool | str:
        """SSL_VERIFY and CA_BUNDLE, as `requests` takes them together."""
        return self.ssl_verify and (self.ca_bundle or True)

    def option_defaults(self) -> dict[str, str | int | bool]:
        """The reading options that this site changes, by the lower-case names they have in a job's metadata."""
        rows = [row for row in rows_of_table() if row.section.startswith("Reading")]
        return {row.name: getattr(self, row.name) for row in rows if getattr(self, row.name) != row.default}

    def __repr__(self) -> str:
        shown = {
            row.name: "…" if row.secret and getattr(self, row.name) else getattr(self, row.name) for row in rows_of_table()
        }
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


@dataclass(frozen=True)
class Row:
    """One line of the table of settings, as the docs and `datapusher settings` show it."""

    name: str
    variable: str
    default: object
    unit: str
    help: str
    secret: bool
    section: str


def rows_of_table() -> tuple[Row, ...]:
    rows, section = [], ""
    for column in fields(Settings):
        section = column.metadata["section"] or section
        rows.append(_row(column, section))
    return tuple(rows)


def _row(column: "Field[Any]", section: str) -> Row:
    about = column.metadata
    variable = PREFIX + column.name.upper()
    return Row(column.name, variable, column.default, about["unit"], about["help"], about["secret"], section)


def _from_environ(environ: Mapping[str, str]) -> dict[str, object]:
    names = {column.name for column in fields(Settings)}
    pairs = ((key.removeprefix(PREFIX).lower(), value) for key, value in environ.items() if key.startswith(PREFIX))
    return {name: value for name, value in pairs if name in names}


def _from_file(path: str) -> dict[str, object]:
    if not path:
        return {}
    try:
        values = tomllib.loads(Path(path).read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BadSetting(PREFIX + "CONFIG", f"cannot read {path!r}: {error}") from error
    unknown = sorted(set(values) - {column.name for column in fields(Settings)})
    if unknown:
        raise BadSetting(PREFIX + "CONFIG", f"{path} has unknown settings: {', '.join(unknown)}")
    return values


def _parse(name: str, kind: type, value: object) -> object:
    variable = PREFIX + name.upper()
    if isinstance(value, dict | list):
        value = json.dumps(value)
    text = str(value).strip()
    if kind is bool:
        return _parse_bool(variable, text)
    if kind is int or kind is float:
        return _parse_number(variable, kind, text)
    return _check_choice(name, variable, text)


def _parse_bool(variable: str, text: str) -> bool:
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise BadSetting(variable, f"{text!r} is neither true nor false")


def _parse_number(variable: str, kind: type, text: str) -> object:
    try:
        number = kind(text)
    except ValueError:
        raise BadSetting(variable, f"{text!r} is not a {'whole ' if kind is int else ''}number") from None
    if not 0 <= number < float("inf"):
        raise BadSetting(variable, f"{text!r} is negative or endless")
    if variable.endswith("PORT") and number > LAST_PORT:
        raise BadSetting(variable, f"{text!r} is no port: the last one is {LAST_PORT}")
    return number


LAST_PORT = 65535
SECONDS = r"(\d+\.?\d*|\.\d+)(\s*,\s*(\d+\.?\d*|\.\d+))*"
#: What a text setting may be: a pattern for the whole value, and the words a refusal uses for it.
CHOICES = {
    "log_format": (r"text|json", "text or json"),
    "log_level": (r"(?i)debug|info|warning|error|critical", "DEBUG, INFO, WARNING, ERROR or CRITICAL"),
    "broker_url": (r"embedded:|amqps?://.+", "embedded:, amqp://… or amqps://…"),
    "sqlalchemy_database_uri": (r"|(sqlite|postgresql)(\+\w+)?://.*", "postgresql+psycopg2://… or sqlite:///…"),
    "vhost_prefix": (r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", "letters, digits, dots, - and _"),
    "url_prefix": (r"|(/[\w.~-]+)+/?", "a path such as /datapusher"),
    "retry_delays": (SECONDS, "seconds, comma-separated"),
    "callback_delays": (SECONDS, "seconds, comma-separated"),
    "encoding_errors": (r"strict|replace", "strict or replace"),
    "mode": (r"replace|append|upsert", "replace, append or upsert"),
    "drift": (r"keep|add|fail", "keep, add or fail"),
    "max_rejects": (r"\d+(\.\d+)?%|\d+", "a number of rows, or a share such as 5%"),
}


def _check_choice(name: str, variable: str, text: str) -> str:
    pattern, words = CHOICES.get(name, (r"(?s).*", ""))
    shown = "" if next(row.secret for row in rows_of_table() if row.name == name) else f", not {text!r}"
    if not re.fullmatch(pattern, text):
        raise BadSetting(variable, f"must be {words}{shown}")
    try:
        CHECKS.get(name, str)(text)
    except (OSError, ValueError) as error:
        raise BadSetting(variable, f"{getattr(error, 'strerror', None) or error}{shown}") from error
    return text


def _check_bundle(path: str) -> None:
    if path:
        ssl.create_default_context(cafile=path)


def _check_networks(text: str) -> None:
    for entry in words(text):
        if "/" in entry:  # the others may be names of hosts
            ipaddress.ip_network(entry.strip("[]"), strict=False)


def _check_url_map(text: str) -> None:
    for pair in words(text):
        public, _, internal = pair.partition("=")
        if not (_is_web(public) and _is_web(internal)):
            raise ValueError("must be pairs such as https://ckan.example.org=http://ckan:5000, comma-separated")


def _check_write_urls(text: str) -> None:
    for entry in filter(None, map(str.strip, text.split(";"))):
        ckan, _, url = ("http://", "", entry) if entry.startswith("postgres") else entry.partition("=")
        if not (_is_web(ckan) and re.match(r"postgres(ql)?(\+\w+)?://", url.strip())) or "=postgres" in url:
            raise ValueError("must be postgresql://…, or several such as https://ckan.example.org=postgresql://…, ; between")


def _check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("must be a time zone that this machine knows, such as UTC or Europe/Berlin") from None


def _is_web(url: str) -> bool:
    return url.strip().lower().startswith(("http://", "https://"))


#: What no pattern can tell; each raises OSError or ValueError, without the value.
CHECKS: dict[str, Callable[[str], object]] = {
    "ca_bundle": _check_bundle,
    "allowed_networks": _check_networks,
    "ckan_url_map": _check_url_map,
    "datastore_write_url": _check_write_urls,
    "legacy_timezone": _check_zone,
}


def numbers(text: str) -> tuple[float, ...]:
    """The numbers of a comma-separated setting, such as RETRY_DELAYS."""
    return tuple(float(part) for part in text.split(",") if part.strip())


def words(text: str) -> tuple[str, ...]:
    """The words of a comma-separated setting, such as JOB_MODULES."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def environment_for_jobs() -> dict[str, str]:
    """What the processes that run jobs inherit: everything but our own variables, of which some are secrets."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
