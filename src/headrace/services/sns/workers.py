"""What runs in the background besides deliveries: stored publications, replays, and what was not confirmed in time."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import structlog

from headrace.clock import Timer
from headrace.errors import StorageError
from headrace.primitives.metadata import Write
from headrace.services.sns import archive, limits, records
from headrace.services.sns.replaying import Replays
from headrace.services.sns.stored import StoredPublications
from headrace.services.sns.subscription_writes import removal
from headrace.services.sns.turns import Turns

if TYPE_CHECKING:
    from headrace.services.sns.state import State, Topic

log = structlog.get_logger()


class Workers:
    """The background work of one process, all of it restartable from storage alone."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.turns = Turns(state.server, shared=state.presence.shared)
        self.stored = StoredPublications(state)
        self.replays = Replays(state)
        self._sweeping: asyncio.Task[None] | None = None
        self._timer: Timer | None = None

    async def start(self) -> None:
        """Take up what a stopped process left."""
        await self.stored.start()
        await self.replays.start()
        self._arm()

    async def close(self) -> None:
        """End the background work; what was not done is found again by the next start."""
        if self._timer is not None:
            self._timer.cancel()
        if self._sweeping is not None:
            self._sweeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeping
        await self.replays.close()
        await self.stored.close()

    async def forget_topic(self, topic: Topic) -> None:
        """Remove what a deleted topic has in queues and logs."""
        await self.stored.forget(topic)
        await archive.forget(self._state.server, topic)

    # --- subscriptions that were not confirmed in time ---

    def _arm(self) -> None:
        clock = self._state.server.clock
        self._timer = clock.call_at(clock.now_ms() + limits.TOKENS_SWEPT_MS, self._sweep_soon)

    def _sweep_soon(self) -> None:
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.get_running_loop().create_task(self._sweep())
        self._arm()

    async def _sweep(self) -> None:
        try:
            await self.step(self._state.server.clock.now_ms())
        except StorageError as error:
            log.warning("confirmation tokens wait to be removed", error=str(error))

    async def step(self, now_ms: int) -> int:
        """Remove tokens that have run out, and with them subscriptions that were never confirmed; how many tokens."""
        metadata = self._state.server.engine.metadata
        removed, after = 0, ""
        while entries := await metadata.list(records.TOKEN_PREFIX, after=after):
            after = entries[-1].key
            for entry in entries:
                token = records.decode_token(entry.value)
                if now_ms < token.expires_at_ms:
                    continue
                await metadata.apply([Write(entry.key, None), *await self._unconfirmed(token, now_ms)])
                removed += 1
        return removed

    async def _unconfirmed(self, token: records.TokenRecord, now_ms: int) -> list[Write]:
        """What makes the token's subscription go, when it still waits for its confirmation and has no newer token."""
        entry = await self._state.server.engine.metadata.get(token.subscription_key)
        record = records.decode_subscription(entry.value) if entry is not None else None
        if record is None or not record.pending or now_ms < record.token_expires_at_ms:
            return []
        _, region, account, _, name, _ = token.subscription_key.split("/")
        return removal(region, account, name, record)
