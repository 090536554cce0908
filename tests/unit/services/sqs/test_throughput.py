"""Calls a second on FIFO queues."""

from __future__ import annotations

from headrace.services.sqs.throughput import Action, Throughput


def taken(throughput, count, now_ms=0, action=Action.SEND, *, per_group=False, groups=()):
    return sum(throughput.take(action, now_ms, per_group=per_group, groups=groups) for _ in range(count))


def test_300_calls_a_second_for_each_action():
    throughput = Throughput()
    assert taken(throughput, 400) == 300
    assert taken(throughput, 400, action=Action.RECEIVE) == 300
    assert taken(throughput, 1, 999) == 0
    assert taken(throughput, 400, 1_000) == 300


def test_high_throughput_is_300_calls_a_second_for_each_group():
    throughput = Throughput()
    assert taken(throughput, 400, per_group=True, groups=("a",)) == 300
    assert taken(throughput, 400, per_group=True, groups=("b", "b", "c")) == 300
    assert taken(throughput, 1, per_group=True, groups=("d", "a")) == 0
    assert taken(throughput, 300, per_group=True, groups=("d",)) == 300
    assert taken(throughput, 300, 1_000, per_group=True, groups=("a",)) == 300


def test_high_throughput_queues_have_a_limit_of_their_own():
    throughput = Throughput()
    assert taken(throughput, 70_500, action=Action.DELETE, per_group=True) == 70_000
