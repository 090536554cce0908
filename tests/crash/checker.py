"""Judges a history of standard and FIFO queues whose server was killed now and then.

Every rule allows all that could have happened given what was not answered, and nothing else. Queues that end
in `.fifo` are FIFO; a queue's dead letters are in a queue of its own, whose events belong to the same history.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from .history import Change, Delete, Got, History, Receive, Send

CLOCK_SLACK_S = 0.05
"""The server's clock counts whole milliseconds, and is another than the clients'."""


class Case:
    """The history by message."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.sends: dict[str, list[Send]] = defaultdict(list)
        self.received: dict[str, list[tuple[Receive, Got]]] = defaultdict(list)
        self.deletes: dict[str, list[Delete]] = defaultdict(list)
        self.changes: dict[str, list[Change]] = defaultdict(list)
        self.given: dict[str, tuple[Receive, Got]] = {}
        for send in history.sends:
            self.sends[send.body].append(send)
        for receive in sorted(history.receives, key=lambda receive: receive.started):
            for got in receive.messages:
                self.received[got.body].append((receive, got))
                self.given[got.receipt] = (receive, got)
        for delete in history.deletes:
            if not delete.refused:
                self.deletes[self.given[delete.receipt][1].body].append(delete)
        for change in sorted(history.changes, key=lambda change: change.started):
            if not change.refused:
                self.changes[change.receipt].append(change)

    def deleted_for_certain(self, delete: Delete) -> bool:
        """Whether the message cannot outlive this: answered while its receipt certainly held it.

        A standard queue answers deleting by an old receipt with success even when the message moved meanwhile.
        """
        receive, _ = self.given[delete.receipt]
        return delete.answered and (is_fifo(delete.queue) or delete.latest < receive.started + receive.timeout)


def is_fifo(queue: str) -> bool:
    return queue.endswith(".fifo")


def violations(history: History) -> list[str]:
    """Everything that should not have happened, each in a line."""
    case = Case(history)
    rules = (invented, lost, torn, came_back, twice, seen_while_hidden, miscounted, out_of_order)
    return [line for rule in rules for line in rule(case)]


def invented(case: Case) -> Iterator[str]:
    """A message nobody sent."""
    for body in case.received:
        if body not in case.sends:
            yield f"received {body[:80]!r}, which nobody sent"


def lost(case: Case) -> Iterator[str]:
    """Acknowledged, and at the end (after everything was received and deleted) neither seen nor deleted."""
    for body, sends in case.sends.items():
        if any(send.answered for send in sends) and not case.deletes[body]:
            yield f"lost {body!r}, acknowledged at {min(send.latest for send in sends):.3f}"


def torn(case: Case) -> Iterator[str]:
    """A send of several messages, not answered and not repeated, of which some were kept and some not."""
    batches: dict[str, list[str]] = defaultdict(list)
    for body, sends in case.sends.items():
        if len(sends) == 1 and sends[0].batch is not None and not sends[0].answered:
            batches[sends[0].batch].append(body)
    for bodies in batches.values():
        kept = [body for body in bodies if case.received[body]]
        if kept and len(kept) < len(bodies):
            yield f"of {bodies}, sent in one call, only {kept} were kept"


def came_back(case: Case) -> Iterator[str]:
    """Received after its deletion was acknowledged."""
    for body, deletes in case.deletes.items():
        gone_at = min((each.latest for each in deletes if case.deleted_for_certain(each)), default=float("inf"))
        for receive, _ in case.received[body]:
            if receive.started >= gone_at:
                yield f"{body!r}, deleted at {gone_at:.3f}, came back at {receive.latest:.3f}"


def twice(case: Case) -> Iterator[str]:
    """One send, or sends with one deduplication id, that made two messages."""
    for body, sends in case.sends.items():
        ids = {send.message_id for send in sends if send.answered}
        ids |= {got.message_id for _, got in case.received[body]}
        if len(ids) > 1:
            yield f"{body!r} is {len(ids)} messages: {sorted(map(str, ids))}"
        sequences = {send.sequence for send in sends if send.answered and send.sequence is not None}
        sequences |= {got.sequence for _, got in case.received[body] if got.sequence is not None}
        if len(sequences) > 1 and is_fifo(sends[0].queue):
            yield f"{body!r} has several sequence numbers: {sorted(sequences)}"


def seen_while_hidden(case: Case) -> Iterator[str]:
    """Received while someone certainly held it."""
    for body, received in case.received.items():
        for place, (first, got) in enumerate(received):
            for begin, end in _hidden(first, case.changes[got.receipt]):
                for other, _ in received[place + 1 :]:
                    if other.started >= begin and other.latest < end - CLOCK_SLACK_S:
                        yield f"{body!r}, hidden from {begin:.3f} to {end:.3f}, received at {other.latest:.3f}"


def _hidden(receive: Receive, changes: Iterable[Change]) -> Iterator[tuple[float, float]]:
    """The spans in which the receive and the changes by its receipt certainly hid the message."""
    begin, end = receive.latest, receive.started + receive.timeout
    for change in changes:
        yield begin, min(end, change.started)
        begin, end = change.latest, change.started + change.timeout
    yield begin, end


def miscounted(case: Case) -> Iterator[str]:
    """A receive count that forgets a receive that was answered, or counts one that cannot have been."""
    unanswered = [receive.started for receive in case.history.receives if not receive.answered]
    for body, received in case.received.items():
        for receive, got in received:
            before = sum(other.latest <= receive.started for other, _ in received)
            perhaps = sum(other.started < receive.latest for other, _ in received)
            perhaps += sum(started < receive.latest for started in unanswered)
            if not before < got.count <= perhaps:
                yield f"{body!r} received for the {before + 1}th to {perhaps}th time, counted {got.count}"


def out_of_order(case: Case) -> Iterator[str]:
    """A FIFO message handed out while an earlier one of its group was neither deleted nor handed out just before it."""
    groups: dict[tuple[str, str | None], dict[int, str]] = defaultdict(dict)
    for body, sends in case.sends.items():
        known = [send.sequence for send in sends if send.sequence is not None]
        known += [got.sequence for _, got in case.received[body] if got.sequence is not None]
        if known and is_fifo(sends[0].queue):
            groups[sends[0].queue, sends[0].group][known[0]] = body
    for members in groups.values():
        yield from _out_of_order(case, [members[sequence] for sequence in sorted(members)])


def _out_of_order(case: Case, bodies: list[str]) -> Iterator[str]:
    gone_from = {body: min((each.started for each in case.deletes[body]), default=float("inf")) for body in bodies}
    for place, body in enumerate(bodies):
        for receive, _ in case.received[body]:
            given = [got.body for got in receive.messages]
            for earlier in bodies[:place]:
                if gone_from[earlier] > receive.latest and earlier not in given[: given.index(body)]:
                    yield f"{body!r} received at {receive.latest:.3f} ahead of {earlier!r}"
