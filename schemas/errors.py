"""Every error the project raises on purpose.

DataPusherError
├── JobError                 the job cannot succeed; its message is for the publisher of the file
│   └── FileError            … because of what the file holds (`code` is one of FILE_ERROR_CODES)
├── Transient                the same attempt may succeed later; the job is retried
│   └── Postponed            … and nothing was tried yet; no attempt is spent
├── Stopped                  the attempt must end at once: cancelled, out of time, claim lost
├── InvalidMessage           bytes on the bus that are not one of our messages
├── BusError
│   ├── NotPublished         the broker did not confirm; publish again
│   └── Unroutable           the broker has no queue for it
├── StoreUnavailable         the SQL store cannot be reached or refuses to write
└── BadSetting               a setting that cannot be used; stops the start
"""

from collections.abc import Mapping

#: Public and stable: scripts and tests match on them (`datapusher inspect --json` prints them as `error`).
FILE_ERROR_CODES = (
    "not-tabular", "empty", "encrypted", "undecodable", "corrupt", "too-many-columns", "too-many-rejects",
    "ambiguous-archive", "too-large", "bad-option",
)  # fmt: skip


class DataPusherError(Exception):
    """Something went wrong in Data Pusher."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__ or "")

    @property
    def message(self) -> str:
        return str(self.args[0])


class JobError(DataPusherError):
    """The job failed.

    *details* are shown below the message on CKAN's upload-log page, label and value as given: use labels
    a publisher reads, such as `Row`, `Column`, `Value`, `Hint` (ckanext/datapusher/templates, `task_info.error`).
    """

    code = "job-error"

    def __init__(self, message: str | None = None, *, details: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.details = dict(details or {})

    def as_dict(self) -> dict[str, object]:
        """The legacy `error` object: `message` first, then the details as JSON-safe values."""
        return {"message": self.message, **{key: _json_safe(value) for key, value in self.details.items()}}


class FileError(JobError):
    """The file cannot become a table."""

    def __init__(self, code: str, message: str, *, details: Mapping[str, object] | None = None) -> None:
        if code not in FILE_ERROR_CODES:
            raise ValueError(f"unknown file error code {code!r}")
        super().__init__(message, details=details)
        self.code = code


class Transient(DataPusherError):
    """It may work later. *retry_after_s* (seconds) is what the other side asked for, if it did."""

    def __init__(self, message: str | None = None, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Postponed(Transient):
    """It is not its turn yet; nothing was tried."""


class Stopped(DataPusherError):
    """The attempt was stopped. *why* is one of `cancelled`, `timeout`, `cpu-time`, `lost-claim`, `memory`, `died`, `drain`."""

    def __init__(self, why: str, message: str | None = None) -> None:
        super().__init__(message or why)
        self.why = why


class InvalidMessage(DataPusherError):
    """Not a message of ours."""


class BusError(DataPusherError):
    """The bus did not do what was asked."""


class NotPublished(BusError):
    """The broker did not confirm the message; it may or may not have it. Publish it again."""


class Unroutable(BusError):
    """The broker has no queue for this message; nobody would ever receive it."""


class StoreUnavailable(DataPusherError):
    """The store cannot be reached; try again later."""


class BadSetting(DataPusherError):
    """A setting has a value that cannot be used. *name* is the environment variable."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name


def _json_safe(value: object) -> object:
    """Bytes and other strangers become text: an error must never fail to be told."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)
