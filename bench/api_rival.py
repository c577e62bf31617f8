"""The original DataPusher itself, for comparison: installed from PyPI into an environment of its own, outside this
repository, and run there. Where it cannot be had, api_datapusher.py stands in."""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from functools import cache
from pathlib import Path

from api_site import Site

from tests.ckan.packages import HOME
from tests.services import free_port

VERSION = "0.0.17"
#: What it names no versions of, as they were when it was made.
PACKAGES = (
    "setuptools<80", f"datapusher=={VERSION}", "messytables==0.15.2", "ckanserviceprovider==1.2.0", "xlrd<2", "six", "certifi",
)  # fmt: skip
START = Path(__file__).with_name("api_rival_start.py")
CONFIG = """
SQLALCHEMY_DATABASE_URI = "sqlite:///{folder}/jobs.db"
MAX_CONTENT_LENGTH = 2000000000
LOG_FILE = "{folder}/datapusher.log"
STDERR = False
"""


@cache
def installed() -> Path | None:
    """Its Python; None where it cannot be installed."""
    venv = HOME / f"datapusher-{VERSION}"
    python, done = venv / "bin" / "python", venv / "installed"
    if not done.exists():
        print(f"installing DataPusher {VERSION} from PyPI into {venv}", flush=True)
        try:
            subprocess.run([sys.executable, "-m", "venv", venv], check=True, capture_output=True)
            subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"DataPusher cannot be installed, our stand-in takes its place: {error}", flush=True)
            return None
        done.touch()
    return python


def name() -> str:
    """Of what our figures are held against, for results.json."""
    return f"DataPusher {VERSION}" if installed() else "stand-in"


class Rival:
    """A folder and the surroundings that it runs in; a context manager."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="datapusher-rival-")
        config = Path(self._folder.name) / "config.py"
        config.write_text(CONFIG.format(folder=self._folder.name))
        # It sets the locale that the environment names, which not every machine has.
        self._variables = {"JOB_CONFIG": str(config), "LC_ALL": "C", "PYTHONUTF8": "1", "PATH": "/usr/bin:/bin"}

    def __enter__(self) -> "Rival":
        return self

    def __exit__(self, *_about_error: object) -> None:
        self._folder.cleanup()

    def command(self, *arguments: str) -> list[str]:
        return [str(installed()), str(START), *arguments]

    def push(self, site: Site, resource_id: str) -> float:
        """Seconds of its job, from resource_show to the last row."""
        job = {"api_key": site.token, "metadata": {"resource_id": resource_id, "ckan_url": site.url}}
        command = self.command("push", json.dumps(job))
        done = subprocess.run(command, env=self._variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        return float(done.stdout)


class RivalService(Rival):
    """Its web service on `port`."""

    def __enter__(self) -> "RivalService":
        self.port = free_port()
        command = self.command("serve", str(self.port))
        self._process = subprocess.Popen(command, env=self._variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not self._answers():
            assert time.monotonic() < deadline and self._process.poll() is None, "DataPusher does not start"
            time.sleep(0.1)
        return self

    def __exit__(self, *about_error: object) -> None:
        self._process.kill()
        self._process.wait()
        super().__exit__(*about_error)

    def _answers(self) -> bool:
        with suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/status", timeout=5).close()
            return True
        return False
