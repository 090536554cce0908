"""Whose turn it is with a topic that archives: who brings what is published to the subscribers, and replays to them.

Between what is replayed to a subscription and what reaches it as it is published there must be no gap and nothing out
of order, and only who does both can tell. A process that has the engine for itself always has its turn. Of several,
one has it that holds the topic's lease; it knows all that the one before it stored, and what that one stores later,
having been paused, is refused.
"""

from __future__ import annotations

import contextlib
import secrets

from headrace.context import Server
from headrace.errors import StorageError
from headrace.primitives.metadata import Conflict, Lease
from headrace.services.sns import limits, records


class Turns:
    """The turns that one process has. `shared` tells whether there may be other processes."""

    def __init__(self, server: Server, *, shared: bool) -> None:
        self.shared = shared
        self._metadata = server.engine.metadata
        self._clock = server.clock
        self._holder = secrets.token_hex(8)
        self._leases: dict[str, tuple[Lease, int]] = {}
        """By topic, each with the time until which it is not asked for again."""

    async def take(self, topic_arn: str) -> bool:
        """Whether this process has its turn with the topic, for half of TURN_MS at least. Raises StorageError."""
        if not self.shared:
            return True
        known, now_ms = self._leases.get(topic_arn), self._clock.now_ms()
        if known is not None and now_ms < known[1]:
            return True
        lease = await self._metadata.lease(records.turn_lease(topic_arn), ttl_ms=limits.TURN_MS, holder=self._holder)
        if lease is None:
            self._leases.pop(topic_arn, None)
            return False
        if known is None or known[0].token != lease.token:
            await self._begin(topic_arn)
        self._leases[topic_arn] = lease, now_ms + limits.TURN_MS // 2
        return True

    async def end(self, topic_arn: str) -> None:
        """Let others have their turn."""
        lease, _ = self._leases.pop(topic_arn, (None, 0))
        if lease is not None:
            with contextlib.suppress(StorageError):
                await lease.release()

    async def _begin(self, topic_arn: str) -> None:
        """Know all that was stored, and have whoever had the turn before find other revisions than it has seen."""
        prefix = records.replay_key(f"{topic_arn}:")
        await self._metadata.sync()
        while entries := await self._metadata.list(prefix):
            try:
                for entry in entries:
                    await self._metadata.put(entry.key, entry.value, expected=entry.revision)
            except Conflict:
                await self._metadata.sync()
                continue
            break
