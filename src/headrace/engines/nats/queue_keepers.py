"""Which process keeps which queue, as the records say that every process mirrors."""

from __future__ import annotations

from headrace.engines.nats.mirror import Space
from headrace.engines.nats.queue_keeping import Overtaken
from headrace.engines.nats.queue_places import keeper_key
from headrace.primitives.metadata import Change, Conflict


class Keepers:
    """The keepers of all queues; `process` is this one's name."""

    def __init__(self, records: Space, process: str) -> None:
        self._records = records
        self._process = process

    def of(self, number: int) -> str | None:
        """The process that keeps the queue of that number, if one does."""
        entry = self._records.known(keeper_key(number))
        return entry.value.decode() if entry else None

    async def claim(self, number: int, instead_of: str | None) -> None:
        """Say that this process keeps the queue from now on. Raises Overtaken when another was quicker."""
        entry = self._records.known(keeper_key(number))
        keeper = entry.value.decode() if entry else None
        if keeper == self._process:
            return
        if keeper != instead_of:
            raise Overtaken
        try:
            await self._records.put(keeper_key(number), self._process.encode(), expected=entry.revision if entry else 0)
        except Conflict:
            raise Overtaken from None


def told(change: Change) -> tuple[int, str | None]:
    """What a changed record of a keeper says: the queue's number, and who keeps it from now on."""
    keeper = change.entry.value.decode() if change.entry else None
    return int(change.key.partition("/")[2], 16), keeper
