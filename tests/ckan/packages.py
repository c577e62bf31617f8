"""CKAN from PyPI in an environment of its own, kept between runs in a folder outside the repository."""

import ctypes.util
import os
import shutil
import subprocess
import sys
from importlib.metadata import Distribution
from pathlib import Path

from packaging.requirements import Requirement

from tests.ckan.telling import say
from tests.services import Missing

CKAN_VERSION = os.environ.get("DATAPUSHER_TEST_CKAN_VERSION", "2.12.0")
HOME = Path(os.environ.get("DATAPUSHER_TEST_CKAN_HOME", "~/.cache/datapusher-ckan")).expanduser()
#: A build of uWSGI, which CKAN's own image serves with, that needs no compiler.
SERVER = "pyuwsgi"
MAKE_VENV = Path(__file__).parents[2] / "deploy" / "make-venv.sh"


def installed_ckan(home: Path = HOME, version: str = CKAN_VERSION) -> Path:
    """The `bin` folder of an environment with CKAN *version*; made where it is not there yet. Raises: Missing."""
    _install_libmagic()
    venv = home / f"venv-{version}"
    done = venv / "installed"
    if not done.exists():
        say(f"installing CKAN {version} from PyPI into {venv} (about a minute)")
        home.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(venv, ignore_errors=True)
        _make_venv(venv)
        pip(venv, "--no-deps", f"ckan=={version}")
        pip(venv, *requirements(venv), SERVER)
        done.touch()
    return venv / "bin"


def _make_venv(venv: Path) -> None:
    """The interpreter behind our own environment, as what a nested one would be made from may lack ensurepip."""
    python = str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")
    if subprocess.run([python, "-m", "venv", venv], capture_output=True).returncode != 0:
        _run(["sh", str(MAKE_VENV), python, str(venv)])


def requirements(venv: Path) -> list[str]:
    """What CKAN pins, but psycopg2 as a wheel: the source would need a compiler and libpq."""
    (ckan,) = Distribution.discover(name="ckan", path=[str(path) for path in venv.glob("lib/python*/site-packages")])
    wanted = [Requirement(line) for line in ckan.requires or ()]
    chosen = [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": "requirements"})]
    names = {"psycopg2": "psycopg2-binary"}
    extras = {one: f"[{','.join(sorted(one.extras))}]" if one.extras else "" for one in chosen}
    return [f"{names.get(one.name, one.name)}{extras[one]}{one.specifier}" for one in chosen]


def pip(venv: Path, *packages: str) -> None:
    _run([str(venv / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Missing(f"CKAN cannot be installed: {' '.join(command[:5])} … says: {done.stderr[-1500:]}")


def _install_libmagic() -> None:
    """CKAN tells uploads apart with it; most machines have it."""
    if ctypes.util.find_library("magic") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"], capture_output=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", "libmagic1"], capture_output=True)
    if ctypes.util.find_library("magic") is None:
        raise Missing("CKAN needs libmagic: apt-get install -y libmagic1")
