"""Queues: messages that are handed out, hidden while someone works on them, and deleted when done.

A message is *visible* when its due time has come and nobody holds it, *in flight* after it was
received and until its visibility timeout ends, *delayed* before its first due time. A FIFO queue
orders messages within a group and hands out none of a group while some of it is in flight.

Engines are told which queue by name (for SQS its ARN); `open` makes or updates it. All times are
milliseconds on the engine's clock. Every call that changes something returns once that is durable.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec


class QueueSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a queue treats its messages.

    `max_receive_count` 0 means no dead-lettering; a message received that often and visible again is
    moved to `dead_letter_queue` (which must be open) instead of being handed out once more.
    `dedup_per_group` narrows FIFO deduplication from the queue to the message group.
    `max_in_flight` 0 means no limit. `fair` lets quiet tenants (message groups of a standard queue)
    go before those that hold a large share of what is in flight.
    """

    fifo: bool = False
    visibility_timeout_ms: int = 30_000
    retention_ms: int = 345_600_000
    delay_ms: int = 0
    max_receive_count: int = 0
    dead_letter_queue: str | None = None
    dedup_per_group: bool = False
    dedup_window_ms: int = 300_000
    max_in_flight: int = 120_000
    max_hidden_ms: int = 43_200_000
    fair: bool = True


class Outgoing(msgspec.Struct, kw_only=True):
    """A message to send. `header` is the service's own, opaque to engines; `delay_ms` None takes the queue's.

    `group` is the FIFO message group, or on a standard queue the tenant of a fair queue.
    """

    body: str
    header: bytes
    group: str | None = None
    dedup_id: str | None = None
    delay_ms: int | None = None


class Sent(msgspec.Struct):
    """What became of an `Outgoing`. A FIFO duplicate gives the first one's id and sequence and `duplicate` True."""

    message_id: str
    sequence: int
    duplicate: bool = False


class Received(msgspec.Struct):
    """A message handed out. `source` names the queue it was dead-lettered from, if any."""

    message_id: str
    receipt: str
    body: str
    header: bytes
    sent_at_ms: int
    first_received_at_ms: int
    receive_count: int
    sequence: int
    group: str | None
    dedup_id: str | None
    source: str | None


class Depth(msgspec.Struct, frozen=True):
    """How many messages a queue holds, by state, and when the oldest was sent (None when empty)."""

    visible: int
    in_flight: int
    delayed: int
    oldest_sent_at_ms: int | None


class Outcome(enum.Enum):
    """What became of a receipt in `delete` or `change_visibility`."""

    DONE = "done"
    GONE = "gone"
    """No such message any more: deleted, expired or moved."""
    NOT_IN_FLIGHT = "not in flight"
    """The message is visible (again), or (standard) was received again since: this receipt's receive hides nothing."""
    EXPIRED = "expired"
    """FIFO: the receipt's visibility timeout has passed, or the message was received again since."""
    MALFORMED = "malformed"
    """Not a receipt of this queue."""
    BEYOND_LIMIT = "beyond limit"
    """The message would be hidden for longer than `max_hidden_ms` since it was received."""


class QueueMissing(Exception):
    """The named `queue` is not open here (never made, or dropped)."""

    def __init__(self, queue: str) -> None:
        super().__init__(queue)
        self.queue = queue


class OverInFlight(Exception):
    """A standard queue has `max_in_flight` messages in flight already, and the receive does not wait."""


class Queues(Protocol):
    """All queues of one engine."""

    async def open(self, queue: str, settings: QueueSettings) -> None:
        """Make the queue, or give an existing one these settings (`fifo` never changes). Idempotent.

        AWS: on a FIFO queue a changed delay holds for messages sent before as well, from when they were sent,
        unless they were received already.
        """

    async def drop(self, queue: str) -> None:
        """Remove the queue with all it holds. The name is free at once, for a queue that starts empty."""

    async def send(self, queue: str, messages: Sequence[Outgoing]) -> list[Sent]:
        """Store the messages, all or none, in order. Raises QueueMissing."""

    async def send_together(self, sends: Mapping[str, Sequence[Outgoing]]) -> dict[str, list[Sent]]:
        """Store what each of several queues is to get, in order.

        On an engine of one process all is stored, or nothing. Elsewhere that holds for each queue by itself: when this
        raises, others may have got theirs. Raises QueueMissing.
        """

    async def receive(
        self,
        queue: str,
        *,
        max_messages: int,
        visibility_timeout_ms: int | None = None,
        wait_ms: int = 0,
        attempt_id: str | None = None,
    ) -> list[Received]:
        """Hand out up to `max_messages`, hidden for `visibility_timeout_ms` (None: the queue's).

        Waits up to `wait_ms` for the first one; cancelling the call while it waits takes nothing from
        the queue. Messages over the receive limit go to the dead-letter queue on the way.
        FIFO: `attempt_id` seen within five minutes gives the same messages and receipts again, hidden
        anew, as long as none of them was deleted or changed. With `max_in_flight` messages in flight, a
        receive that waits, or of a FIFO queue, finds nothing. Raises QueueMissing, OverInFlight.
        """

    async def delete(self, queue: str, receipts: Sequence[str]) -> list[Outcome]:
        """Delete messages by receipt. DONE, GONE, EXPIRED (FIFO) or MALFORMED for each. Raises QueueMissing."""

    async def change_visibility(self, queue: str, changes: Sequence[tuple[str, int]]) -> list[Outcome]:
        """Hide each (receipt, timeout in ms from now) anew; 0 makes it visible at once. Raises QueueMissing.

        DONE, GONE, NOT_IN_FLIGHT, EXPIRED (FIFO), MALFORMED or BEYOND_LIMIT for each.
        """

    async def depth(self, queue: str) -> Depth:
        """The counts at this moment, at a cost that does not grow with them. Raises QueueMissing."""

    async def purge(self, queue: str) -> None:
        """Delete every message sent before this call, whatever its state. Raises QueueMissing."""

    async def redrive(self, queue: str, destination: str | None, max_messages: int) -> int:
        """Move up to `max_messages` visible messages to `destination`, or each to its `source` when None.

        AWS: a redriven message is new: new message id and sent time, receive count 0. Messages without
        a source stay when `destination` is None. Returns how many moved. Raises QueueMissing, also for the
        destination.
        """

    async def drain(self) -> None:
        """Answer every waiting receive with nothing, and from now on wait for nothing: the process is stopping."""
