"""The package as it is released: what `pip install` brings, used where the source tree is not."""

import os
import shutil
import site
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("schemas", "publisher", "consumer", "gateway", "sandbox")
VERSION = (ROOT / "schemas/VERSION").read_text().strip()


def run(*command: str | Path, cwd: Path) -> str:
    """What the command prints; nothing of this source tree can be imported in it."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("DATAPUSHER_", "PYTHON"))}
    environment["DATAPUSHER_DATA_DIR"] = str(cwd / "data")
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=110, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
    return done.stdout


def built(kind: str, tree: Path, into: Path) -> Path:
    """The sdist or the wheel of *tree*, as `pip` has setuptools build it."""
    into.mkdir()
    code = f"import setuptools.build_meta as build; build.build_{kind}({str(into)!r})"
    run(sys.executable, "-W", "ignore", "-c", code, cwd=tree)
    (found,) = into.iterdir()
    return found


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, since building leaves its traces in the tree."""
    folder = tmp_path_factory.mktemp("package")
    tree = folder / "tree"
    tree.mkdir()
    for name in (*PACKAGES, "datapusher.py", "setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        source = ROOT / name
        shutil.copytree(source, tree / name) if source.is_dir() else shutil.copy(source, tree / name)
    return built("sdist", tree, folder / "sdist")


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the sdist, so that one is whole as well."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return built("wheel", next(folder.iterdir()), folder / "wheel")


@pytest.fixture(scope="module")
def datapusher(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of a new environment that has the wheel, and the libraries of ours."""
    venv = tmp_path_factory.mktemp("clean") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=venv.parent)
    python = venv / "bin/python"
    run(
        sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=venv.parent
    )
    libraries = next(Path(path) for path in site.getsitepackages() if path.endswith("site-packages"))
    place = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=venv.parent).strip()
    (Path(place) / "libraries.pth").write_text(str(libraries))  # its .pth files, such as that of the source tree, do not count
    return venv / "bin/datapusher"


def test_the_wheel_has_the_data_and_the_types_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    tops = {name.partition("/")[0] for name in names}
    assert tops == {*PACKAGES, "datapusher.py", f"data_pusher-{VERSION}.dist-info"}
    ours = {str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()}
    assert {name for name in ours if "__pycache__" not in name} <= set(names)


def test_the_version_has_one_place(wheel: Path, datapusher: Path, tmp_path: Path) -> None:
    assert f"-{VERSION}-" in wheel.name
    assert VERSION in run(datapusher, "--version", cwd=tmp_path)


def test_what_was_installed_loads_a_file_through_the_whole_service(datapusher: Path, tmp_path: Path) -> None:
    shown = run(datapusher, "demo", cwd=tmp_path)
    where = run(datapusher.parent / "python", "-c", "import gateway; print(gateway.__file__)", cwd=tmp_path)
    assert "complete" in shown
    assert str(datapusher.parents[1]) in where
