"""The command line: `headrace serve`, `headrace health`, `headrace version`.

Every option has an environment variable, `HEADRACE_` and its name. Imports that take time stand in the commands that
need them, so that `headrace version` and a wrong option answer at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn, get_args

import click

from headrace import __version__, limits
from headrace.settings import (
    MEMORY,
    ClockName,
    EngineName,
    LogFormat,
    LogLevel,
    PoliciesName,
    QuotasName,
    Settings,
    SettingsError,
)

if TYPE_CHECKING:
    from headrace.app import App

DEFAULTS: Final = Settings()
START_PAUSE_S: Final = 0.5
"""Between two tries to start."""
TOLD_EVERY_S: Final = 10.0
"""How often a move that takes long is told of in a log."""


def main() -> None:
    """Run the command that the arguments name; one line on standard error when there is something wrong with them."""
    try:
        cli.main(standalone_mode=False)
    except click.UsageError as error:
        hint = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        _fail(error.format_message() + hint, code=error.exit_code)


@click.group(invoke_without_command=True)
@click.pass_context
def cli(context: click.Context) -> None:
    """AWS messaging APIs, served from your own machine."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _option(name: str, text: str, kind: Any = str) -> Callable[[Any], Any]:
    """A setting as an option, with its environment variable. `kind` is a type, or the Literal of what may be chosen."""
    field = name.partition("/")[0].strip("-").replace("-", "_")
    return click.option(
        name,
        type=click.Choice(get_args(kind)) if get_args(kind) else kind,
        default=getattr(DEFAULTS, field),
        envvar=f"HEADRACE_{field.upper()}",
        help=text,
        show_default=True,
        show_envvar=True,
    )


def _nats_options(command: Any) -> Any:
    """The options that say how NATS servers are spoken to, for the commands that do."""
    options = [
        _option("--replicas", "Copies that NATS keeps of everything: 1, 3 or 5.", int),
        _option("--nats-prefix", "Begins the names of all streams: deployments with different ones share a cluster."),
        _option("--nats-domain", "JetStream domain."),
        _option("--nats-user", "User on the NATS servers."),
        _option("--nats-password", "The user's password; better given in the environment."),
        _option("--nats-token", "Token instead of a user; better given in the environment."),
        _option("--nats-nkey", "File with an nkey seed."),
        _option("--nats-creds", "Credentials file (JWT and nkey seed); it decides the NATS account."),
        _option("--nats-tls-ca", "CA certificates (PEM) that the NATS servers' are checked with."),
        _option("--nats-tls-cert", "Client certificate (PEM) for the NATS servers."),
        _option("--nats-tls-key", "The client certificate's key (PEM)."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@cli.command(context_settings={"max_content_width": 120})
@_option("--host", "Address to listen on.")
@_option("--port", "Port to listen on; 0 takes a free one.", int)
@_option("--data", f"Directory of the data, or {MEMORY} to keep nothing.")
@_option("--engine", "What stores the data.", EngineName)
@_option("--nats", "NATS servers (nats://a,b,c), or embedded to have one started under the data directory.")
@_nats_options
@_option("--workers", "Processes to serve with; more than one needs NATS.", int)
@_option("--clock", "virtual: time that tests may move on.", ClockName)
@_option("--quotas", "none: lift throughput limits, never sizes.", QuotasName)
@_option("--policies", "aws: queues without a policy take nothing from topics, as on AWS.", PoliciesName)
@_option("--tls-cert", "Certificate (PEM): serve HTTPS.")
@_option("--tls-key", "The certificate's key (PEM).")
@_option("--share-port/--no-share-port", "Listen beside other processes that do so on the same port.", bool)
@_option("--test-endpoints/--no-test-endpoints", "Serve reset and clock; on loopback only unless given.", bool)
@_option("--resources", "YAML file of queues and topics to have from the start.")
@_option("--public-url", "Where people reach this server, for the links they are sent.")
@_option("--smtp-url", "Mail server, smtp://user:password@host:port; without one e-mail goes to the outbox.")
@_option("--smtp-from", "Sender of e-mails.")
@_option("--sms-url", "smpp://system_id:password@host:port, or an HTTP gateway's URL with {to} and {text}.")
@_option("--sms-body", "Body for the HTTP gateway, JSON or a form, with {to}, {from}, {text}, {type} and {id}.")
@_option("--sms-number", "Number that messages come from.")
@_option("--sms-sandbox/--no-sms-sandbox", "Send SMS to verified numbers only.", bool)
@_option("--push", "providers, or PLATFORM=URL with commas between; other mobile push goes to the outbox.")
@_option("--outgoing-ca", "CA certificates (PEM) to trust besides the machine's when messages are sent out.")
@_option("--signing-key", "Key (PEM, RSA) that notifications are signed with; one is made without.")
@_option("--signing-cert", "The signing key's certificate (PEM).")
@_option("--log-level", "How much is logged.", LogLevel)
@_option("--log-format", "auto: human on a terminal, else JSON.", LogFormat)
def serve(**options: Any) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    try:
        settings = Settings(**options)
        settings.check()
    except SettingsError as error:
        _fail(str(error), code=2)
    _serve(settings)


@cli.command(context_settings={"max_content_width": 120})
@click.option("--from", "origin", required=True, help="Where everything is: a data directory, or NATS servers.")
@click.option("--to", "destination", required=True, help="Where it goes: NATS servers (nats://a,b,c), or a directory.")
@_nats_options
def migrate(origin: str, destination: str, **options: Any) -> None:
    """Move everything from a data directory to NATS servers, or back.

    Nothing may serve either of them meanwhile. The origin is left as it is.
    """
    import uvloop

    from headrace.errors import StorageError
    from headrace.migrate import Migration, Mismatch, ends
    from headrace.primitives.transfer import NotReady

    chosen = {field.removeprefix("nats_"): value for field, value in options.items()}
    began_s = time.monotonic()
    try:
        migration = Migration(*ends(origin, destination, chosen), _Telling())
        moved = uvloop.run(migration.run())
    except SettingsError as error:
        _fail(str(error), code=2)
    except (NotReady, Mismatch, StorageError, OSError) as error:
        _fail(str(error))
    click.echo(f"moved {moved} in {time.monotonic() - began_s:.1f} s, and counted them again")


class _Telling:
    """Tells on standard error how far a move is: a line that changes on a terminal, else one now and then."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._told_s = time.monotonic()

    def __call__(self, moved: object) -> None:
        if self._terminal:
            click.echo(f"\r\033[K{moved}", err=True, nl=False)
        elif time.monotonic() - self._told_s >= TOLD_EVERY_S:
            self._told_s = time.monotonic()
            click.echo(str(moved), err=True)


@cli.command()
def version() -> None:
    """Print the version."""
    click.echo(f"headrace {__version__}")


@cli.command()
@click.option("--url", default=DEFAULTS.base_url, help="The server to ask.", show_default=True)
def health(url: str) -> None:
    """Ask a running server how it is; exit code 1 when it does not answer."""
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/_headrace/health", timeout=5) as answer:  # noqa: S310 - one's own
            click.echo(json.dumps(json.load(answer), indent=2))
    except (OSError, ValueError) as error:
        _fail(f"no answer from {url}: {getattr(error, 'reason', error)}")


def _serve(settings: Settings) -> None:
    import uvloop

    from headrace.errors import StorageError
    from headrace.logging_setup import set_up_logging

    set_up_logging(settings.log_level, settings.log_format)
    if settings.workers > 1:
        _supervise(settings)
        return
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_stopped(settings))
    except (SettingsError, StorageError) as error:
        _fail(str(error))
    except OSError as error:
        _fail(str(error) if error.filename else error.strerror or str(error))


def _supervise(settings: Settings) -> None:
    from headrace.errors import StorageError
    from headrace.supervise import Supervisor, WorkerFailed

    try:
        raise SystemExit(asyncio.run(Supervisor(settings).run()))
    except (StorageError, WorkerFailed, OSError) as error:
        _fail(str(error))


async def _until_stopped(settings: Settings) -> None:
    """Serve until a signal asks for the end; a second one ends the process without waiting for calls in progress."""
    stop = asyncio.Event()

    def ask() -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()

    def left() -> None:
        loop.remove_reader(sys.stdin.fileno())
        ask()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask)
    if os.environ.get("HEADRACE_SUPERVISED"):
        loop.add_reader(sys.stdin.fileno(), left)
    await _run_patiently(settings, stop)


async def _run_patiently(settings: Settings, stop: asyncio.Event) -> None:
    """Run the server; from the beginning again, for a while, when its store does not answer at the start."""
    import structlog

    from headrace.app import App, run
    from headrace.errors import StorageUnavailable

    until_s = time.monotonic() + limits.START_PATIENCE_S
    while not stop.is_set():
        try:
            await run(App(settings), stop, _announce)
        except StorageUnavailable as error:
            if time.monotonic() > until_s:
                raise
            structlog.get_logger().warning("start_waits", reason=str(error))
        else:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), START_PAUSE_S)


def _announce(app: App) -> None:
    """Say that requests are accepted. The first line is what scripts wait for."""
    gc.freeze()  # what stands from the start is there to stay: collections need not look at it
    gc.set_threshold(limits.COLLECTED_OBJECTS)
    click.echo(f"headrace ready on {app.server.base_url}")
    click.echo(f"{app.engine.describe()}; clock: {app.settings.clock}; quotas: {app.settings.quotas}")
    sys.stdout.flush()


def _fail(message: str, code: int = 1) -> NoReturn:
    click.echo(f"headrace: {message}", err=True)
    raise SystemExit(code)
