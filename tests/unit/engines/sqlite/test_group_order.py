"""Which messages a FIFO group holds: the same whether they are fresh, written down, or found again after a restart."""

from __future__ import annotations

import random
from unittest import mock

import apsw
import pytest

from headrace.engines.sqlite import group_order, migrations
from headrace.engines.sqlite.group_order import GroupOrder
from headrace.engines.sqlite.receipts import QUEUE_SHIFT

QUEUE = 3
INSERT = """
INSERT INTO messages (id, queue, due_ms, receive_count, arrived_count, first_received_ms, sent_ms, message_id, grp)
VALUES (?, ?, 0, 0, 0, 0, 0, '', ?)"""


@pytest.fixture
def connection():
    connection = apsw.Connection(":memory:")
    migrations.migrate(connection)
    connection.execute("INSERT INTO queues VALUES (?, 'q', x'', 1, 0)", (QUEUE,))
    yield connection
    connection.close()


def identity(sequence: int) -> int:
    return QUEUE << QUEUE_SHIFT | sequence


def put(connection, order: GroupOrder, *messages: tuple[str, int]) -> None:
    for group, message in messages:
        connection.execute(INSERT, (message, QUEUE, group))
    order.add(connection, messages)


def take(connection, order: GroupOrder, *messages: tuple[str, int]) -> None:
    for _, message in messages:
        connection.execute("DELETE FROM messages WHERE id = ?", (message,))
    order.remove(connection, messages)


def first(connection, order: GroupOrder, group: str, count: int) -> list[int]:
    return [message for (message,) in order.first(connection, "id", group, count)]


def kept(connection) -> list[tuple[str, int]]:
    return connection.execute("SELECT in_group, id FROM grouped").fetchall()


def test_fresh_messages_are_not_written_down(connection):
    order = GroupOrder(QUEUE)
    assert order.load(connection) == 0
    put(connection, order, ("a", identity(1)), ("b", identity(2)), ("a", identity(3)))
    assert kept(connection) == []
    assert first(connection, order, "a", 10) == [identity(1), identity(3)]
    assert first(connection, order, "a", 1) == [identity(1)]
    assert first(connection, order, "c", 1) == []
    assert order.holds_some("b")
    take(connection, order, ("b", identity(2)))
    assert not order.holds_some("b")


def test_the_limit_writes_all_down_and_what_comes_later_follows(connection):
    order = GroupOrder(QUEUE)
    order.load(connection)
    with mock.patch.object(group_order, "FRESH_MAX", 3):
        put(connection, order, ("b", identity(1)), ("a", identity(2)))
        put(connection, order, ("b", identity(3)))
    assert kept(connection) == [("a", identity(2)), ("b", identity(1)), ("b", identity(3))]
    assert order.holds_some("b")
    put(connection, order, ("b", identity(4)))
    assert first(connection, order, "b", 10) == [identity(1), identity(3), identity(4)]
    assert first(connection, order, "b", 2) == [identity(1), identity(3)]
    take(connection, order, ("b", identity(1)), ("b", identity(4)))
    assert first(connection, order, "b", 10) == [identity(3)]
    assert kept(connection) == [("a", identity(2)), ("b", identity(3))]


def test_a_message_that_it_does_not_have_is_an_error_not_a_wrong_count(connection):
    order = GroupOrder(QUEUE)
    order.load(connection)
    with pytest.raises(KeyError):
        order.remove(connection, [("a", identity(1))])


def test_groups_are_written_down_in_turn_the_oldest_of_each_first(connection):
    order = GroupOrder(QUEUE)
    order.load(connection)
    with mock.patch.object(group_order, "FRESH_MAX", 6), mock.patch.object(group_order, "WRITTEN_AT_ONCE", 2):
        put(connection, order, *((group, identity(place)) for place, group in enumerate("bacaaa", 1)))
        assert kept(connection) == [("a", identity(2)), ("a", identity(4))]
        put(connection, order, ("a", identity(7)), ("d", identity(8)))
        assert kept(connection) == [("a", identity(place)) for place in (2, 4, 5, 6)]
        assert [first(connection, order, group, 10) for group in "abcd"] == [
            [identity(place) for place in places] for places in ((2, 4, 5, 6, 7), (1,), (3,), (8,))
        ]
        reopened = GroupOrder(QUEUE)
        assert reopened.load(connection) == 8
        assert [reopened.holds_some(group) for group in "abcd"] == [True] * 4
        assert first(connection, reopened, "a", 10) == [identity(place) for place in (2, 4, 5, 6, 7)]
        put(connection, order, ("e", identity(9)), ("e", identity(10)))
        assert [group for group, _ in kept(connection)] == ["a"] * 5 + ["b"]
        assert connection.execute("SELECT grouped_through FROM queues").get == identity(0)
        put(connection, order, ("f", identity(11)), ("f", identity(12)))
    assert [group for group, _ in kept(connection)] == ["a"] * 5 + ["b", "c", "d"]
    assert connection.execute("SELECT grouped_through FROM queues").get == identity(6)


@pytest.mark.parametrize("seed", range(20))
def test_it_tells_what_a_sorted_list_would(connection, seed):
    rng = random.Random(seed)
    order = GroupOrder(QUEUE)
    order.load(connection)
    model: dict[str, list[int]] = {}
    sequence = 0
    limits = mock.patch.multiple(group_order, FRESH_MAX=rng.choice([1, 5, 25]), WRITTEN_AT_ONCE=rng.choice([1, 3, 30]))
    with limits:
        for _ in range(300):
            held = [(group, message) for group, messages in model.items() for message in messages]
            if rng.random() < 0.5 or not held:
                new = [(rng.choice("abcde"), identity(sequence + n)) for n in range(1, rng.randint(1, 12) + 1)]
                sequence += len(new)
                put(connection, order, *new)
                for group, message in new:
                    model.setdefault(group, []).append(message)
            elif rng.random() < 0.9:
                gone = rng.sample(held, min(len(held), rng.randint(1, 12)))
                take(connection, order, *gone)
                for group, message in gone:
                    model[group].remove(message)
            else:
                unwritten = sorted({message for _, message in held} - {message for _, message in kept(connection)})
                assert not unwritten or connection.execute("SELECT grouped_through FROM queues").get < unwritten[0]
                order = GroupOrder(QUEUE)
                assert order.load(connection) == len(held)
            assert all(model.get(group) for group in "abcde" if order.holds_some(group))
            group, count = rng.choice("abcde"), rng.randint(1, 25)
            assert first(connection, order, group, count) == model.get(group, [])[:count]


def test_an_older_files_messages_are_all_written_down():
    connection = apsw.Connection(":memory:")
    with mock.patch.object(migrations, "scripts", return_value=migrations.scripts()[:3]):
        migrations.migrate(connection)
    connection.execute("INSERT INTO queues VALUES (?, 'q', x'', 1)", (QUEUE,))
    for sequence, group in ((1, "a"), (2, None), (3, "b"), (4, "a")):
        connection.execute(INSERT, (identity(sequence), QUEUE, group))
    migrations.migrate(connection)
    order = GroupOrder(QUEUE)
    assert order.load(connection) == 3
    assert kept(connection) == [("a", identity(1)), ("a", identity(4)), ("b", identity(3))]
    assert first(connection, order, "a", 10) == [identity(1), identity(4)]
    connection.close()
