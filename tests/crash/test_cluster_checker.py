"""The checker of clusters: it passes histories in which all is well, and finds each fault that is put into one."""

from __future__ import annotations

import pytest

from .cluster_calls import Call, outages
from .cluster_checker import Fault, queue_violations, story, stream_violations
from .cluster_clients import TimedPut
from .cluster_faults import worst
from .history import History
from .stream_clients import Read
from .test_checker import FIFO, STANDARD, WELL, delete, got, receive, send

FAULTS = [Fault("kill -9", ("nats0",), 100.0, 101.5, 104.0)]
TWICE = [
    send("x", 101, queue=STANDARD, group=None),
    receive(102, got("x", "x1"), queue=STANDARD),
    delete("x1", 103, queue=STANDARD),
    receive(104.5, got("x", "x2", message_id="other"), queue=STANDARD),
    delete("x2", 105, queue=STANDARD),
]
"""A message of a standard queue that was sent during a fault, and is two."""


def judged(*events, queues=(FIFO,), faults=FAULTS):
    history = History()
    history.add(*events)
    return queue_violations(history, faults, queues)


def moved(events, by):
    """The same events at another time."""
    for event in events:
        event.started += by
        event.ended += by
    return events


def test_all_is_well():
    assert judged(*WELL) == []


def test_a_standard_queue_may_have_a_message_twice_when_a_fault_came_in_between():
    assert judged(*WELL, *TWICE) == []


@pytest.mark.parametrize(
    ("fault", "events"),
    [
        ("nobody sent", [receive(20, got("x", "x1"))]),
        ("lost 'd'", [send("d", 11, sequence=4)]),
        ("came back", [receive(20, got("a", "a2", count=2, sequence=1))]),
        ("2 messages in q.fifo", [send("d", 101, sequence=4), receive(102, got("d", "d1", sequence=4)),
                                  delete("d1", 103), receive(104, got("d", "d2", sequence=5, message_id="other")),
                                  delete("d2", 105)]),
        ("several sequence numbers", [send("a", 12, sequence=9)]),
        ("stands before it", [send("d", 20, sequence=9), send("e", 21, sequence=8),
                              receive(22, got("e", "e1", sequence=8), got("d", "d1", sequence=9)),
                              delete("e1", 23), delete("d1", 23)]),
        ("ahead of 'd'", [send("d", 20, sequence=8), send("e", 21, sequence=9),
                          receive(22, got("e", "e1", sequence=9)), delete("e1", 23),
                          receive(24, got("d", "d1", sequence=8)), delete("d1", 25)]),
        ("counted 2", [send("d", 20, sequence=8), receive(22, got("d", "d1", sequence=8, count=2)), delete("d1", 23)]),
        ("hidden from", [send("d", 20, sequence=8), receive(22, got("d", "d1", sequence=8)),
                         receive(23, got("d", "d2", sequence=8, count=2)), delete("d2", 24)]),
    ],
)  # fmt: skip
def test_a_fault_is_found(fault, events):
    found = judged(*WELL, *events)
    assert any(fault in line for line in found), found


def test_two_messages_of_a_standard_queue_without_a_fault_are_found():
    found = judged(*WELL, *TWICE, faults=[])
    assert any("2 messages in q:" in line for line in found), found


def test_a_message_of_a_standard_queue_that_comes_back_is_found():
    again = receive(104.5, got("x", "x2", count=2), queue=STANDARD)
    found = judged(*WELL, *TWICE[:3], again, delete("x2", 105, queue=STANDARD))
    assert any("came back" in line for line in found), found


def test_a_queue_that_nothing_was_sent_to_is_found():
    assert judged(*WELL, queues=(FIFO, "other")) == ["nothing was sent to other"]


def test_what_happened_to_a_message_is_told():
    history = History()
    history.add(*WELL)
    told = list(story(history, "lost 'b'"))
    assert [line.split()[1].partition("(")[0] for line in told] == ["Send", "Receive", "Receive", "Delete"]


# Streams


def put(body, at, number, *, key="k", ended=0.1):
    shard = None if ended is None else "s"
    return TimedPut("events", key, body, shard, None if ended is None else number, at, ended and at + ended)


PUTS = [put("a", 1, 10), put("b", 2, 11), put("c", 3, 0, ended=None), put("d", 4, 13), put("x", 2, 5, key="other")]
READ = [Read("s", 10, "k", "a"), Read("s", 5, "other", "x"), Read("s", 11, "k", "b"), Read("s", 13, "k", "d")]


def test_a_stream_in_order_is_well():
    assert list(stream_violations(PUTS, READ)) == []


@pytest.mark.parametrize("place", [1, 4])
def test_what_nobody_answered_may_come_whenever(place):
    late = Read("s", {1: 10, 4: 14}[place], "k", "c")
    read = [*READ[:place], late, *READ[place:]] if place == 4 else [*READ[:2], Read("s", 12, "k", "c"), READ[3]]
    found = list(stream_violations(PUTS, read))
    assert found == ([] if place == 4 else ["'b' was acknowledged at 2.100 and is not there"])


@pytest.mark.parametrize(
    ("fault", "read"),
    [
        ("read 2 times", [*READ, READ[-1]]),
        ("never put", [*READ, Read("s", 14, "k", "y")]),
        ("and read at", [Read("s", 9, "k", "a"), *READ[1:]]),
        ("is not there", READ[:-1]),
        ("read after it", [READ[2], READ[1], READ[0], READ[3]]),
        ("higher number", [READ[2], READ[1], READ[0], READ[3]]),
        ("read after it", [Read("s", 9, "k", "c"), *READ]),
    ],
)
def test_a_fault_of_a_stream_is_found(fault, read):
    found = list(stream_violations(PUTS, read))
    assert any(fault in line for line in found), found


# How long work could not be done


def call(started, ended, *, answered=True, wait_s=0.0, client=1):
    return Call(client, "Send", started, ended, answered, wait_s)


def longest(*calls):
    return max(outage.seconds for outage in outages(list(calls)))


def test_an_outage_lasts_from_the_first_try_to_the_answer():
    assert longest(call(1, 1.1), call(2, 4, answered=False), call(4.1, 6, answered=False), call(6.1, 7)) == 5
    assert longest(call(1, 3.5, wait_s=1.0)) == 1.5
    assert longest(call(1, 3, answered=False), call(1, 1.2, client=2)) == 2
    assert longest(call(1, 3, answered=False), call(9, 9.5)) == 2


def test_the_worst_is_told_by_kind_of_fault():
    calls = [call(10, 10.5), call(100.5, 102.5, answered=False), call(102.6, 103.5)]
    assert worst(outages(calls), FAULTS) == {"none": {"Send": 0.5}, "kill -9: nats": {"Send": 3.0}}
