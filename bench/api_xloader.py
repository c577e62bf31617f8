"""The original XLoader in a CKAN of its own, for the comparison of bursts: installed from PyPI beside a second CKAN, outside
this repository, and run as its manual says: its plugin in place of datapusher, and one `ckan jobs worker`."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

from api_site import Site

from tests.ckan.databases import ckan_databases
from tests.ckan.packages import HOME, installed_ckan, pip, requirements
from tests.ckan.redis import redis
from tests.ckan.site import PLUGINS, Surroundings
from tests.ckan.site import Site as CkanSite
from tests.ckan.solr import Solr
from tests.services import Missing, postgresql

VERSION = "2.6.0"
#: What it needs beside CKAN; its own pins contradict CKAN's.
PACKAGES = ("ckantoolkit", "tabulator==1.53.5", "Unidecode", "chardet")


@cache
def installed() -> Path | None:
    """The `bin` folder of CKAN and XLoader; None where they cannot be installed."""
    try:
        programs = installed_ckan(HOME / "xloader")
        done = programs.parent / f"xloader-{VERSION}"
        if not done.exists():
            print(f"installing XLoader {VERSION} from PyPI into {programs.parent}", flush=True)
            pip(programs.parent, "--no-deps", f"ckanext-xloader=={VERSION}")
            pip(programs.parent, *PACKAGES, *requirements(programs.parent))
            done.touch()
    except Missing as error:
        print(f"XLoader cannot be installed, nothing is held against it: {error}", flush=True)
        return None
    return programs


class XLoaderSite(CkanSite):
    """CKAN with its plugin and its worker; a context manager."""

    _worker: "subprocess.Popen[bytes] | None" = None

    def loader_settings(self) -> dict[str, str]:
        return {
            "ckan.plugins": f"xloader {PLUGINS}",
            "ckanext.xloader.api_token": self.token,
            "ckanext.xloader.jobs_db.uri": self.around.databases.ckan_url,
        }

    def __enter__(self) -> "XLoaderSite":
        super().__enter__()
        command = [str(self.around.programs / "ckan"), "-c", str(self.ini), "jobs", "worker"]
        with (HOME / "xloader.log").open("wb") as log:
            self._worker = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, env=self.environment())
        return self

    def __exit__(self, *about_error: object) -> None:
        if self._worker:
            self._worker.terminate()
            self._worker.wait()
        super().__exit__(None, None, None)


@contextmanager
def ckan_with_xloader(programs: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        databases = stack.enter_context(ckan_databases(stack.enter_context(postgresql())))
        redis_url, solr = stack.enter_context(redis()), stack.enter_context(Solr())
        around = Surroundings(programs, databases, redis_url, solr.url, 0)
        site = stack.enter_context(XLoaderSite(around, HOME / "ckan-xloader.log"))
        yield Site(site.url, site.token, databases.write_url, databases.ckan_url, 0)
