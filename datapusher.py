"""The command line, and the only place that wires the parts together.

Commands import what they need when they run: `datapusher --help` must not wait for Polars.
"""

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from schemas.collector import collect_rarely
from schemas.errors import BadSetting, DataPusherError, FileError, StoreUnavailable
from schemas.kept_secret import kept_secret
from schemas.logs import start_logging
from schemas.messages import State
from schemas.niceness import give_way
from schemas.settings import Settings, numbers, rows_of_table, words
from schemas.store import POOL_SIZE, open_store, store_url
from schemas.topology import Topology, topology

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from sqlalchemy import Engine

    from consumer.job import JobFunction
    from publisher.bus import Bus
    from publisher.watch import Watch

logger = logging.getLogger("datapusher")

VERSION = files("schemas").joinpath("VERSION").read_text().strip()
#: CKAN's `pending` is queued, running or retrying; its `error` every end but complete.
STATES = click.Choice(["pending", *(state.value for state in State)])
#: A fifth of Python's own: what the event loop may wait for a thread, more than once in a request.
SWITCH_S = 0.001
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


@dataclass(frozen=True)
class Installation:
    """What every role is wired from; parts are made when first asked for."""

    settings: Settings
    #: What this process is: gateway, worker, recorder, or `up` for all three; "" for none.
    role: str = ""

    @classmethod
    def here(cls, role: str = "", port: int | None = None) -> "Installation":
        """The installation that the environment describes; a secret key that it does not name is made and kept."""
        chosen = {} if port is None else {"DATAPUSHER_PORT": str(port)}
        settings = Settings.read({**os.environ, **chosen})
        kept = Path(settings.data_dir).expanduser() / "secret.key"
        return cls(replace(settings, secret_key=settings.secret_key or kept_secret(kept)[0]), role)

    @cached_property
    def store_url(self) -> str:
        return store_url(self.settings.sqlalchemy_database_uri, self.settings.data_dir)

    @cached_property
    def engine(self) -> "Engine":
        return open_store(self.store_url, pool_size=POOL_SIZE * (2 if self.role == "up" else 1))

    @cached_property
    def jobs(self) -> "Mapping[str, JobFunction]":
        from consumer import job

        # Modules beside the place the command is started in can be named too; none of them stands in for an installed one.
        sys.path.append("")
        return job.load(words(self.settings.job_modules))

    @cached_property
    def topology(self) -> Topology:
        settings = self.settings
        delays = (*numbers(settings.retry_delays), *numbers(settings.callback_delays), settings.busy_delay)
        return topology(settings.vhost_prefix, self.jobs, delays)

    @cached_property
    def watch(self) -> "Watch":
        from publisher.watch import Watch, start_tracing

        return Watch(tracer=start_tracing(os.environ, self.role))

    def bus(self, role: str = "command", loop: "AbstractEventLoop | None" = None) -> "Bus":
        """Not connected yet. RabbitMQ's management UI shows the *role* in the connection's name."""
        from publisher.connect import connect

        where, name = (self.settings.broker_url, self.topology, self.store_url), f"Data Pusher {role}"
        return connect(*where, loop=loop, name=name, relaxed=role != "command")  # all that a role knows is in its store


def _with_password(settings: Settings) -> Settings:
    """Only the gateway needs it, so only the gateway makes one, and says so once."""
    path = Path(settings.data_dir).expanduser() / "admin.password"
    password, made = (settings.password, False) if settings.password else kept_secret(path)
    if made:
        click.echo(f"Made a password for {settings.username}: {password}")
        click.echo(f"  kept in {path}; set DATAPUSHER_PASSWORD to choose one")
    return replace(settings, password=password)


class Cli(click.Group):
    """Says what went wrong in one line: exit status 2 for a setting that cannot be used, 1 for the rest."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except BadSetting as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(2)
        except DataPusherError as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(1)


@click.group(cls=Cli, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="datapusher")
def main() -> None:
    """Data Pusher: turns every file uploaded to a CKAN site into a queryable DataStore table.

    Settings are environment variables that begin with DATAPUSHER_; see `datapusher settings`.
    """


# ------------------------------------------------------------------------------------------------------------- services


port_option = click.option("--port", type=int, help="Listen on this port instead of DATAPUSHER_PORT's.")


@main.command()
@port_option
def up(port: int | None) -> None:
    """Run gateway, worker and recorder in one go."""
    _serve(Installation.here("up", port), gateway=True, worker=True, recorder=True)


@main.command()
@port_option
def gateway(port: int | None) -> None:
    """Run the HTTP side: CKAN posts its jobs here."""
    _serve(Installation.here("gateway", port), gateway=True)


@main.command()
def worker() -> None:
    """Run jobs from the queue and deliver their callbacks."""
    _serve(Installation.here("worker"), worker=True)


@main.command()
def recorder() -> None:
    """Write what is told on the bus to the store."""
    give_way()  # whoever asks for a job does not wait for what is told of others
    _serve(Installation.here("recorder"), recorder=True)


def _serve(here: Installation, *, gateway: bool = False, worker: bool = False, recorder: bool = False) -> None:
    """Runs the roles in threads until SIGTERM or SIGINT; one that fails ends the process."""
    start_logging(here.settings)
    watch = here.watch
    stop, failed = threading.Event(), list[BaseException]()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    _check(here, listens=gateway)
    _await_store(here, stop)
    chosen = ((_run_recorder, recorder), (_run_worker, worker), (_run_gateway, gateway))
    threads = [_start(role, here, stop, failed) for role, wanted in chosen if wanted and not stop.is_set()]
    while not stop.wait(1.0):
        pass
    for thread in threads:
        thread.join()
    watch.tracer.close()
    if failed:
        raise failed[0]


def _check(here: Installation, *, listens: bool) -> None:
    """What cannot be right whatever the store says is said before anybody waits for the store. Raises: BadSetting."""
    import asyncio

    from schemas.sealing import Sealer, message_keys

    _check_options(here)
    _ = here.jobs, Sealer(message_keys(here.settings.secret_key, words(here.settings.message_keys)))
    if listens:
        asyncio.run(_free(here.settings.host, here.settings.port))


def _check_options(here: Installation) -> None:
    from consumer.push.options import Options

    try:
        Options.parse(defaults=here.settings.option_defaults())
    except FileError as error:
        raise BadSetting(f"DATAPUSHER_{str(error.details['Option']).upper()}", error.message) from error


def _await_store(here: Installation, stop: threading.Event) -> None:
    """Until the store is open or *stop* is set: a role waits for a store that is away at its start as it does later on."""
    from publisher.backoff import delays

    for pause_s in delays():
        try:
            _ = here.engine  # kept once it is open; an error is not
            return
        except StoreUnavailable as error:
            logger.warning("cannot start without the store, trying again in %.1f s: %s", pause_s, error.message)
        if stop.wait(pause_s):
            return


Role = Callable[[Installation, threading.Event], None]


def _start(role: Role, here: Installation, stop: threading.Event, failed: list[BaseException]) -> threading.Thread:
    def run() -> None:
        try:
            role(here, stop)
        except BaseException as error:  # whatever it is, the whole process must end with it, not one role silently
            failed.append(error)
        finally:
            stop.set()

    thread = threading.Thread(target=run, name=role.__name__.removeprefix("_run_"))
    thread.start()
    return thread


@contextmanager
def _shown(here: Installation, role: str, bus: "Bus") -> Iterator[None]:
    """Shows *role* among the figures of this process; on METRICS_PORT where no gateway is here to do so."""
    from publisher.metrics_server import MetricsServer

    figures, settings = here.watch.figures, here.settings
    figures.says(role)
    figures.gauge("datapusher_bus_connected").labels(role).set_function(lambda: bus.connected)
    if not (settings.metrics and settings.metrics_port and here.role == role):
        yield
        return
    away = "The bus cannot be reached."
    with MetricsServer(settings.host, settings.metrics_port, figures.text, lambda: "" if bus.connected else away):
        yield


def _run_recorder(here: Installation, stop: threading.Event) -> None:
    from consumer.recorder import run_recorder

    bus = here.bus("recorder")
    collect_rarely()
    try:
        with _shown(here, "recorder", bus):
            run_recorder(here.settings, here.engine, bus, here.topology, stop, here.watch)
    finally:
        bus.close()


def _run_worker(here: Installation, stop: threading.Event) -> None:
    from consumer.callback import run_callbacks
    from consumer.worker import run_worker

    bus = here.bus("worker")
    parts = (here.settings, here.engine, bus, here.topology, stop, here.watch)
    callbacks = threading.Thread(target=run_callbacks, args=parts, name="callbacks")
    callbacks.start()
    collect_rarely()
    try:
        with _shown(here, "worker", bus):
            run_worker(*parts)
    finally:
        stop.set()
        callbacks.join()
        bus.close()


def _run_gateway(here: Installation, stop: threading.Event) -> None:
    import asyncio

    asyncio.run(_gateway_until(here, stop))


async def _gateway_until(here: Installation, stop: threading.Event) -> None:
    import asyncio

    from aiohttp import web

    from gateway.app import make_app

    settings = _with_password(here.settings)
    await _free(settings.host, settings.port)
    bus = here.bus("gateway", asyncio.get_running_loop())
    job_types = {name: function.synchronous for name, function in here.jobs.items()}
    here.watch.figures.says("gateway")
    runner = web.AppRunner(make_app(settings, here.engine, bus, job_types, here.watch), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, settings.host, settings.port).start()
    _answer_promptly()
    _say_where(here, runner.addresses[0][1])
    await asyncio.to_thread(stop.wait)
    await runner.cleanup()
    bus.close()


async def _free(host: str, port: int) -> None:
    """Tries to listen there before anything else is begun. Raises: BadSetting."""
    import asyncio

    try:
        server = await asyncio.get_running_loop().create_server(asyncio.Protocol, host, port)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise BadSetting("DATAPUSHER_PORT", f"cannot listen on {host}:{port}: {why}") from error
    server.close()
    await server.wait_closed()


def _answer_promptly() -> None:
    """Keeps answers from waiting for what is not theirs: a look at all objects of all imports for garbage takes 100 ms, and
    a thread that computes keeps the interpreter for itself for SWITCH_S, each time."""
    collect_rarely()
    sys.setswitchinterval(SWITCH_S)


def _say_where(here: Installation, port: int) -> None:
    from schemas.addresses import broker_address, store_address

    host = "localhost" if here.settings.host in ("0.0.0.0", "::", "") else here.settings.host
    url = f"http://{host}:{port}{here.settings.url_prefix.rstrip('/')}/"
    click.echo(f"Data Pusher {VERSION} listens on {url}")
    click.echo(f"  CKAN's setting   ckan.datapusher.url = {url}")
    click.echo(f"  the dashboard is {url}ui")
    click.echo(f"  jobs are kept in {store_address(here.engine)}")
    click.echo(f"  messages go by   {broker_address(here.settings.broker_url)}")
    sys.stdout.flush()


# ---------------------------------------------------------------------------------------------------------------- a try


@main.command()
@click.option("--keep", is_flag=True, help="Leave everything running afterwards, until Ctrl-C.")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def demo(file: Path | None, keep: bool) -> None:
    """Load FILE (a public data set by default) through the whole service, embedded, and print its table."""
    from gateway.client import follow_job
    from sandbox.demo import run_demo

    sys.exit(run_demo([sys.executable, str(Path(__file__).resolve()), "up"], file, follow_job, keep=keep))


@main.command("inspect")
@click.argument("file_or_url")
@click.option("--format", "declared", default="", help="The format that the resource declares.")
@click.option("--options", default="{}", help="Job options, as a JSON object; see docs/tables.md.")
@click.option("--rows", is_flag=True, help="With --json: all rows, as `data`.")
@click.option("--rejects", type=click.File("w"), help="Write the rejected rows to this CSV file.")
@as_json
def inspect_(file_or_url: str, declared: str, options: str, rows: bool, rejects: Any, as_json: bool) -> None:
    """Show the table that FILE_OR_URL would become, without loading it."""
    from consumer.push.inspect_command import run_inspect

    sys.exit(
        run_inspect(Settings.read(os.environ), file_or_url, declared, options, rows=rows, rejects=rejects, as_json=as_json)
    )


# ----------------------------------------------------------------------------------------------------------------- jobs

gateway_url = click.option("--url", envvar="DATAPUSHER_URL", help="The gateway; by default the one of this machine's settings.")


def _client(url: str | None) -> Any:
    from gateway.client import GatewayClient

    settings = Installation.here().settings
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host
    return GatewayClient(url or f"http://{host}:{settings.port}/", settings.secret_key)


@main.command()
@click.argument("job", type=click.File("rb"))
@click.option("--wait", is_flag=True, help="Show progress until the job has ended.")
@gateway_url
@as_json
def submit(job: Any, wait: bool, url: str | None, as_json: bool) -> None:
    """Post JOB, a JSON file with the body of POST /job (- for standard input)."""
    from gateway import client

    sys.exit(client.submit(_client(url), job.read(), wait=wait, as_json=as_json))


@main.command()
@click.argument("job_id", required=False)
@click.option("--state", type=STATES, help="Only jobs in this state.")
@click.option("--limit", default=20, show_default=True, help="How many jobs are listed.")
@gateway_url
@as_json
def status(job_id: str | None, state: str | None, limit: int, url: str | None, as_json: bool) -> None:
    """Show one job, or the newest ones."""
    from gateway import client

    sys.exit(client.status(_client(url), job_id, state, limit, as_json=as_json))


@main.command()
@click.argument("job_id")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@gateway_url
@as_json
def logs(job_id: str, follow: bool, url: str | None, as_json: bool) -> None:
    """Show a job's log."""
    from gateway import client

    sys.exit(client.logs(_client(url), job_id, follow=follow, as_json=as_json))


@main.command()
@click.argument("job_id")
@gateway_url
@as_json
def cancel(job_id: str, url: str | None, as_json: bool) -> None:
    """Stop a job that waits or runs."""
    from gateway import client

    sys.exit(client.cancel(_client(url), job_id, as_json=as_json))


@main.command()
@click.argument("job_ids", nargs=-1)
@click.option("--state", type=STATES, help="Instead of ids: all jobs in this state, such as error.")
@click.option("--api-key", default="", help="CKAN's token for them; needed where a job was published with a plain one.")
@gateway_url
@as_json
def resubmit(job_ids: Sequence[str], state: str | None, api_key: str, url: str | None, as_json: bool) -> None:
    """Run finished jobs again, as new ones."""
    from gateway import client

    if bool(job_ids) == bool(state):
        raise click.UsageError("Say which: ids of jobs, or --state.")
    gateway = _client(url)
    sys.exit(client.resubmit(gateway, job_ids or gateway.jobs(state or ""), api_key, as_json=as_json))


# ------------------------------------------------------------------------------------------------------------ operation


@main.group()
def dead() -> None:
    """Messages that could not be processed: see why, run them again, or drop them."""


@main.group("topology")
def topology_() -> None:
    """Exchanges, queues and policies on the broker."""


def _broker(here: Installation) -> "Bus":
    """The bus, connected. Raises: BusError."""
    from publisher.connect import await_connected

    bus = here.bus()
    await_connected(bus, 10.0)
    return bus


def _dead_options(command: Callable[..., None]) -> Callable[..., None]:
    """Which dead messages: all options of one call must fit."""
    for option in (
        click.option("--id", "message_id", default="", help="This message or job."),
        click.option("--reason", default="", help="Those whose reason has this text."),
        click.option("--type", "job_type", default="", help="Those of this job type."),
        click.option("--callbacks", is_flag=True, help="Callbacks that could not be delivered, instead of jobs."),
    ):
        command = option(command)
    return command


def _dead_queue(here: Installation, callbacks: bool) -> str:
    return here.topology.names.dead_callbacks if callbacks else here.topology.names.dead


@dead.command("list")
@_dead_options
@as_json
def dead_list(message_id: str, reason: str, job_type: str, callbacks: bool, as_json: bool) -> None:
    """List dead messages; nothing is taken from the queue."""
    _show_dead(*_look(message_id, reason, job_type, callbacks), as_json=as_json)


@dead.command("show")
@click.argument("message_id")
@click.option("--callbacks", is_flag=True, help="A callback, instead of a job.")
def dead_show(message_id: str, callbacks: bool) -> None:
    """Show one dead message whole as JSON, its API key masked."""
    from dataclasses import asdict

    letters, _ = _look(message_id, "", "", callbacks)
    if not letters:
        raise DataPusherError(f"No dead message {message_id}.")
    for letter in letters:
        click.echo(json.dumps(asdict(letter), indent=2, ensure_ascii=False))


@dead.command("replay")
@_dead_options
@click.option("--all", "everything", is_flag=True, help="Every one of them.")
def dead_replay(message_id: str, reason: str, job_type: str, callbacks: bool, everything: bool) -> None:
    """Put dead messages back into the queue they came from."""
    _do_dead("replay", message_id, reason, job_type, callbacks, everything)


@dead.command("purge")
@_dead_options
@click.option("--all", "everything", is_flag=True, help="Every one of them.")
def dead_purge(message_id: str, reason: str, job_type: str, callbacks: bool, everything: bool) -> None:
    """Drop dead messages for ever."""
    _do_dead("purge", message_id, reason, job_type, callbacks, everything)


def _look(message_id: str, reason: str, job_type: str, callbacks: bool) -> tuple[list[Any], str]:
    from publisher import dead

    here = Installation.here()
    bus, queue = _broker(here), _dead_queue(here, callbacks)
    try:
        return dead.look(bus, queue, dead.chosen(message_id=message_id, reason=reason, job_type=job_type)), queue
    finally:
        bus.close()


def _do_dead(verb: str, message_id: str, reason: str, job_type: str, callbacks: bool, everything: bool) -> None:
    from publisher import dead

    if not (message_id or reason or job_type or everything):
        raise click.UsageError("Say which: --id, --reason, --type, or --all.")
    here = Installation.here()
    bus, queue = _broker(here), _dead_queue(here, callbacks)
    which = dead.chosen(message_id=message_id, reason=reason, job_type=job_type)
    try:
        done = dead.replay(bus, here.topology.names, queue, which) if verb == "replay" else dead.purge(bus, queue, which)
    finally:
        bus.close()
    for letter in done:
        what = letter.message_id or "a message without an id"
        click.echo(f"{'replayed' if verb == 'replay' else 'dropped'} {what} ({letter.reason})")
    click.echo(f"{len(done)} message{'' if len(done) == 1 else 's'}")


def _show_dead(letters: Sequence[Any], queue: str, *, as_json: bool) -> None:
    from dataclasses import asdict

    from rich.table import Table

    from gateway.client import wide_console

    if as_json:
        click.echo(json.dumps([asdict(letter) for letter in letters], ensure_ascii=False))
        return
    table = Table("message", "job type", "reason", "since", "from", title=f"{len(letters)} in {queue}", title_justify="left")
    for letter in letters:
        table.add_row(letter.message_id, letter.job_type, letter.reason, letter.at, letter.queue)
    wide_console().print(table)


@topology_.command("show")
@as_json
def topology_show(as_json: bool) -> None:
    """Print what belongs on the broker."""
    here = Installation.here().topology
    if as_json:
        click.echo(json.dumps(_plain(here), indent=2))
        return
    for kind, things in (("exchange", here.exchanges), ("queue", here.queues), ("policy", here.policies)):
        for thing in things:
            click.echo(f"{kind:9} {thing.name}")


def _plain(here: Topology) -> dict[str, object]:
    from dataclasses import asdict

    return {key: value for key, value in asdict(here).items() if key != "names"}


@topology_.command("apply")
def topology_apply() -> None:
    """Declare exchanges and queues, and apply the policies through RabbitMQ's management API."""
    from publisher.policies import apply

    here = Installation.here()
    _broker(here).close()
    click.echo("Exchanges, queues and bindings are declared.")
    if here.settings.broker_url.startswith("amqp"):
        apply(here.topology, here.settings.broker_url, here.settings.management_url)
        click.echo(f"Applied {len(here.topology.policies)} policies.")


@topology_.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default=Path("deploy/definitions.json"))
def topology_export(file: Path) -> None:
    """Write the definitions file that RabbitMQ can import when it starts."""
    from publisher.policies import export

    export(Installation.here().topology, file)
    click.echo(f"Wrote {file}")


@main.command()
@click.option("--ckan", "ckan_url", default="", help="Look at this CKAN too.")
@click.option("--api-key", envvar="CKAN_API_TOKEN", default="", help="The token CKAN sends with its jobs (or CKAN_API_TOKEN).")
@as_json
def doctor(ckan_url: str, api_key: str, as_json: bool) -> None:
    """Check everything a promise rests on, and say what to do about each failure."""
    from dataclasses import asdict

    from consumer.doctor import Patient, examine

    here = Installation.here()
    host = "127.0.0.1" if here.settings.host in ("0.0.0.0", "::", "") else here.settings.host
    gateway_url = f"http://{host}:{here.settings.port}/"
    verdicts = []
    for finding in examine(Patient(here.settings, here.store_url, here.topology, here.bus, ckan_url, api_key, gateway_url)):
        verdicts.append(finding.verdict)
        click.echo(json.dumps(asdict(finding)) if as_json else _in_words(finding))
    sys.exit(1 if "wrong" in verdicts else 0)


def _in_words(finding: Any) -> str:
    mark = {"ok": click.style("ok     ", fg="green"), "warning": click.style("warning", fg="yellow")}
    line = f"{mark.get(finding.verdict, click.style('WRONG  ', fg='red'))}  {finding.check}: {finding.seen}"
    return line + (f"\n           -> {finding.advice}" if finding.advice else "")


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--ckan", "ckan_url", default="", help="The CKAN to load into, through its API.")
@click.option("--api-key", envvar="CKAN_API_TOKEN", default="", help="A CKAN token (or CKAN_API_TOKEN).")
@click.option("--to", "database_url", default="", help="A postgresql:// URL to load into, by COPY; with --ckan its DataStore.")
@click.option("--resource", "resource_id", required=True, help="The resource's id, which is the table's name.")
@click.option("--options", default="{}", help="Job options, as a JSON object; see docs/tables.md.")
def load(file: Path, ckan_url: str, api_key: str, database_url: str, resource_id: str, options: str) -> None:
    """Load one file without bus or gateway."""
    from consumer.push.load_command import Destination, run_load

    if not (ckan_url or database_url):
        raise click.UsageError("Say where: --ckan URL, --to postgresql://…, or both.")
    destination = Destination(resource_id=resource_id, ckan_url=ckan_url, api_key=api_key, database_url=database_url)
    sys.exit(run_load(Settings.read(os.environ), file, destination, options))


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes SHELL complete this command's words.

    \b
    For bash, in ~/.bashrc:                       eval "$(datapusher completion bash)"
    For zsh, in ~/.zshrc:                         eval "$(datapusher completion zsh)"
    For fish, in ~/.config/fish/config.fish:      datapusher completion fish | source
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(main, {}, "datapusher", "_DATAPUSHER_COMPLETE").source())


@main.command("settings")
@click.option("--markdown", is_flag=True, help="As the page docs/settings.md.")
@as_json
def settings_(markdown: bool, as_json: bool) -> None:
    """List every setting with its value here."""
    if markdown:
        click.echo(settings_page(), nl=False)
        return
    values = Settings.read(os.environ)
    shown = {
        row.variable: "…" if row.secret and getattr(values, row.name) else getattr(values, row.name) for row in rows_of_table()
    }
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    for row in rows_of_table():
        click.echo(f"{row.variable:38} {shown[row.variable]!s:24} {row.help}{f' ({row.unit})' if row.unit else ''}")


def settings_page() -> str:
    """docs/settings.md, from the table in schemas/settings.py; a test fails when the file differs."""
    lines = [
        "# Settings",
        "",
        "Environment variables, or the lower-case name without `DATAPUSHER_` in the TOML file that",
        "`DATAPUSHER_CONFIG` names. The environment wins. Written by `make docs` from `schemas/settings.py`.",
    ]
    section = ""
    for row in rows_of_table():
        if row.section != section:
            section = row.section
            lines += ["", f"## {section}", "", "| variable | default | unit | what it does |", "|---|---|---|---|"]
        default = "" if row.default == "" else f"`{str(row.default).lower() if isinstance(row.default, bool) else row.default}`"
        lines.append(f"| `{row.variable}` | {default} | {row.unit} | {row.help.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
