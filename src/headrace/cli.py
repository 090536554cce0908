"""The command line: `headrace serve`, `headrace health`, `headrace version`.

Every option has an environment variable, `HEADRACE_` and its name. Imports that take time stand in the commands that
need them, so that `headrace version` and a wrong option answer at once.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from headrace import __version__
from headrace.settings import (
    DEFAULT_DATA,
    DEFAULT_PORT,
    MEMORY,
    ClockName,
    EngineName,
    LogFormat,
    LogLevel,
    QuotasName,
    Settings,
    SettingsError,
)

if TYPE_CHECKING:
    from headrace.app import App

cli = typer.Typer(
    name="headrace",
    help="The AWS messaging and streaming APIs, served from your own machine.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command that the arguments name."""
    cli()


def _option(name: str, text: str) -> Any:
    """An option together with its environment variable."""
    variable = "HEADRACE_" + name.partition("/")[0].strip("-").upper().replace("-", "_")
    return typer.Option(name, envvar=variable, help=text)


@cli.command()
def serve(
    host: Annotated[str, _option("--host", "Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, _option("--port", "Port to listen on; 0 takes a free one.")] = DEFAULT_PORT,
    data: Annotated[str, _option("--data", f"Directory of the data, or {MEMORY} to keep nothing.")] = DEFAULT_DATA,
    engine: Annotated[EngineName, _option("--engine", "What stores the data.")] = "sqlite",
    clock: Annotated[ClockName, _option("--clock", "virtual: time that tests may move on.")] = "system",
    quotas: Annotated[QuotasName, _option("--quotas", "none: lift throughput limits, never sizes.")] = "aws",
    tls_cert: Annotated[str | None, _option("--tls-cert", "Certificate (PEM): serve HTTPS.")] = None,
    tls_key: Annotated[str | None, _option("--tls-key", "The certificate's key (PEM).")] = None,
    test_endpoints: Annotated[
        bool | None,
        _option("--test-endpoints/--no-test-endpoints", "Serve reset and clock.  [default: on loopback only]"),
    ] = None,
    resources: Annotated[str | None, _option("--resources", "YAML file of queues to have from the start.")] = None,
    log_level: Annotated[LogLevel, _option("--log-level", "How much is logged.")] = "info",
    log_format: Annotated[LogFormat, _option("--log-format", "auto: human on a terminal, else JSON.")] = "auto",
) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    settings = Settings(**{name: value for name, value in locals().items() if name in Settings.__struct_fields__})
    try:
        settings.check()
    except SettingsError as error:
        _fail(str(error), code=2)
    _serve(settings)


@cli.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"headrace {__version__}")


@cli.command()
def health(
    url: Annotated[str, _option("--url", "The server to ask.")] = f"http://127.0.0.1:{DEFAULT_PORT}",
) -> None:
    """Ask a running server how it is; exit code 1 when it does not answer."""
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/_headrace/health", timeout=5) as answer:  # noqa: S310 - one's own
            typer.echo(json.dumps(json.load(answer), indent=2))
    except (OSError, ValueError) as error:
        _fail(f"no answer from {url}: {getattr(error, 'reason', error)}")


def _serve(settings: Settings) -> None:
    import uvloop

    from headrace.app import App
    from headrace.errors import StorageError
    from headrace.logging_setup import set_up_logging
    from headrace.resources import ResourcesError

    set_up_logging(settings.log_level, settings.log_format)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_stopped(App(settings)))
    except (StorageError, ResourcesError, OSError) as error:
        _fail(str(error))


async def _until_stopped(app: App) -> None:
    """Serve until a signal asks for the end; a second one ends the process without waiting for calls in progress."""
    from headrace.app import run

    stop = asyncio.Event()

    def ask() -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask)
    await run(app, stop, _announce)


def _announce(app: App) -> None:
    """Say that requests are accepted. The first line is what scripts wait for."""
    typer.echo(f"headrace ready on {app.server.base_url}")
    typer.echo(f"{app.engine.describe()}; clock: {app.settings.clock}; quotas: {app.settings.quotas}")
    sys.stdout.flush()


def _fail(message: str, code: int = 1) -> NoReturn:
    typer.echo(f"headrace: {message}", err=True)
    raise SystemExit(code)
