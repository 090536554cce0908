"""The turn's transaction: shared by its writers, kept whole or taken back whole, answered when durable."""

from __future__ import annotations

import asyncio
import threading
import time
from unittest import mock

import apsw
import pytest

from headrace.engines.sqlite.database import LARGE_TURN_BYTES, TURN_LOOKS, Database
from headrace.errors import StorageError


def outcomes(results):
    return [type(result) for result in results]


async def gather(*calls):
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_what_was_written_is_read(keys):
    await keys.put("a")
    await asyncio.gather(keys.put("b"), keys.put("c"))
    assert await keys.all() == ["a", "b", "c"]
    assert await keys.all_aside() == ["a", "b", "c"]


async def test_a_write_gives_what_its_work_gave(database):
    assert await database.write(lambda *values: values, 1, "two") == (1, "two")


async def test_writers_of_a_turn_share_one_transaction(database, keys):
    commits = []
    database.connection.set_commit_hook(lambda: commits.append(1) is not None)
    await asyncio.gather(*(keys.put(f"k{number:02}") for number in range(40)))
    assert len(commits) == 1
    assert len(await keys.all()) == 40


async def test_a_failing_statement_fails_its_whole_turn_and_nothing_of_it_is_kept(keys):
    await keys.put("taken")
    results = await gather(keys.put("a"), keys.put("b", "taken"), keys.put("c"))
    assert [isinstance(result, StorageError) for result in results[:2]] == [True, True]
    # What comes after the failure in the same turn of the loop is a turn of its own.
    assert results[2] is None
    assert await keys.all() == ["c", "taken"]


async def test_a_failing_commit_fails_its_whole_turn_and_nothing_of_it_is_kept(database, keys):
    await keys.put("before")
    database.connection.set_commit_hook(lambda: True)
    results = await gather(*(keys.put(key) for key in "abc"))
    assert all(isinstance(result, StorageError) for result in results)
    database.connection.set_commit_hook(None)
    assert await keys.all() == ["before"]
    await keys.put("after")
    assert await keys.all() == ["after", "before"]


async def test_work_that_raises_fails_its_turn_with_its_own_error_for_itself(database, keys):
    def work():
        keys.insert("half")
        raise ZeroDivisionError

    results = await gather(keys.put("a"), database.write(work))
    assert outcomes(results) == [StorageError, ZeroDivisionError]
    assert await keys.all() == []


async def test_a_reader_in_a_turn_that_fails_is_told(database, keys):
    database.connection.set_commit_hook(lambda: True)
    results = await gather(keys.put("a"), keys.all())
    assert all(isinstance(result, StorageError) for result in results)


async def test_a_failing_read_fails_nobody_else(database, keys):
    def nonsense():
        database.connection.execute("SELECT nothing FROM nowhere")

    results = await gather(keys.put("a"), database.read(nonsense), keys.put("b"))
    assert outcomes(results) == [type(None), StorageError, type(None)]
    assert await keys.all() == ["a", "b"]


async def test_a_reader_is_answered_when_what_it_saw_is_durable(database, keys):
    order = []

    async def read():
        order.append(await keys.all())

    database.connection.set_commit_hook(lambda: order.append("commit") is not None)
    await asyncio.gather(keys.put("a"), read())
    assert order == ["commit", ["a"]]


async def test_a_writer_that_is_cancelled_disturbs_no_other(keys):
    writers = [asyncio.ensure_future(keys.put(key)) for key in "abc"]
    await asyncio.sleep(0)
    writers[1].cancel()
    assert outcomes(await gather(*writers)) == [type(None), asyncio.CancelledError, type(None)]
    assert await keys.all() == ["a", "b", "c"]


async def test_a_writer_cancelled_while_another_turn_is_made_durable_writes_nothing(stored):
    first = asyncio.ensure_future(stored.put("first"))
    for _ in range(3):
        await asyncio.sleep(0)
    second = asyncio.ensure_future(stored.put("second"))
    third = asyncio.ensure_future(stored.put("third"))
    second.cancel()
    assert outcomes(await gather(first, second, third)) == [type(None), asyncio.CancelledError, type(None)]
    assert await stored.all() == ["first", "third"]


async def test_caches_are_told_of_every_rollback_and_of_nothing_else(database, keys):
    told = []
    database.on_rollback.append(lambda: told.append(1))
    await keys.put("a")
    assert told == []
    await gather(keys.put("b"), keys.put("a"))
    assert told == [1]


async def test_what_waits_for_durability_comes_before_the_answer(database, keys):
    order = []

    def work():
        keys.insert("a")
        database.when_durable(lambda: order.append("durable"))

    async def write():
        await database.write(work)
        order.append("answered")

    await write()
    assert order == ["durable", "answered"]


async def test_what_waits_for_durability_is_forgotten_with_a_failed_turn(database, keys):
    called = []
    await keys.put("taken")

    def work():
        database.when_durable(lambda: called.append(1))
        keys.insert("taken")

    await gather(database.write(work))
    await keys.put("next")
    assert called == []


async def test_turns_follow_each_other_under_load(keys):
    async def writer(number):
        for count in range(30):
            await keys.put(f"{number}-{count:02}")

    await asyncio.gather(*(writer(number) for number in range(5)))
    assert await keys.all() == [f"{number}-{count:02}" for number in range(5) for count in range(30)]


async def test_failures_among_load_take_back_their_own_turns_only(keys):
    acknowledged = []

    async def writer(number):
        for count in range(30):
            key = f"{number}-{count:02}"
            again = key if count % 7 else f"{number}-{0:02}"
            try:
                await keys.put(key, again + "!")
            except StorageError:
                continue
            acknowledged.extend([key, again + "!"])

    await asyncio.gather(*(writer(number) for number in range(5)))
    assert await keys.all() == sorted(acknowledged)


async def test_two_turns_begun_in_one_turn_of_the_loop_are_committed_one_by_one(keys):
    await keys.put("taken")
    for _ in range(20):
        results = await gather(keys.put("taken"), keys.put("x"), keys.put("taken"), keys.put("y"), keys.put("z"))
        assert [result is None for result in results] == [False, False, False, True, True]
        assert await keys.all() == ["taken", "y", "z"]
        await keys.database.write(keys.database.connection.execute, "DELETE FROM metadata WHERE key <> 'taken'")


async def test_closing_commits_the_open_turn(stored, opened, tmp_path):
    writing = asyncio.ensure_future(stored.put("a"))
    await asyncio.sleep(0)
    stored.database.close()
    await writing
    stored.database = opened(tmp_path / "data")
    assert await stored.all() == ["a"]


async def test_closing_waits_for_the_commit_under_way(stored, opened, tmp_path):
    writing = asyncio.ensure_future(stored.put("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting = asyncio.ensure_future(stored.put("b"))
    await asyncio.sleep(0)
    stored.database.close()
    results = await gather(writing, waiting)
    assert results[0] is None
    stored.database = opened(tmp_path / "data")
    assert await stored.all() == ["a", "b"][: 2 if results[1] is None else 1]


async def test_a_closed_database_says_so(database, keys):
    database.close()
    database.close()
    for call in (keys.put("a"), keys.all_aside(), database.read(lambda: database.connection)):
        with pytest.raises(StorageError, match="closed"):
            await call


async def test_a_database_that_closed_with_the_loop_gone_is_closed(tmp_path):
    database = Database(str(tmp_path))
    database.open()
    await asyncio.to_thread(database.close)
    again = Database(str(tmp_path))
    again.open()
    again.close()


async def test_acknowledged_means_synced(stored):
    assert stored.database.connection.execute("PRAGMA synchronous").get == 2
    assert stored.database.connection.execute("PRAGMA journal_mode").get == "wal"


async def test_a_long_read_sees_one_moment_and_holds_up_nobody(stored):
    await stored.put("a")

    def slowly(connection: apsw.Connection):
        with connection:
            first = stored.select(connection)
            written.wait_for_write()
            return first, stored.select(connection)

    written = Gate()
    reading = asyncio.ensure_future(stored.database.read_aside(slowly))
    await stored.put("b")
    written.open = True
    assert await reading in ((["a"], ["a"]), (["a", "b"], ["a", "b"]))
    assert await stored.all() == ["a", "b"]


class Gate:
    """Holds a thread until it is opened."""

    open = False

    def wait_for_write(self):
        while not self.open:
            time.sleep(0.001)


async def test_who_comes_between_a_commit_and_its_answer_waits_for_the_answer(opened, tmp_path):
    slow = opened(tmp_path, on_thread=True)
    insert = "INSERT INTO queues (name, settings, next_sequence) VALUES (?, x'00', 1)"
    writing = asyncio.create_task(slow.write(slow.connection.execute, insert, ("q",)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    time.sleep(0.2)  # noqa: ASYNC251  the loop must not turn while the thread commits
    await asyncio.wait_for(asyncio.create_task(slow.idle()), 10)
    assert writing.done()
    await writing


async def test_nobody_is_kept_out_by_those_who_come_again_at_once(keys):
    turns = 0

    async def come_again():
        nonlocal turns
        while turns < 500:
            turns += 1
            await keys.put(f"k{turns}")

    writing = asyncio.ensure_future(come_again())
    await keys.put("early")
    before = turns
    await asyncio.gather(keys.put("late"), keys.all())
    assert turns - before < 10
    await writing


async def test_it_tells_where_the_data_is(opened, tmp_path):
    assert "memory" in opened(":memory:").describe()
    assert str(tmp_path / "a") in opened(tmp_path / "a").describe()
    assert "on a thread" in opened(tmp_path / "b", on_thread=True).describe()


async def test_a_turn_that_stored_much_is_committed_on_a_thread(opened, tmp_path):
    database = opened(tmp_path / "data")
    committed_by = []

    def note() -> bool:
        committed_by.append(threading.current_thread())
        return False

    database.connection.set_commit_hook(note)

    def store(key: str, size_bytes: int) -> None:
        database.connection.execute("INSERT INTO metadata (key, value, revision) VALUES (?, x'', 0)", (key,))
        database.weigh(size_bytes)

    await database.write(store, "little", LARGE_TURN_BYTES)
    await gather(database.write(store, "much", LARGE_TURN_BYTES), database.write(store, "and little", 1))
    await database.write(store, "little again", 1)

    loop = threading.main_thread()
    assert [thread is loop for thread in committed_by] == [True, False, True]
    stored = "SELECT key FROM metadata ORDER BY key"
    found = await database.read(lambda: [key for (key,) in database.connection.execute(stored)])
    assert found == ["and little", "little", "little again", "much"]


async def write_after(database, turns):
    """Write once the loop has turned so often."""
    for _ in range(turns):
        await asyncio.sleep(0)
    await database.write(lambda: None)


async def commits_of(database, *calls):
    """How many commits these calls, begun together, take."""
    commits = []
    commit = database._commit
    with mock.patch.object(database, "_commit", side_effect=lambda: commits.append(1) or commit()):
        await asyncio.gather(*calls)
    return len(commits)


async def test_a_burst_of_writers_shares_a_commit(opened, tmp_path):
    database = opened(tmp_path / "data")
    assert await commits_of(database, *(write_after(database, turns) for turns in range(3))) == 1


async def test_a_turn_does_not_wait_for_a_burst_that_goes_on(opened, tmp_path):
    database = opened(tmp_path / "data")
    writers = 10 * (TURN_LOOKS + 1)
    assert await commits_of(database, *(write_after(database, turns) for turns in range(writers))) >= 10


async def test_a_turn_does_not_wait_for_those_who_may_come(opened, tmp_path):
    database = opened(tmp_path / "data")
    assert await commits_of(database, write_after(database, 0), write_after(database, 2 * TURN_LOOKS)) == 2
