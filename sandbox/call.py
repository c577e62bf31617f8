"""One call of an action: who calls, with what, and the site it is called on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sandbox.catalog import Catalog, Upload
from sandbox.datastore import Datastore
from sandbox.refusals import NotAuthorized, missing
from sandbox.tasks import DatapusherPlugin, Tasks


@dataclass(frozen=True)
class Caller:
    """Who calls. There is one user, who may do anything, and the anonymous one, who may read what is public."""

    authorized: bool


@dataclass(frozen=True)
class Call:
    """The parameters of one call; *upload* is the file of a multipart request."""

    caller: Caller
    params: Mapping[str, object]
    upload: Upload | None = None

    def needed(self, name: str) -> str:
        """A parameter that must be there. Raises ValidationError."""
        value = self.params.get(name)
        if value is None or value == "":
            raise missing(name)
        return str(value)

    def resource_id(self) -> str:
        """`resource_id`, or `id` in its place."""
        value = self.params.get("resource_id") or self.params.get("id")
        if not value:
            raise missing("resource_id")
        return str(value)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.params.get(name, default)
        return value is True or str(value).lower() in ("true", "yes", "t", "y", "1")

    def may(self, what: str) -> None:
        """Raises NotAuthorized unless the caller is the user; *what* is CKAN's wording of the right."""
        if not self.caller.authorized:
            raise NotAuthorized(what)


Action = Callable[[Call], object]


@dataclass(frozen=True)
class Site:
    """The parts of one CKAN."""

    catalog: Catalog
    datastore: Datastore
    tasks: Tasks
    plugin: DatapusherPlugin
