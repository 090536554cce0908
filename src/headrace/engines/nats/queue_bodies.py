"""Bodies of messages: in memory for a while after they were written, then read from the journal when wanted."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from headrace.engines.nats.faults import Unavailable
from headrace.engines.nats.jetstream import JetStream
from headrace.engines.nats.queue_chunks import Body, Chunk, decode_bodies

MAX_CACHED_BYTES: Final = 32 * 1024 * 1024
"""Chunks whose bodies a process keeps in memory, of all queues together."""
BEHIND_ATTEMPTS: Final = 100
BEHIND_S: Final = 0.01
"""A replica that was asked may not have yet what the leader confirmed: asked again this often, with that pause."""


class Bodies:
    """The bodies that a process has in memory."""

    def __init__(self, jetstream: JetStream) -> None:
        self._jetstream = jetstream
        self._chunks: OrderedDict[int, Chunk] = OrderedDict()
        self._bytes = 0

    def keep(self, chunk: Chunk) -> None:
        """Keep a chunk's bodies as long as there is room."""
        if not chunk.live:
            chunk.bodies = None
        if chunk.bodies is None:
            return
        self._chunks[id(chunk)] = chunk
        self._bytes += chunk.size
        while self._bytes > MAX_CACHED_BYTES:
            _, oldest = self._chunks.popitem(last=False)
            self._bytes -= oldest.size
            oldest.bodies = None

    async def fetch(self, stream: str, chunks: Iterable[Chunk]) -> None:
        """Have the bodies of these chunks in memory; of a chunk that is there no more they stay None."""
        missing = {id(chunk): chunk for chunk in chunks if chunk.bodies is None}
        await asyncio.gather(*(self._fetch(stream, chunk) for chunk in missing.values()))

    async def read(self, stream: str, chunk: Chunk) -> list[Body] | None:
        """The bodies of a chunk from the journal; None when it is there no more."""
        for _ in range(BEHIND_ATTEMPTS):
            stored = await self._jetstream.get(stream, chunk.place)
            if stored is not None:
                return decode_bodies(stored.payload)
            if not chunk.live:
                return None
            await asyncio.sleep(BEHIND_S)
        raise Unavailable("A replica of NATS has not caught up yet.")

    async def _fetch(self, stream: str, chunk: Chunk) -> None:
        bodies = await self.read(stream, chunk)
        if chunk.bodies is None and bodies is not None and id(chunk) not in self._chunks:
            chunk.bodies = bodies
            self.keep(chunk)
