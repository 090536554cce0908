"""What is asked of a queue: run by the process that keeps it, wherever it was asked.

Each request is a value that can be sent to another process. It looks at the queue and changes it without awaiting,
so that nothing comes between; then it waits until that is durable.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import msgspec

from headrace.engines.nats import fifo, queue_moving, receipts, standard
from headrace.engines.nats.queue_chunks import Purged
from headrace.engines.nats.queue_keeping import KeptQueue
from headrace.errors import StorageFull
from headrace.primitives.queues import Depth, Outcome, Outgoing, Sent

if TYPE_CHECKING:
    from headrace.engines.nats.queue_host import QueueHost

_UNDENIED: Final = (Outcome.DONE, Outcome.MALFORMED)
_SPENT: Final = (Outcome.NOT_IN_FLIGHT, Outcome.EXPIRED)
MESSAGE_BYTES: Final = 256
"""What a message takes in a chunk besides its texts, at most."""


class Request(msgspec.Struct, array_like=True, tag=True):
    """Something asked of a queue; `answers` is the type of what comes back."""

    answers: ClassVar[Any] = None

    def wait_ms(self, _now_ms: int, /) -> int:
        """How long it may wait for what it asks."""
        return 0

    def leaving(self, _now_ms: int, /) -> Self:
        """The request as it is sent to another process, which may have another clock."""
        return self

    def arrived(self, _now_ms: int, /) -> Self:
        """The request as it is run by the process that it came to."""
        return self

    def asked_again(self, answer: Any, /) -> Any:
        """What the answer means when the request may have been carried out before it was asked once more."""
        return answer

    @abstractmethod
    async def run(self, kept: KeptQueue, host: QueueHost, /) -> Any:
        """Do it. Raises Overtaken, StorageError, and what the primitive says."""


class SendRequest(Request):
    """See `Queues.send`."""

    messages: list[Outgoing]
    answers: ClassVar[Any] = list[Sent]

    async def run(self, kept: KeptQueue, host: QueueHost, /) -> list[Sent]:
        """Store the messages, and wake as many as wait for them."""
        if host.crowded:
            raise StorageFull(
                "The process that keeps this queue has no memory for more messages: delete some, or give it more."
            )
        kept.check_size(_most_bytes(self.messages), lambda: _bytes(self.messages))
        state = kept.begin()
        sent = (fifo.send if state.fifo else standard.send)(state, self.messages)
        await kept.settled()
        if kept.waiters:
            host.waiting.wake_sent(kept, len(sent))
        return sent


def _most_bytes(messages: list[Outgoing]) -> int:
    """What the messages can take in a chunk at most: a character takes up to four bytes."""
    return sum([4 * len(each.body) + len(each.header) + MESSAGE_BYTES for each in messages])


def _bytes(messages: list[Outgoing]) -> int:
    """What the messages take in a chunk."""
    return sum([len(each.body.encode()) + len(each.header) + MESSAGE_BYTES for each in messages])


class DeleteRequest(Request):
    """See `Queues.delete`."""

    receipts: list[str]
    answers: ClassVar[Any] = list[Outcome]

    async def run(self, kept: KeptQueue, host: QueueHost, /) -> list[Outcome]:
        """Delete, and see whether somebody can go on now."""
        state = kept.begin()
        claims = [receipts.decode(text, state.number) for text in self.receipts]
        outcomes = (fifo.delete if state.fifo else standard.delete)(state, claims)
        await kept.settled(sure=_denied(outcomes))
        if kept.waiters:
            host.waiting.wake_available(kept)  # a group may be free now, or there may be room in flight
        return outcomes


class ChangeRequest(Request):
    """See `Queues.change_visibility`."""

    changes: list[tuple[str, int]]
    answers: ClassVar[Any] = list[Outcome]

    async def run(self, kept: KeptQueue, host: QueueHost, /) -> list[Outcome]:
        """Change, and see whether somebody can go on now."""
        state = kept.begin()
        claims = [(receipts.decode(text, state.number), hide_ms) for text, hide_ms in self.changes]
        change = fifo.change_visibility if state.fifo else standard.change_visibility
        outcomes = change(state, claims)
        await kept.settled(sure=_denied(outcomes))
        if kept.waiters:
            host.waiting.wake_available(kept)
        return outcomes

    def asked_again(self, answer: list[Outcome], /) -> list[Outcome]:
        """What was to be shown is shown, when it was by then: receipts are spent with that."""
        return [
            Outcome.DONE if not hide_ms and outcome in _SPENT else outcome
            for outcome, (_, hide_ms) in zip(answer, self.changes, strict=True)
        ]


class DepthRequest(Request):
    """See `Queues.depth`."""

    answers: ClassVar[Any] = Depth

    async def run(self, kept: KeptQueue, _host: QueueHost, /) -> Depth:
        """Count."""
        state = kept.begin()
        depth = Depth(state.visible, state.in_flight, state.delayed, state.oldest_sent_ms())
        await kept.settled()
        return depth


class PurgeRequest(Request):
    """See `Queues.purge`."""

    async def run(self, kept: KeptQueue, _host: QueueHost, /) -> None:
        """Remove everything that there is now."""
        state = kept.begin()
        if state.entries:
            state.do(Purged(state.next_sequence - 1))
        await kept.settled(sure=True)


class SettleRequest(Request):
    """Have what follows from the settings and the time so far made durable, before the settings change."""

    async def run(self, kept: KeptQueue, _host: QueueHost, /) -> None:
        """Remove what has expired."""
        kept.begin()
        await kept.settled()


class RedriveRequest(Request):
    """See `Queues.redrive`."""

    destination: str | None
    max_messages: int
    answers: ClassVar[Any] = int

    async def run(self, kept: KeptQueue, host: QueueHost, /) -> int:
        """Move a slice of the visible messages."""
        return await queue_moving.redrive(kept, host, self.destination, self.max_messages)


class ArriveRequest(Request):
    """Messages that are moved here from another queue."""

    arrivals: list[queue_moving.Arrival]
    answers: ClassVar[Any] = None

    async def run(self, kept: KeptQueue, host: QueueHost, /) -> None:
        """Take in those that are not here already."""
        arrived = queue_moving.arrive(kept, self.arrivals)
        await kept.settled()
        if kept.waiters:
            host.waiting.wake_sent(kept, arrived)


def _denied(outcomes: list[Outcome]) -> bool:
    """Whether something was not done because of what is not, or not any more, so."""
    return any(outcome not in _UNDENIED for outcome in outcomes)
