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
        self._keepers: dict[int, tuple[str, int]] = {}

    def of(self, number: int) -> str | None:
        """The process that keeps the queue of that number, if one does."""
        keeper = self._keepers.get(number)
        return keeper[0] if keeper else None

    async def claim(self, number: int) -> None:
        """Say that this process keeps the queue from now on. Raises Overtaken when another was quicker."""
        keeper, revision = self._keepers.get(number, ("", 0))
        if keeper == self._process:
            return
        try:
            await self._records.put(keeper_key(number), self._process.encode(), expected=revision)
        except Conflict:
            raise Overtaken from None

    def learn(self, change: Change) -> tuple[int, str | None]:
        """Take note of a record that changed; the queue's number, and its keeper from now on."""
        number = int(change.key.partition("/")[2], 16)
        if change.entry is None:
            self._keepers.pop(number, None)
            return number, None
        keeper = change.entry.value.decode()
        self._keepers[number] = (keeper, change.entry.revision)
        return number, keeper
