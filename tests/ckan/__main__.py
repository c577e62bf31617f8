"""`make test-ckan`: a real CKAN is brought up, the contract suite and the tests of this folder run, and it goes again.

`python -m tests.ckan --keep` leaves it running until Ctrl-C and tells how to reach it. More words go to pytest, for
instance `python -m tests.ckan tests/ckan -k upsert`; then no result is written.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.ckan.databases import ckan_databases
from tests.ckan.packages import HOME, installed_ckan
from tests.ckan.redis import redis
from tests.ckan.result import write_result
from tests.ckan.site import Site, Surroundings
from tests.ckan.solr import Solr
from tests.ckan.telling import say
from tests.services import Missing, free_port, postgresql

SUITES = ("tests/contract", "tests/ckan")


@contextmanager
def running_ckan() -> Iterator[dict[str, str]]:
    """The environment variables that tell tests of it (conftest.py here and in tests/contract). Raises: Missing."""
    with ExitStack() as stack:
        programs = installed_ckan()
        databases = stack.enter_context(ckan_databases(stack.enter_context(postgresql())))
        redis_url, solr = stack.enter_context(redis()), stack.enter_context(Solr())
        around = Surroundings(programs, databases, redis_url, solr.url, free_port())
        site = stack.enter_context(Site(around, HOME / "ckan.log"))
        stack.callback(say, "taking CKAN down")
        yield {
            "DATAPUSHER_TEST_CKAN_URL": site.url,
            "DATAPUSHER_TEST_CKAN_TOKEN": site.token,
            "DATAPUSHER_TEST_CKAN_WRITE_URL": databases.write_url,
            "DATAPUSHER_TEST_CKAN_DATABASE_URL": databases.ckan_url,
            "DATAPUSHER_TEST_SERVICE_PORT": str(around.service_port),
        }


def main(arguments: list[str]) -> int:
    # SIGTERM as Ctrl-C: what was started and made must go in any case.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    started = time.monotonic()
    try:
        with running_ckan() as variables:
            ready_s = time.monotonic() - started
            if arguments == ["--keep"]:
                return _keep(variables)
            if arguments:
                return _pytest(variables, *arguments)
            return _whole(variables, ready_s)
    except Missing as error:
        print(f"No CKAN: {error}", file=sys.stderr)
        return 1


def _whole(variables: Mapping[str, str], ready_s: float) -> int:
    """Both suites, and the result in docs/ckan-tests.md."""
    with TemporaryDirectory(prefix="datapusher-ckan-") as folder:
        reports = {suite: Path(folder) / f"{suite.replace('/', '-')}.xml" for suite in SUITES}
        statuses = []
        for suite, report in reports.items():
            say(f"running {suite}")
            statuses.append(_pytest(variables, suite, "-o", "junit_family=xunit1", f"--junitxml={report}"))
        write_result(reports, variables["DATAPUSHER_TEST_CKAN_WRITE_URL"], ready_s)
    return int(any(statuses))


def _pytest(variables: Mapping[str, str], *arguments: str) -> int:
    command = [sys.executable, "-m", "pytest", "-m", "", *arguments]
    return subprocess.run(command, env={**os.environ, **variables}).returncode


def _keep(variables: Mapping[str, str]) -> int:
    print("\n".join(f"export {name}={value}" for name, value in variables.items()), flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
