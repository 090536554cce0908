import pytest

from headrace.services.sns import limits
from headrace.services.sns.transports.outbox import BadFilter, Outbox


@pytest.fixture
def outbox(server):
    return Outbox(server)


async def texts(outbox, **filters):
    return [each["message"] for each in (await outbox.read(filters))["messages"]]


async def test_it_is_empty_at_first(outbox):
    assert await outbox.read({}) == {"messages": [], "next": 0}


async def test_messages_have_their_time(outbox, clock):
    await clock.advance(5)
    await outbox.put({"protocol": "sms", "message": "one"})
    [found] = (await outbox.read({}))["messages"]
    assert found == {"sequence": 1, "at_ms": clock.now_ms(), "protocol": "sms", "message": "one"}


async def test_another_process_sees_the_same(outbox, server):
    await outbox.put({"message": "one"})
    assert await texts(Outbox(server)) == ["one"]


async def test_it_outlives_a_reset(outbox, server):
    await outbox.put({"message": "one"})
    await server.engine.reset()
    assert await texts(outbox) == []
    await outbox.put({"message": "two"})
    assert await texts(outbox) == ["two"]


async def test_it_keeps_the_newest(outbox, monkeypatch):
    monkeypatch.setattr(limits, "OUTBOX_MESSAGES", 100)
    for n in range(600):
        await outbox.put({"message": str(n)})
    kept = await texts(outbox)
    assert kept == [str(n) for n in range(412, 600)]


async def test_it_keeps_to_its_bytes(outbox, monkeypatch, server):
    monkeypatch.setattr(limits, "OUTBOX_BYTES", 100_000)
    for n in range(512):
        await outbox.put({"message": f"{n:03}" + "x" * 1000})
    assert (await texts(outbox))[-1].startswith("511")
    assert (await server.engine.logs.tip("sns:outbox")).bytes_kept < 300_000


async def test_a_week_is_enough(outbox, clock):
    await outbox.put({"message": "one"})
    await clock.advance(limits.OUTBOX_RETENTION_MS + 1)
    assert await texts(outbox) == []


async def test_filters(outbox):
    for n in range(3):
        await outbox.put({"protocol": "email", "to": f"{n}@b", "message": f'say "{n}"'})
    assert await texts(outbox, to="1@b") == ['say "1"']
    assert await texts(outbox, contains='"2"') == ['say "2"']
    assert await texts(outbox, protocol="sms") == []
    assert await texts(outbox, limit="1", after="1") == ['say "1"']
    assert await texts(outbox, limit="0") == []


@pytest.mark.parametrize("filters", [{"colour": "blue"}, {"after": "-1"}, {"limit": "x"}, {"wait_s": "9" * 30}])
async def test_filters_that_there_are_not(outbox, filters):
    with pytest.raises(BadFilter):
        await outbox.read(filters)


async def test_waiting_for_a_message(outbox, clock):
    import asyncio

    waiting = asyncio.create_task(outbox.read({"protocol": "sms", "wait_s": "5"}))
    await clock.advance(1)
    await outbox.put({"protocol": "email", "message": "another"})
    await clock.advance(1)
    assert not waiting.done()
    await outbox.put({"protocol": "sms", "message": "this one"})
    assert [each["message"] for each in (await waiting)["messages"]] == ["this one"]
    waiting = asyncio.create_task(outbox.read({"protocol": "push", "wait_s": "5"}))
    await clock.advance(5_000)
    assert (await waiting)["messages"] == []
