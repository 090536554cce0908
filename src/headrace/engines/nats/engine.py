"""The cluster engine: three primitives over one connection to NATS JetStream."""

from __future__ import annotations

import asyncio
from typing import Final

from headrace.clock import Clock, go_on_without, rest, stand_still_for
from headrace.engines.nats.connection import Connection
from headrace.engines.nats.embedded import EmbeddedServer
from headrace.engines.nats.faults import NoResponders
from headrace.engines.nats.jetstream import JetStream
from headrace.engines.nats.logs import NatsLogs
from headrace.engines.nats.metadata import NatsMetadata
from headrace.engines.nats.mirror import Mirror
from headrace.engines.nats.options import Options, servers
from headrace.engines.nats.queues import NatsQueues
from headrace.engines.nats.transfer_mark import Mark
from headrace.errors import StorageError

ANSWER_TURN_S: Final = 0.0002
"""How long a moved virtual clock waits before it looks again for answers of NATS, and how often it looks at most."""
MAX_ANSWER_TURNS: Final = 20_000


class NatsEngine:
    """See `headrace.primitives.engine.Engine`. It holds nothing that is not on the NATS servers.

    `server` is one that the engine starts before it connects, and stops at the end.
    """

    name = "nats"

    def __init__(self, options: Options, clock: Clock, server: EmbeddedServer | None = None) -> None:
        self._server = server
        self.connection = Connection(options)
        self.jetstream = JetStream(self.connection)
        self.mirror = Mirror(self.jetstream)
        self.metadata = NatsMetadata(self.mirror, clock)
        self.logs = NatsLogs(self.jetstream, self.mirror.space("g"), clock)
        self.queues = NatsQueues(self.jetstream, self.mirror.space("q"), clock)
        self._clock = clock

    @property
    def reachable(self) -> bool:
        """See `Engine.reachable`."""
        return self.connection.connected

    def describe(self) -> str:
        """Where the data is and how durable it is, in a line for people."""
        options, info = self.connection.options, self.connection.info
        places = ", ".join(f"{server.host}:{server.port}" for server in servers(options.urls))
        where = f"NATS {info.get('version', '?')} at {places}"
        state = "" if self.connection.connected else ", not connected"
        copies = "1 copy" if options.replicas == 1 else f"{options.replicas} copies of everything"
        return f"data: {where}, prefix {options.prefix}, {copies}{state}"

    async def start(self) -> None:
        """Connect, and make the streams that are not there. Raises StorageError."""
        await self.connect()
        await self.logs.start()
        await self.queues.start()
        await Mark(self.mirror, self._clock).check()
        stand_still_for(self._clock, self._rest)

    async def connect(self) -> None:
        """Connect and read the records, and start nothing that runs by itself. Raises StorageError."""
        if self._server is not None:
            await self._server.start()
        await self.connection.start()
        try:
            await self.mirror.start()
        except NoResponders as error:
            if self.connection.info.get("jetstream"):
                raise
            raise StorageError("JetStream is off on these NATS servers: start them with --jetstream.") from error

    async def disconnect(self) -> None:
        """Undo `connect`."""
        await self.mirror.close()
        await self.connection.close()
        if self._server is not None:
            self._server.stop()

    async def drain(self) -> None:
        """End all waiting calls early, with nothing."""
        await self.queues.drain()
        await self.logs.drain()

    async def reset(self) -> None:
        """Forget everything; watchers see their keys deleted."""
        await self.queues.reset()
        await self.logs.reset()
        await self.metadata.reset()

    async def close(self) -> None:
        """Stop what runs here, and leave the cluster."""
        go_on_without(self._clock, self._rest)
        await self.queues.close()
        await self.logs.close()
        await self.disconnect()

    async def _answered(self) -> None:
        """Return when no request to NATS waits for an answer that is due soon, and no writer for its own record."""
        for _ in range(MAX_ANSWER_TURNS):
            if not self.connection.waiting and not self.mirror.waiting:
                break
            await asyncio.sleep(ANSWER_TURN_S)
        await self.connection.flush()

    async def _rest(self) -> None:
        """Have a virtual clock stand still for what was set going."""
        await rest(lambda: self.connection.asked, self._answered)
