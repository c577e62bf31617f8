"""A CKAN with DataStore and its datapusher plugin, set up as its manual says and served as its image does (uWSGI)."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import requests

from tests.ckan.databases import CkanDatabases, execute
from tests.ckan.telling import say
from tests.services import free_port

PLUGINS = "datastore text_view image_view datatables_view"
#: `ckan generate config` writes some 300 lines; these are those that are not the defaults.
INI = """
[app:main]
use = egg:ckan
{settings}

[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = plain
[logger_root]
level = WARNING
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = plain
[formatter_plain]
format = %(asctime)s %(levelname)s [%(name)s] %(message)s
"""
WSGI = """
from logging.config import fileConfig
from ckan.cli import CKANConfigLoader
from ckan.config.middleware import make_app

fileConfig({ini!r})
application = make_app(CKANConfigLoader({ini!r}).get_config())
"""
ADMIN = "test-admin"
#: As in CKAN's image, which has two; a request may wait for our gateway, which must not need a third.
PROCESSES = 2
START_LIMIT_S = 120.0


@dataclass(frozen=True)
class Surroundings:
    """What a site stands on. *programs*: the `bin` folder that CKAN is installed in; *service_port*: where its datapusher
    plugin posts jobs to."""

    programs: Path
    databases: CkanDatabases
    redis_url: str
    solr_url: str
    service_port: int


class Site:
    """A running CKAN; a context manager. *token* is a system administrator's."""

    def __init__(self, around: Surroundings, log: Path) -> None:
        self.around = around
        self._log = log
        self.folder = Path(tempfile.mkdtemp(prefix="datapusher-ckan-"))
        self.ini = self.folder / "ckan.ini"
        self._server: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.token = ""

    def __enter__(self) -> "Site":
        try:
            self._set_up()
            self._serve()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def _set_up(self) -> None:
        """Tables, rights and an administrator. The plugin comes last: CKAN does not start with it before it has a token."""
        settings = self._settings()
        self._configure(settings)
        say("making CKAN's tables")
        self._ckan("db", "init")
        rights = self._ckan("datastore", "set-permissions")
        sql = "\n".join(line for line in rights.splitlines() if not line.startswith("\\connect"))
        execute(self.around.databases.datastore_admin_url, sql)
        say("making an administrator")
        self._ckan("user", "add", ADMIN, "email=admin@example.org", f"password={uuid.uuid4().hex}")
        self._ckan("sysadmin", "add", ADMIN)
        self.token = self._ckan("user", "token", "add", ADMIN, "tests", "-q").split()[-1]
        self._configure({**settings, **self.loader_settings()})

    def loader_settings(self) -> dict[str, str]:
        """The plugin that has files loaded, with the others, and what it needs to know."""
        return {
            "ckan.plugins": f"datapusher {PLUGINS}",
            "ckan.datapusher.api_token": self.token,
            "ckan.datapusher.url": f"http://127.0.0.1:{self.around.service_port}/",
        }

    def _settings(self) -> dict[str, str]:
        databases = self.around.databases
        return {
            "SECRET_KEY": uuid.uuid4().hex,
            "ckan.site_url": self.url,
            "ckan.site_id": "datapusher-tests",
            "ckan.storage_path": str(self.folder / "storage"),
            "sqlalchemy.url": databases.ckan_url,
            "ckan.datastore.write_url": databases.write_url,
            "ckan.datastore.read_url": databases.read_url,
            "ckan.redis.url": self.around.redis_url,
            "solr_url": self.around.solr_url,
            "ckan.plugins": PLUGINS,
            "ckan.views.default_views": "datatables_view image_view text_view",
            "ckan.auth.create_unowned_dataset": "true",
            "ckan.datastore.sqlsearch.enabled": "true",
        }

    def _configure(self, settings: Mapping[str, str]) -> None:
        lines = "\n".join(f"{name} = {value}" for name, value in settings.items())
        # A % would begin a substitution.
        self.ini.write_text(INI.replace("{settings}", lines.replace("%", "%%")))

    def _ckan(self, *arguments: str) -> str:
        """What the command `ckan` prints."""
        command = [str(self.around.programs / "ckan"), "-c", str(self.ini), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, env=self.environment())
        if done.returncode != 0:
            raise RuntimeError(f"`ckan {' '.join(arguments[:3])}` failed: {done.stdout[-1000:]}{done.stderr[-3000:]}")
        return done.stdout

    def environment(self) -> dict[str, str]:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("DATAPUSHER_", "CKAN", "PYTHON"))}
        return {**inherited, "TZ": "UTC"}

    def _serve(self) -> None:
        say(f"starting CKAN at {self.url}")
        script = self.folder / "wsgi.py"
        script.write_text(WSGI.format(ini=str(self.ini)))
        command = [
            str(self.around.programs / "uwsgi"), "--http", f"127.0.0.1:{self.port}", "--master", "--enable-threads",
            "--lazy-apps", "--processes", str(PROCESSES), "--disable-logging", "--buffer-size", "32768", "--die-on-term",
            "--harakiri", "300", "--http-timeout", "300", "--wsgi-file", str(script),
        ]  # fmt: skip
        with self._log.open("wb") as log:
            self._server = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, env=self.environment(), start_new_session=True
            )
        self._await()
        say("CKAN answers")

    def _await(self) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while not self._answers():
            if time.monotonic() > deadline or (self._server and self._server.poll() is not None):
                raise RuntimeError(f"CKAN does not start; the end of {self._log}: {self._log.read_text()[-3000:]}")
            time.sleep(0.2)

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/api/3/action/status_show", timeout=60).ok
        except requests.ConnectionError:
            return False

    def _end(self) -> None:
        if self._server:
            self._server.send_signal(signal.SIGTERM)
            try:
                self._server.wait(timeout=15)
            except subprocess.TimeoutExpired:
                os.killpg(self._server.pid, signal.SIGKILL)
                self._server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
