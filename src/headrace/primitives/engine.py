"""An engine: the three primitives over one store."""

from __future__ import annotations

from typing import Protocol

from headrace.primitives.logs import Logs
from headrace.primitives.metadata import Metadata
from headrace.primitives.queues import Queues


class Engine(Protocol):
    """What `app` builds from the settings and every service is given."""

    name: str
    """`sqlite` or `nats`, as health reports it."""

    @property
    def reachable(self) -> bool:
        """Whether the store is there, as far as is known: without it calls are answered with 503."""

    @property
    def queues(self) -> Queues:
        """The engine's queues."""

    @property
    def logs(self) -> Logs:
        """The engine's logs."""

    @property
    def metadata(self) -> Metadata:
        """The engine's metadata."""

    def describe(self) -> str:
        """Where the data is and how durable it is, in a line for people."""

    async def start(self) -> None:
        """Open the store. Raises StorageError with a message that says what to do."""

    async def drain(self) -> None:
        """End all waiting calls early, with nothing."""

    async def reset(self) -> None:
        """Forget everything (test endpoints only); watchers see their keys deleted."""

    async def close(self) -> None:
        """Make durable what was accepted and close the store."""
