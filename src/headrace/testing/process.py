"""A server in a process of its own: for what a thread cannot show, such as `kill -9`, restarts and benchmarks."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
from typing import Any, Final, Self

import msgspec

from headrace.settings import MEMORY, Settings
from headrace.testing.endpoint import Endpoint

START_TIMEOUT_S: Final = 30
STOP_TIMEOUT_S: Final = 30

_READY: Final = b"headrace ready on "


class StartError(Exception):
    """The process ended before it was ready, or was not ready in time; the message holds what it said."""


def spawn(**settings: Any) -> Process:
    """Start `headrace serve` on a free port of 127.0.0.1 and wait until it accepts requests.

    In memory unless `data` says otherwise, and with test endpoints; `settings` are those of
    `headrace.settings.Settings`. Ends with `stop()` or `kill()`, or as a context manager. Raises StartError.
    """
    return Process(msgspec.structs.replace(Settings(port=0, data=MEMORY), **settings))


class Process(Endpoint):
    """A `headrace serve`, its `pid`, and what it has logged so far."""

    def __init__(self, settings: Settings) -> None:
        self._log = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it lives as long as the process
        self._said = b""
        command = [sys.executable, "-m", "headrace", "serve", *_arguments(settings)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._log, env=environment)  # noqa: S603 - ours
        self.pid = self._process.pid
        super().__init__("")
        try:
            self.endpoint_url = self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def log(self) -> str:
        """What the process has written to standard error so far."""
        self._keep_log()
        return self._said.decode(errors="replace")

    def stop(self) -> int:
        """Ask the process to drain and end (SIGTERM), and wait for it; its exit code. Harmless when it has ended."""
        self._process.terminate()
        return self.wait()

    def kill(self) -> None:
        """End the process at once (SIGKILL), as a power cut would."""
        self._process.kill()
        self.wait()

    def wait(self) -> int:
        """Wait for the process to end; its exit code, the negative of the signal that ended it."""
        code = self._process.wait(STOP_TIMEOUT_S)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self.close_clients()
        self._keep_log()
        self._log.close()
        return code

    def _keep_log(self) -> None:
        if not self._log.closed:
            self._said = os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size, 0)

    def _wait_until_ready(self) -> str:
        """The URL of the line that says so."""
        assert self._process.stdout is not None
        deadline_s = time.monotonic() + START_TIMEOUT_S
        said = b""
        while b"\n" not in said:
            readable = select.select([self._process.stdout], [], [], max(0.0, deadline_s - time.monotonic()))[0]
            chunk = os.read(self._process.stdout.fileno(), 4096) if readable else b""
            if not chunk:
                raise StartError(f"headrace serve did not get ready: {self.log.strip() or 'it said nothing'}")
            said += chunk
        return said.partition(b"\n")[0].removeprefix(_READY).decode()


def _arguments(settings: Settings) -> list[str]:
    """The command line that gives these settings; what is as it is by default is left out."""
    default = Settings()
    arguments = []
    for name in Settings.__struct_fields__:
        value = getattr(settings, name)
        if value == getattr(default, name):
            continue
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            arguments.append(option if value else option.replace("--", "--no-", 1))
        else:
            arguments.append(f"{option}={value}")
    return arguments
