"""The checker itself: it passes a history in which all is well, and finds each fault that is put into it."""

from __future__ import annotations

import pytest

from .checker import violations
from .history import Change, Delete, Got, History, Receive, Send

FIFO, STANDARD = "q.fifo", "q"


def send(body, at, *, queue=FIFO, group="g", sequence=None, message_id=None, ended=0.1, batch=None):
    return Send(
        queue=queue,
        started=at,
        ended=None if ended is None else at + ended,
        body=body,
        batch=batch,
        group=group,
        message_id=None if ended is None else message_id or f"id-{body}",
        sequence=sequence if ended is not None and queue == FIFO else None,
    )


def got(body, receipt, *, count=1, sequence=None, message_id=None):
    return Got(body, message_id or f"id-{body}", receipt, count, "g", sequence)


def receive(at, *messages, queue=FIFO, timeout=10.0):
    return Receive(queue=queue, started=at, ended=at + 0.1, timeout=timeout, messages=list(messages))


def delete(receipt, at, *, queue=FIFO, ended=0.1):
    return Delete(queue=queue, started=at, ended=None if ended is None else at + ended, receipt=receipt)


def change(receipt, at, timeout, *, ended=0.1):
    return Change(queue=FIFO, started=at, ended=None if ended is None else at + ended, receipt=receipt, timeout=timeout)


def judged(*events):
    history = History()
    history.add(*events)
    return violations(history)


WELL = [
    send("a", 1, sequence=1),
    send("b", 2, sequence=2),
    send("c", 3, ended=None),
    receive(4, got("a", "a1", sequence=1), got("b", "b1", sequence=2), timeout=2),
    delete("a1", 5),
    receive(7, got("b", "b2", count=2, sequence=2), got("c", "c1", sequence=3)),
    change("c1", 7.5, 0),
    delete("b2", 8, ended=None),
    receive(9, got("c", "c2", count=2, sequence=3)),
    delete("c2", 10),
]


def test_all_is_well():
    assert judged(*WELL) == []


@pytest.mark.parametrize(
    ("fault", "events"),
    [
        ("nobody sent", [*WELL, receive(20, got("x", "x1"))]),
        ("lost", [*WELL, send("d", 11, sequence=4)]),
        ("only ['d']", [*WELL, send("d", 20, ended=None, batch="1"), send("e", 20, ended=None, batch="1"),
                        receive(21, got("d", "d1")), delete("d1", 22)]),
        ("came back", [*WELL, receive(20, got("a", "a2", count=2, sequence=1))]),
        ("2 messages", [*WELL, send("a", 12, sequence=1, message_id="another")]),
        ("2 messages", [*WELL[:5], receive(7, got("b", "b2", count=2, sequence=2, message_id="another")), *WELL[6:]]),
        ("several sequence numbers", [*WELL, send("a", 12, sequence=9)]),
        ("hidden from", [*WELL[:5], receive(5.5, got("b", "b2", count=2, sequence=2)), *WELL[6:]]),
        ("hidden from", [*WELL, send("e", 20), receive(21, got("e", "e1"), timeout=1), change("e1", 21.5, 30),
                         receive(40, got("e", "e2", count=2)), delete("e2", 41)]),
        ("counted 1", [*WELL[:8], receive(9, got("c", "c2", count=1, sequence=3)), delete("c2", 10)]),
        ("counted 7", [*WELL[:8], receive(9, got("c", "c2", count=7, sequence=3)), delete("c2", 10)]),
        ("ahead of 'a'", [*WELL[:3], receive(4, got("b", "b1", sequence=2), got("a", "a1", sequence=1), timeout=2),
                          *WELL[4:]]),
        ("ahead of 'a'", [*WELL[:3], receive(3.5, got("b", "b0", sequence=2), timeout=0.1), *WELL[4:5],
                          receive(4, got("a", "a1", sequence=1), got("b", "b1", count=2, sequence=2), timeout=2),
                          delete("b1", 5), delete("c1", 8), receive(7, got("c", "c1", sequence=3))]),
    ],
)  # fmt: skip
def test_a_fault_is_found(fault, events):
    found = judged(*events)
    assert any(fault in line for line in found), found


@pytest.mark.parametrize(
    "events",
    [
        [send("a", 1, ended=None)],
        [send("a", 1), receive(2, got("a", "r")), delete("r", 3, ended=None), receive(20, got("a", "s", count=2)),
         delete("s", 21)],
        [send("a", 1), receive(2, got("a", "r"), timeout=5), change("r", 3, 0, ended=None),
         receive(3.5, got("a", "s", count=2)), delete("s", 4)],
        [send("a", 1, queue=STANDARD, group=None), receive(2, got("a", "r"), queue=STANDARD, timeout=1),
         delete("r", 5, queue=STANDARD), receive(6, got("a", "s", count=2), queue=STANDARD),
         delete("s", 7, queue=STANDARD)],
        [send("a", 1), Receive(queue=FIFO, started=2, timeout=1), receive(4, got("a", "r", count=2)), delete("r", 5)],
    ],
)  # fmt: skip
def test_what_may_have_happened_is_allowed(events):
    assert judged(*events) == []
