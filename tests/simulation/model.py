"""A queue as plain Python would have it: a list of messages in the order they came, and the time.

The model never chooses. It is told what the engine did, says whether that was allowed, and follows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from headrace.primitives.queues import Depth, Outcome, OverInFlight, QueueSettings, Received, Sent


@dataclass(eq=False)
class Message:
    """One message and all that happened to it. `here` counts its receives in the queue it is in now."""

    body: str
    sent_at_ms: int
    due_ms: int
    group: str | None = None
    dedup_id: str | None = None
    message_id: str | None = None
    sequence: int | None = None
    source: str | None = None
    count: int = 0
    here: int = 0
    first_received_ms: int | None = None
    receipts: list[tuple[str, int]] = field(default_factory=list)


@dataclass
class Attempt:
    """A FIFO receive that may be repeated: what it gave, by which receipt and hidden until when."""

    at_ms: int
    given: list[tuple[Message, str, int]]


class Model:
    """What one queue holds."""

    def __init__(self, name: str, settings: QueueSettings) -> None:
        self.name = name
        self.settings = settings
        self.messages: list[Message] = []
        self.dedups: dict[tuple[str | None, str], tuple[int, Sent]] = {}
        self.attempts: dict[str, Attempt] = {}
        self.owners: dict[str, Message] = {}
        """Every receipt this queue ever gave, and the message it was for."""
        self.last_sequence = -1

    # ---- states

    def expire(self, now_ms: int) -> None:
        self.messages = [one for one in self.messages if one.sent_at_ms + self.settings.retention_ms > now_ms]

    def visible(self, now_ms: int) -> list[Message]:
        return [one for one in self.messages if one.due_ms <= now_ms]

    def in_flight(self, now_ms: int) -> list[Message]:
        return [one for one in self.messages if one.due_ms > now_ms and one.here]

    def depth(self, now_ms: int) -> Depth:
        visible, in_flight = len(self.visible(now_ms)), len(self.in_flight(now_ms))
        oldest_ms = min((one.sent_at_ms for one in self.messages), default=None)
        delayed = len(self.messages) - visible - in_flight
        return Depth(visible=visible, in_flight=in_flight, delayed=delayed, oldest_sent_at_ms=oldest_ms)

    def spent(self, message: Message) -> bool:
        limit = self.settings.max_receive_count
        return bool(limit) and message.here >= limit

    def runs(self, now_ms: int) -> list[list[Message]]:
        """What may be handed out now, in runs that must keep their order: one a free group, one a standard message."""
        if not self.settings.fifo:
            return [[one] for one in self.visible(now_ms)]
        groups: dict[str | None, list[Message]] = {}
        for one in self.messages:
            groups.setdefault(one.group, []).append(one)
        held = {one.group for one in self.in_flight(now_ms)}
        return [_due_prefix(members, now_ms) for group, members in groups.items() if group not in held]

    def events(self, now_ms: int) -> list[int]:
        """Moments to come at which something changes by itself."""
        moments = [one.due_ms for one in self.messages]
        moments += [one.sent_at_ms + self.settings.retention_ms for one in self.messages]
        moments += [expires_ms for expires_ms, _ in self.dedups.values()]
        return sorted({moment for moment in moments if moment > now_ms})

    def delay_sent(self, longest_ms: int, delay_ms: int, now_ms: int) -> None:
        """Have a new delay hold for what was sent within the longer of the old and the new one and never received."""
        for one in self.messages:
            if not one.count and one.sent_at_ms > now_ms - longest_ms:
                one.due_ms = one.sent_at_ms + delay_ms

    # ---- sending

    def sent(self, message: Message, answer: Sent, now_ms: int) -> None:
        key = (message.group if self.settings.dedup_per_group else None, message.dedup_id or "")
        expires_ms, first = self.dedups.get(key, (0, None))
        if message.dedup_id is not None and first is not None and now_ms < expires_ms:
            assert (answer.duplicate, answer.message_id, answer.sequence) == (True, first.message_id, first.sequence)
            return
        assert not answer.duplicate
        assert answer.sequence > self.last_sequence
        self.last_sequence = answer.sequence
        message.message_id, message.sequence = answer.message_id, answer.sequence
        self.messages.append(message)
        if message.dedup_id is not None:
            self.dedups[key] = (now_ms + self.settings.dedup_window_ms, answer)

    # ---- receiving

    def over_limit(self, now_ms: int) -> bool:
        limit = self.settings.max_in_flight
        return not self.settings.fifo and bool(limit) and len(self.in_flight(now_ms)) >= limit

    def room(self, max_messages: int, now_ms: int) -> int:
        limit = self.settings.max_in_flight
        return min(max_messages, limit - len(self.in_flight(now_ms))) if limit else max_messages

    def check_received(self, batch: list[Received], max_messages: int, now_ms: int) -> list[Message]:
        """The model's messages for what was handed out, which must be as much as there was, in order."""
        assert not self.over_limit(now_ms), OverInFlight
        runs = [[one for one in run if not self.spent(one)] for run in self.runs(now_ms)]
        available = sum(len(run) for run in runs)
        assert len(batch) == min(self.room(max_messages, now_ms), available), (len(batch), available)
        by_body = {one.body: one for run in runs for one in run}
        taken = [by_body.pop(received.body) for received in batch]
        for run in runs:
            mine = [one for one in taken if one in run]
            assert mine == run[: len(mine)], "out of order"
        for one, received in zip(taken, batch, strict=True):
            _check_fields(one, received, now_ms)
        return taken

    def hand_out(self, taken: list[Message], batch: list[Received], hide_ms: int, now_ms: int) -> None:
        for one, received in zip(taken, batch, strict=True):
            assert received.receipt not in self.owners, "receipt given before"
            one.count += 1
            one.here += 1
            one.first_received_ms = received.first_received_at_ms
            one.message_id, one.sequence = received.message_id, received.sequence
            one.due_ms = now_ms + hide_ms
            one.receipts.append((received.receipt, now_ms))
            self.owners[received.receipt] = one

    def repeatable(self, attempt_id: str | None, now_ms: int) -> list[tuple[Message, str]]:
        """What a receive with this attempt id must give again; empty when it is to be a fresh one."""
        attempt = self.attempts.get(attempt_id or "")
        if attempt is None or now_ms >= attempt.at_ms + 300_000:
            return []
        for one, receipt, due_ms in attempt.given:
            # Changed is what is due at another time: a change back to where it was cannot be seen.
            changed = one.due_ms != due_ms or one.receipts[-1][0] != receipt
            if one not in self.messages or changed or one.due_ms <= now_ms:
                return []
        return [(one, receipt) for one, receipt, _ in attempt.given]

    def remember(self, attempt_id: str | None, given: list[tuple[Message, str]], now_ms: int) -> None:
        if attempt_id is not None and given:
            self.attempts[attempt_id] = Attempt(now_ms, [(one, receipt, one.due_ms) for one, receipt in given])

    # ---- receipts

    def deletes(self, receipt: str, now_ms: int) -> Outcome:
        one = self.owners.get(receipt)
        if one is None:
            return Outcome.MALFORMED
        if one not in self.messages:
            return Outcome.GONE
        if self.settings.fifo and (receipt != one.receipts[-1][0] or one.due_ms <= now_ms):
            return Outcome.EXPIRED
        self.messages.remove(one)
        return Outcome.DONE

    def changes(self, receipt: str, timeout_ms: int, now_ms: int) -> set[Outcome]:
        """The outcomes allowed; the caller applies DONE with `hide`."""
        one = self.owners.get(receipt)
        if one is None:
            return {Outcome.MALFORMED}
        if one not in self.messages:
            return {Outcome.GONE}
        if one.due_ms <= now_ms:
            return {Outcome.EXPIRED, Outcome.NOT_IN_FLIGHT} if self.settings.fifo else {Outcome.NOT_IN_FLIGHT}
        if receipt != one.receipts[-1][0]:
            return {Outcome.EXPIRED if self.settings.fifo else Outcome.NOT_IN_FLIGHT}
        until_ms = now_ms + timeout_ms - self.settings.max_hidden_ms
        return {Outcome.BEYOND_LIMIT if until_ms > one.receipts[-1][1] else Outcome.DONE}

    def hide(self, receipt: str, timeout_ms: int, now_ms: int) -> None:
        one = self.owners[receipt]
        one.due_ms = now_ms + timeout_ms


def _due_prefix(members: list[Message], now_ms: int) -> list[Message]:
    due: list[Message] = []
    for one in members:
        if one.due_ms > now_ms:
            break
        due.append(one)
    return due


def _check_fields(one: Message, received: Received, now_ms: int) -> None:
    assert received.receive_count == one.count + 1
    assert received.first_received_at_ms == (one.first_received_ms or now_ms)
    assert received.sent_at_ms == one.sent_at_ms
    assert (received.group, received.source) == (one.group, one.source)
    assert received.header == one.body.encode()
    if one.message_id is not None:
        assert received.message_id == one.message_id
