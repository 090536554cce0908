"""A process that was taken for ended goes on under another name, once everything that it uses is marked with that."""

import pytest

from headrace.clock import SystemClock
from headrace.engines.sqlite.engine import SqliteEngine
from headrace.errors import StorageError
from headrace.services.sns import records
from headrace.services.sns.presence import Presence

QUEUE = "sns:out:q"


@pytest.fixture
async def presence(make_server, monkeypatch):
    """A process that marks one queue; on an engine that others could share."""
    monkeypatch.setattr(SqliteEngine, "name", "shared")
    clock = SystemClock()
    engine = SqliteEngine(":memory:", clock)
    await engine.start()
    presence = Presence(make_server(engine, clock))
    await presence.start()
    await presence.mark(QUEUE)
    yield presence
    await presence.close()
    await engine.drain()
    await engine.close()


async def be_taken_for_ended(presence):
    """Have the lease run out, and somebody else take it."""
    await presence._lease.release()
    name = records.process_lease(presence._name)
    assert await presence._metadata.lease(name, ttl_ms=60_000, holder="another") is not None
    presence._until_ms = 0


async def test_what_is_in_use_is_marked_anew(presence):
    before = [entry.key for entry in await presence.marked("")]

    async def mark():
        await presence.mark(QUEUE)

    presence.renamed.append(mark)
    await be_taken_for_ended(presence)
    await presence.assure()
    after = [entry.key for entry in await presence.marked("")]
    assert len(after) == 1
    assert after != before


async def test_nothing_is_sure_before_everything_is_marked_anew(presence):
    marked = []

    async def mark():
        marked.append(QUEUE)
        if len(marked) < 3:
            raise StorageError("no answer")
        await presence.mark(QUEUE)

    presence.renamed.append(mark)
    await be_taken_for_ended(presence)
    for _ in range(2):
        with pytest.raises(StorageError):
            await presence.assure()
    await presence.assure()
    assert len(marked) == 3
    assert len(await presence.marked("")) == 1
    await presence.assure()
    assert len(marked) == 3
