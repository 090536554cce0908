"""Lines hand out what stands in them by time, however it came there, and forget what does not."""

import random

import pytest

from headrace.engines.nats.queue_chunks import Chunk, Message
from headrace.engines.nats.queue_lines import STALE_ALLOWED, Line
from headrace.engines.nats.queue_state import Entry, QueueState
from headrace.primitives.queues import QueueSettings


@pytest.fixture
def entries():
    return {}


@pytest.fixture
def line(entries):
    return Line(
        entries,
        time_of=lambda entry: entry.message.due_ms,
        stands=lambda entry: not entry.hidden,
        unmoved=lambda entry: not entry.message.receive_count,
    )


def put(entries, line, sequence, due_ms):
    entry = entries[sequence] = Entry(Message(sequence, due_ms, due_ms), Chunk(), 0)
    line.add(entry)
    return entry


def drained(line):
    return [entry.message.sequence for entry in iter(line.take, None)]


def test_what_comes_in_order_makes_a_run_longer(entries, line):
    for sequence in range(1, 1001):
        put(entries, line, sequence, 7)
    assert list(line._runs) == [[1, 1001]]
    assert line._heap == []
    assert drained(line) == list(range(1, 1001))


def test_a_gap_begins_another_run(entries, line):
    for sequence in (1, 2, 10, 11):
        put(entries, line, sequence, sequence)
    assert list(line._runs) == [[1, 3], [10, 12]]
    assert drained(line) == [1, 2, 10, 11]


def test_what_comes_out_of_order_goes_by_its_time(entries, line):
    for sequence, due_ms in ((1, 100), (2, 300), (3, 200), (4, 400), (5, 50)):
        put(entries, line, sequence, due_ms)
    assert drained(line) == [5, 1, 3, 2, 4]


def test_what_is_gone_or_does_not_stand_is_passed_over(entries, line):
    for sequence in range(1, 6):
        put(entries, line, sequence, 1)
    del entries[1]
    entries[3].hidden = True
    assert line.first().message.sequence == 2
    assert drained(line) == [2, 4, 5]
    assert line.first() is None


def test_one_that_was_handed_out_comes_again_by_its_new_time(entries, line):
    first = put(entries, line, 1, 1)
    put(entries, line, 2, 2)
    first.message.receive_count, first.message.due_ms = 1, 5
    line.add(first)
    assert drained(line) == [2, 1]
    first.message.due_ms = 9
    line.add(first)  # behind everything by sequence and time, and yet no part of a run
    assert drained(line) == [1]


def test_outdated_entries_do_not_pile_up(entries, line):
    entry = put(entries, line, 1, 0)
    entry.message.receive_count = 1
    for due_ms in range(3 * STALE_ALLOWED):
        entry.message.due_ms = due_ms
        line.add(entry)
    assert len(line._heap) <= STALE_ALLOWED + 3
    assert drained(line) == [1]


@pytest.mark.parametrize("seed", range(5))
def test_at_random(entries, line, seed):
    chance = random.Random(seed)
    expected = []
    for sequence in range(1, 400):
        entry = put(entries, line, sequence, chance.randint(0, 50) if chance.random() < 0.2 else 40 + sequence)
        if chance.random() < 0.1:
            entry.message.receive_count, entry.message.due_ms = 1, entry.message.due_ms + chance.randint(1, 500)
            line.add(entry)
        if chance.random() < 0.1:
            del entries[sequence]
        else:
            expected.append((entry.message.due_ms, sequence))
    assert drained(line) == [sequence for _, sequence in sorted(expected)]


def test_a_queue_that_waits_keeps_no_heaps():
    state = QueueState("q", 1, QueueSettings())
    state.chunk = Chunk(bodies=[])
    state.advance(5)
    state.bring([Message(sequence, 5, 5) for sequence in range(1, 101)], [])
    assert state.ready._heap == state._ages._heap == state._hidden == []
    assert state.oldest_sent_ms() == 5
