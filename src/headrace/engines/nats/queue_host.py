"""What requests need of the process that runs them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from headrace.clock import Clock
from headrace.engines.nats.waiting import Waiting

if TYPE_CHECKING:
    from headrace.engines.nats.queue_moving import Arrival


class QueueHost(Protocol):
    """All queues, as one of them sees them."""

    clock: Clock
    waiting: Waiting
    draining: bool
    crowded: bool
    """Whether this process knows as many messages as it may."""

    async def require(self, queue: str) -> None:
        """Return when there is such a queue. Raises QueueMissing."""

    async def arrive(self, queue: str, arrivals: Sequence[Arrival]) -> None:
        """Store messages that are moved there. Raises QueueMissing, StorageError."""

    def mind(self, work: asyncio.Future[Any]) -> None:
        """Keep hold of work that goes on by itself, and wait for it at the end."""
