"""Programs of the system that tests try deploy/ with."""

import os
import shutil
import subprocess

import pytest

from tests.conftest import needed
from tests.services import Missing

#: Program -> Debian's package that has it.
PACKAGES = {"promtool": "prometheus", "nginx": "nginx-light", "systemd-analyze": "systemd"}
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"


def tool(request: pytest.FixtureRequest, name: str) -> str:
    """Where the program is; a CI that may do so installs it, at home its tests are skipped."""
    with needed(request, name):
        if not shutil.which(name, path=PATH) and os.environ.get("CI") and os.geteuid() == 0 and shutil.which("apt-get"):
            install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", PACKAGES[name]]
            subprocess.run(install, capture_output=True, timeout=600)
        program = shutil.which(name, path=PATH)
        if not program:
            raise Missing(f"apt-get install -y --no-install-recommends {PACKAGES[name]}")
    return program
