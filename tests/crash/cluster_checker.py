"""Judges what clients of a cluster were answered while its members were killed, paused and cut off.

The rules are those of `checker`, which allow all that could have happened given what was not answered, but where a
cluster may do what one process cannot: a process that asks another for a client, and is not answered, asks again. So a
call that was under way during a fault may have sent a message to a standard queue twice, or have received twice. AWS
promises no more of either.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from .checker import Case, came_back, invented, is_fifo, lost, out_of_order, seen_while_hidden, torn
from .cluster_clients import TimedPut
from .history import Event, History, Receive
from .stream_clients import Read


@dataclass(frozen=True)
class Fault:
    """What was done to whom, and when (in the history's times); `over` is when all members were well again."""

    kind: str
    victims: tuple[str, ...]
    began: float
    ended: float
    over: float


def queue_violations(history: History, faults: Iterable[Fault], queues: Iterable[str]) -> list[str]:
    """Everything that should not have happened to queues, each in a line. Their messages must all be deleted."""
    case = Case(history)
    disturbed = _disturbed(list(faults))
    found = [line for rule in (invented, lost, torn, out_of_order) for line in rule(case)]
    found += [line for rule in (came_back, seen_while_hidden) for line in rule(Case(by_message(history)))]
    found += twice(case, disturbed)
    found += miscounted(case, disturbed)
    found += overtook(case)
    used = {send.queue for send in history.sends}
    return found + [f"nothing was sent to {queue}" for queue in queues if queue not in used]


def by_message(history: History) -> History:
    """The history with each message of a standard queue told from others of the same body: it may be there twice."""
    told = History()
    told.add(*history.sends, *history.deletes, *history.changes)
    for receive in history.receives:
        messages = receive.messages
        if not is_fifo(receive.queue):
            messages = [replace(got, body=f"{got.body}#{got.message_id}") for got in messages]
        told.add(replace(receive, messages=messages))
    return told


def story(history: History, line: str) -> Iterator[str]:
    """All that happened to the message that a line is about, in order: to see what went wrong."""
    case = Case(history)
    bodies = [body for body in case.sends if repr(body) in line or f"'{body}#" in line]
    for body in bodies[:1]:
        events: list[tuple[float, str]] = [(each.started, f"{each}") for each in case.sends[body]]
        for receive, got in case.received[body]:
            events.append((receive.started, f"Receive {receive.queue} until {receive.latest:.3f}: {got}"))
            events += [(each.started, f"{each}") for each in case.changes[got.receipt]]
        events += [(each.started, f"{each}") for each in case.deletes[body]]
        yield from (f"    {at:.3f} {what}" for at, what in sorted(events))


def _disturbed(faults: list[Fault]) -> Callable[[Event], bool]:
    """Whether an event was under way during a fault, or while the members found together again."""
    spans = [(fault.began, fault.over) for fault in faults]
    return lambda event: any(event.started <= end and event.latest >= begin for begin, end in spans)


def twice(case: Case, disturbed: Callable[[Event], bool]) -> Iterator[str]:
    """One send that made two messages, or sends with one deduplication id that did; or one message with two numbers."""
    for body, sends in case.sends.items():
        by_queue: dict[str, list[set[object]]] = defaultdict(lambda: [set(), set()])
        under_way = any(map(disturbed, sends)) or any(disturbed(receive) for receive, _ in case.received[body])
        for send in sends:
            if send.message_id is not None:
                by_queue[send.queue][0].add(send.message_id)
                by_queue[send.queue][1].add(send.sequence)
        for receive, got in case.received[body]:
            by_queue[receive.queue][0].add(got.message_id)
            by_queue[receive.queue][1].add(got.sequence)
        for queue, (ids, sequences) in by_queue.items():
            if len(ids) > 1 and (is_fifo(queue) or not under_way):
                yield f"{body!r} is {len(ids)} messages in {queue}: {sorted(map(str, ids))}"
            if is_fifo(queue) and len(sequences - {None}) > 1:
                yield f"{body!r} has several sequence numbers in {queue}: {sorted(map(str, sequences))}"


def miscounted(case: Case, disturbed: Callable[[Event], bool]) -> Iterator[str]:
    """A receive count that forgets a receive that was answered, or counts one that cannot have been."""
    unanswered: dict[str, list[float]] = defaultdict(list)
    again: dict[str, list[float]] = defaultdict(list)
    for receive in case.history.receives:
        if not receive.answered:
            unanswered[receive.queue].append(receive.started)
        if disturbed(receive):
            again[receive.queue].append(receive.started)
    for body, received in case.received.items():
        messages: dict[str, list[tuple[Receive, int]]] = defaultdict(list)
        for receive, got in received:
            messages[got.message_id].append((receive, got.count))
        for each in messages.values():
            queues = {receive.queue for receive, _ in each} | {send.queue for send in case.sends[body]}
            for receive, count in each:
                before = sum(other.latest <= receive.started for other, _ in each)
                perhaps = sum(other.started < receive.latest for other, _ in each)
                perhaps += sum(s < receive.latest for queue in queues for s in unanswered[queue] + again[queue])
                if not before < count <= perhaps:
                    yield f"{body!r} received for the {before + 1}th to {perhaps}th time, counted {count}"


def overtook(case: Case) -> Iterator[str]:
    """A FIFO message with a lower number than one of its group whose send was answered before its own began."""
    groups: dict[tuple[str, str | None], list[tuple[float, float, int, str]]] = defaultdict(list)
    for body, sends in case.sends.items():
        for queue in {send.queue for send in sends if is_fifo(send.queue)}:
            here = [send for send in sends if send.queue == queue]
            numbers = [send.sequence for send in here if send.sequence is not None]
            numbers += [got.sequence for receive, got in case.received[body] if receive.queue == queue and got.sequence]
            if numbers:
                first = min(send.started for send in here)
                groups[queue, here[0].group].append((first, min(send.latest for send in here), numbers[0], body))
    for (queue, _), members in groups.items():
        yield from _overtook(queue, members)


def _overtook(queue: str, members: list[tuple[float, float, int, str]]) -> Iterator[str]:
    by_answer = sorted(members, key=lambda member: member[1])
    place, highest, holder = 0, -1, ""
    for started, _, number, body in sorted(members):
        while place < len(by_answer) and by_answer[place][1] < started:
            if by_answer[place][2] > highest:
                highest, holder = by_answer[place][2], by_answer[place][3]
            place += 1
        if number < highest:
            yield f"{body!r} was sent after {holder!r} was acknowledged, and stands before it in {queue}"


def stream_violations(puts: list[TimedPut], read: list[Read], *, through: float = float("inf")) -> Iterator[str]:
    """What a reader of a stream should not have seen, or should have of what was answered until `through`."""
    sent = {put.body: put for put in puts}
    for body, count in Counter(each.body for each in read).items():
        if count > 1:
            yield f"{body[:40]!r} was read {count} times"
        if body not in sent:
            yield f"{body[:40]!r} was read and never put"
    places = {each.body: (each.shard, each.number) for each in read}
    for put in puts:
        if put.number is not None and places.get(put.body, (put.shard, put.number)) != (put.shard, put.number):
            yield f"{put.body[:40]!r} was put at {(put.shard, put.number)} and read at {places[put.body]}"
        if put.ended is not None and put.ended <= through and put.body not in places:
            yield f"{put.body[:40]!r} was acknowledged at {put.ended:.3f} and is not there"
    yield from _keys_out_of_order(sent, read)


def _keys_out_of_order(sent: dict[str, TimedPut], read: list[Read]) -> Iterator[str]:
    """Of one key, a record that was read after one whose put began when its own was answered already."""
    latest_start: dict[str, tuple[float, str]] = {}
    last: dict[str, int] = {}
    for each in read:
        put = sent.get(each.body)
        if put is None:
            continue
        start, body = latest_start.get(each.key, (0.0, ""))
        if put.ended is not None and put.ended < start:
            yield f"{each.body[:40]!r} was acknowledged before {body[:40]!r} was put, and read after it"
        latest_start[each.key] = max((start, body), (put.started, each.body))
        if each.number <= last.get(each.key, 0):
            yield f"{each.body[:40]!r} was read behind a record with a higher number"
        last[each.key] = each.number
