"""What a push is asked to do: the body of `POST /job`, checked, with the site's settings where it says nothing."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from consumer.push.load import DriftPolicy, Existing, Mode, Target
from consumer.push.options import Options
from schemas.errors import FileError, JobError
from schemas.messages import Json
from schemas.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Request:
    """One push. *api_key* is CKAN's token, plain; it never prints."""

    resource_id: str
    ckan_url: str
    api_key: str = field(repr=False)
    #: Load although the file has not changed.
    ignore_hash: bool = False
    #: CKAN wants the resource marked as `datapusher`'s afterwards.
    set_url_type: bool = False
    options: Options
    mode: Mode = "replace"
    drift: DriftPolicy = "add"
    primary_key: tuple[str, ...] = ()
    indexes: tuple[tuple[str, ...], ...] | None = None
    aliases: tuple[str, ...] | None = None
    unordered: bool = False
    profile_to_dictionary: bool = False

    @classmethod
    def of(cls, input: Mapping[str, Json], settings: Settings) -> "Request":
        """Raises JobError that says which key is missing, or FileError("bad-option") which is wrong."""
        metadata = input.get("metadata")
        if not isinstance(metadata, dict):
            raise JobError("The job has no metadata: it needs resource_id and ckan_url.")
        said = {name: _said(metadata, settings, name) for name in LOADING}
        return cls(
            resource_id=_required(metadata, "resource_id", "the id of the resource whose file is to be loaded"),
            ckan_url=_web_address(_required(metadata, "ckan_url", "the address of CKAN")),
            api_key=_required(input, "api_key", "a CKAN API token (ckan.datapusher.api_token)"),
            ignore_hash=_flag("ignore_hash", metadata.get("ignore_hash", False)),
            set_url_type=_flag("set_url_type", metadata.get("set_url_type", False)),
            options=Options.parse(metadata, settings.option_defaults()),
            mode=cast(Mode, _choice("mode", said["mode"], ("replace", "append", "upsert"))),
            drift=cast(DriftPolicy, _choice("drift", said["drift"], ("keep", "add", "fail"))),
            primary_key=_names("primary_key", said["primary_key"]) or (),
            indexes=_indexes(said["indexes"]),
            aliases=_names("aliases", said["aliases"]),
            unordered=_flag("unordered", said["unordered"]),
            profile_to_dictionary=_flag("profile_to_dictionary", said["profile_to_dictionary"]),
        )

    def target(self, existing: Existing | None, job_id: str = "", md5: str = "", *, asked: bool = True) -> Target:
        return Target(
            resource_id=self.resource_id,
            job_id=job_id,
            md5=md5,
            asked=asked,
            mode=self.mode,
            primary_key=self.primary_key,
            indexes=self.indexes,
            aliases=self.aliases,
            existing=existing,
            drift=self.drift,
            unordered=self.unordered,
            profile_to_dictionary=self.profile_to_dictionary,
        )


#: Options that are settings too, and none of the reader's.
LOADING = ("mode", "drift", "primary_key", "indexes", "aliases", "unordered", "profile_to_dictionary")


def _said(metadata: Mapping[str, Json], settings: Settings, name: str) -> Json:
    value = metadata.get(name)
    return cast(Json, getattr(settings, name)) if value is None or value == "" else value


def _required(values: Mapping[str, Json], key: str, what: str) -> str:
    value = values.get(key)
    if value is not None and not isinstance(value, str):
        raise JobError(f"The job's {key} has to be text: {what}.", details={"Key": key})
    if value is None or not value.strip():
        raise JobError(f"The job has no {key}: {what}.", details={"Key": key})
    return value.strip()


def _web_address(url: str) -> str:
    if not url.lower().startswith(("http://", "https://")):
        raise JobError(f"The job's ckan_url is not a web address: it has to start with http:// or https://, not be {url!r}.")
    if "?" in url or "#" in url:  # the path of an action, put behind it, would not be asked for
        raise JobError(f"The job's ckan_url has to be an address without ? and #: {url!r}.")
    return url


def _flag(name: str, value: Json) -> bool:
    text = str(value).strip().lower()
    if text in ("true", "1", "yes", "on"):
        return True
    if text in ("false", "0", "no", "off", "none", ""):
        return False
    raise _bad_option(name, value, "true or false")


def _choice(name: str, value: Json, choices: tuple[str, ...]) -> str:
    text = str(value).strip().lower()
    if text not in choices:
        raise _bad_option(name, value, " or ".join(choices))
    return text


def _names(name: str, value: Json) -> tuple[str, ...] | None:
    """A list of names, given as a list, as JSON text or comma-separated; None where nothing is said."""
    entries = _entries(name, value)
    if entries is None:
        return None
    if not all(isinstance(one, str) for one in entries):
        raise _bad_option(name, value, "a list of names")
    return tuple(one.strip() for one in map(str, entries) if one.strip())


def _indexes(value: Json) -> tuple[tuple[str, ...], ...] | None:
    """A list of columns, or of lists of columns for indexes on several."""
    entries = _entries("indexes", value)
    if entries is None:
        return None
    return tuple(_index(one) for one in entries)


def _index(value: Json) -> tuple[str, ...]:
    names = _names("indexes", value if isinstance(value, list) else [value])
    if not names:
        raise _bad_option("indexes", value, "a list of columns, or of lists of columns")
    return names


def _entries(name: str, value: Json) -> list[Json] | None:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        value = _list_in(value)
    if not isinstance(value, list):
        raise _bad_option(name, value, "a list of names")
    return value


def _list_in(text: str) -> Json:
    if text.lstrip().startswith("["):
        try:
            return cast(Json, json.loads(text))
        except ValueError:
            pass  # a name that begins with a bracket
    return [one for one in text.split(",") if one.strip()]


def _bad_option(name: str, value: Json, allowed: str) -> FileError:
    return FileError(
        "bad-option", f"The option {name} cannot be {str(value)[:100]!r}: it must be {allowed}.", details={"Option": name}
    )
