"""Sending and receiving: what goes in comes out, once, with what belongs to it."""

import pytest

from headrace.primitives.queues import Outgoing


async def test_a_message_comes_out_as_it_went_in(queue, clock):
    q = await queue()
    sent_at_ms = clock.now_ms()
    (sent,) = await q.send("body", header=b"\x00\xffheader")
    await clock.advance(2000)
    (message,) = await q.receive()
    assert (message.body, message.header) == ("body", b"\x00\xffheader")
    assert (message.message_id, message.sequence) == (sent.message_id, sent.sequence)
    assert (message.sent_at_ms, message.first_received_at_ms) == (sent_at_ms, sent_at_ms + 2000)
    assert (message.receive_count, message.group, message.dedup_id, message.source) == (1, None, None, None)
    assert not sent.duplicate


async def test_a_fifo_message_brings_its_group_and_dedup_id(queue):
    q = await queue(fifo=True)
    await q.send("body", group="g", dedup_id="d")
    (message,) = await q.receive()
    assert (message.group, message.dedup_id) == ("g", "d")


async def test_a_tenant_comes_out_with_its_message(queue):
    q = await queue()
    await q.send("body", group="tenant")
    assert (await q.receive())[0].group == "tenant"


@pytest.mark.parametrize(
    "body", ["", "\x00", "\t\n\r", "ünïcödé \U0001f600", "'; DROP TABLE messages; --", "x" * 1_048_576]
)
async def test_bodies_are_kept_to_the_letter(queue, body):
    q = await queue()
    await q.send(body)
    assert (await q.receive()).bodies == [body]


async def test_a_header_may_be_large_or_empty(queue):
    q = await queue()
    for header in (b"", bytes(range(256)) * 1000):
        await q.send("x", header=header)
        batch = await q.receive()
        assert batch[0].header == header
        await q.delete(batch)


async def test_ids_differ_and_sequences_grow(queue):
    q = await queue(fifo=True)
    sent = [*await q.send(*"abcdefghij", group="g"), *await q.send(*"klm", group="h")]
    assert len({one.message_id for one in sent}) == 13
    sequences = [one.sequence for one in sent]
    assert sequences == sorted(set(sequences))


async def test_sending_nothing_is_harmless(queue):
    q = await queue()
    assert await q.send() == []
    assert await q.counts() == (0, 0, 0)


async def test_receive_gives_no_more_than_asked(queue):
    q = await queue()
    await q.send(*"abcdefghijkl")
    assert [len(await q.receive(count)) for count in (1, 3, 10, 10)] == [1, 3, 8, 0]


async def test_every_message_is_handed_out_once(queue):
    q = await queue()
    for start in range(0, 100, 10):
        await q.send(*(str(number) for number in range(start, start + 10)))
    seen = []
    while batch := await q.receive(7):
        seen += batch.bodies
    assert sorted(seen, key=int) == [str(number) for number in range(100)]


async def test_a_standard_queue_left_alone_keeps_the_order(queue):
    q = await queue()
    await q.send(*"abc")
    await q.send(*"def")
    assert [*(await q.receive(4)).bodies, *(await q.receive(4)).bodies] == list("abcdef")


async def test_mixed_messages_in_one_send(engine, queue, clock):
    q = await queue(delay_ms=1000)
    messages = [
        Outgoing(body="now", header=b"1", delay_ms=0),
        Outgoing(body="queue's", header=b"2"),
        Outgoing(body="late", header=b"3", delay_ms=5000, group="t"),
    ]
    assert len(await engine.queues.send(q.name, messages)) == 3
    assert (await q.receive()).bodies == ["now"]
    await clock.advance(1000)
    assert (await q.receive()).bodies == ["queue's"]
    await clock.advance(4000)
    assert (await q.receive()).bodies == ["late"]


async def test_receive_count_grows_and_first_receive_stays(queue, clock):
    q = await queue(visibility_timeout_ms=1000)
    await q.send("x")
    await clock.advance(500)
    first_ms = clock.now_ms()
    for count in range(1, 6):
        (message,) = await q.receive()
        assert (message.receive_count, message.first_received_at_ms) == (count, first_ms)
        await clock.advance(1000)


async def test_every_receive_gives_another_receipt(queue, clock):
    q = await queue(visibility_timeout_ms=1000)
    await q.send("x")
    receipts = set()
    for _ in range(4):
        receipts.update((await q.receive()).receipts)
        await clock.advance(1000)
    assert len(receipts) == 4
