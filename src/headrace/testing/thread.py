"""A server in a thread of the test's own process: ready within milliseconds, gone with the test."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from headrace.settings import MEMORY, Settings
from headrace.testing.endpoint import Endpoint

if TYPE_CHECKING:
    from headrace.app import App


@contextlib.contextmanager
def serve(**settings: Any) -> Iterator[Endpoint]:
    """Serve on a free port of 127.0.0.1 while the block runs, in memory and on a virtual clock.

    Warnings and errors are logged. `settings` are those of `headrace.settings.Settings` and go before these. Raises
    what keeps the server from starting (SettingsError, StorageError, ResourcesError).
    """
    server = _ServerThread(
        msgspec.structs.replace(Settings(port=0, data=MEMORY, clock="virtual", log_level="warning"), **settings)
    )
    endpoint = Endpoint(server.start())
    try:
        yield endpoint
    finally:
        endpoint.close_clients()
        server.stop()


class _ServerThread:
    """An event loop in a thread, with one server on it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread = threading.Thread(target=self._run, name="headrace", daemon=True)
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._base_url = ""
        self._failure: BaseException | None = None

    def start(self) -> str:
        """Start, and wait until requests are accepted; the base URL."""
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self._base_url

    def stop(self) -> None:
        """Have the server drain and end; raise what went wrong while it ran."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # the loop has closed meanwhile
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        import structlog
        import uvloop

        from headrace.logging_setup import set_up_structlog

        if not structlog.is_configured():
            set_up_structlog(self._settings.log_level, self._settings.log_format, sys.stderr)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - the test's thread raises it
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        from headrace.app import App, run

        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await run(App(self._settings), self._stop, self._ready)

    def _ready(self, app: App) -> None:
        self._base_url = app.server.base_url
        self._started.set()
