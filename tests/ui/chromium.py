"""Debian's Chromium, driven by Playwright: one browser of the machine's own, no download."""

import os
import shutil
import subprocess
from pathlib import Path

from playwright.sync_api import Browser, Error, Playwright

from tests.services import Missing, may_start

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: A browser that talks to nobody but us.
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
GET_CHROMIUM = "install it (apt-get install -y chromium), or name it in DATAPUSHER_TEST_CHROMIUM"


def chromium(playwright: Playwright, program: str = "") -> Browser:
    """A headless browser; where none is installed, root installs Debian's. Raises: Missing."""
    path = program or os.environ.get("DATAPUSHER_TEST_CHROMIUM") or _installed() or _install()
    try:
        return playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
    except Error as error:
        raise Missing(f"{path} does not start: {error.message[:300]}") from None


def _installed() -> str | None:
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


def _install() -> str:
    """In a container of CI nothing is installed, and all is allowed."""
    if os.environ.get("CI") and may_start() and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", "chromium", "fonts-dejavu-core"]):
            subprocess.run(["apt-get", *command], capture_output=True, timeout=600, check=False)
    found = _installed()
    if not found:
        raise Missing(f"no Chromium is here: {GET_CHROMIUM}")
    return str(Path(found))
