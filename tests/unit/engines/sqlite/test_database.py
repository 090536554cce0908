"""The turn's transaction, as far as no primitive shows it."""

from __future__ import annotations

import asyncio
import time
from unittest import mock

import pytest

from headrace.engines.sqlite import database as module
from headrace.engines.sqlite.database import Database


@pytest.fixture
async def slow(tmp_path):
    """A database that makes its commits on a thread, as on a device whose syncs take long."""
    database = Database(str(tmp_path))
    with mock.patch.object(module, "SLOW_SYNC_S", -1.0):
        database.open()
    yield database
    database.close()


async def test_who_comes_between_a_commit_and_its_answer_waits_for_the_answer(slow):
    insert = "INSERT INTO queues (name, settings, next_sequence) VALUES (?, x'00', 1)"
    writing = asyncio.create_task(slow.write(slow.connection.execute, insert, ("q",)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    time.sleep(0.2)  # noqa: ASYNC251  the loop must not turn while the thread commits
    await asyncio.wait_for(asyncio.create_task(slow.idle()), 10)
    assert writing.done()
    await writing
