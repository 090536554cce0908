import asyncio

import pytest

from headrace.services.sns.together import Together


async def wait_for(future, log, name):
    log.append(f"{name} begins")
    value = await future
    log.append(f"{name} goes on")
    return value


async def test_calls_begin_at_once_and_go_on_together():
    log: list[str] = []
    future = asyncio.get_running_loop().create_future()
    together = Together()
    calls = [together.begin(wait_for(future, log, name)) for name in ("one", "two")]
    assert log == ["one begins", "two begins"]
    asyncio.get_running_loop().call_soon(future.set_result, 7)
    await together.finish()
    assert log[2:] == ["one goes on", "two goes on"]
    assert [call.result for call in calls] == [7, 7]


async def test_what_ends_at_once_is_seen_at_once():
    async def answer():
        return "answer"

    async def fail():
        raise ValueError("no")

    together = Together()
    answered, failed = together.begin(answer()), together.begin(fail())
    assert (answered.done, answered.result) == (True, "answer")
    assert (failed.done, str(failed.error)) == (True, "no")
    await together.finish()


async def test_errors_that_come_later_are_kept():
    future = asyncio.get_running_loop().create_future()
    together = Together()
    call = together.begin(wait_for(future, [], "one"))
    asyncio.get_running_loop().call_soon(future.set_exception, OSError("full"))
    await together.finish()
    assert str(call.error) == "full"


async def test_several_waits_and_sleeps():
    async def walk():
        for _ in range(3):
            await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        return await asyncio.gather(asyncio.sleep(0, "a"), asyncio.sleep(0, "b"))

    together = Together()
    calls = [together.begin(walk()) for _ in range(3)]
    await together.finish()
    assert [call.result for call in calls] == [["a", "b"]] * 3


async def test_calls_may_have_calls_of_their_own():
    async def outer(future):
        inner = Together()
        calls = [inner.begin(wait_for(future, [], "x")) for _ in range(2)]
        await inner.finish()
        return [call.result for call in calls]

    future = asyncio.get_running_loop().create_future()
    together = Together()
    call = together.begin(outer(future))
    asyncio.get_running_loop().call_soon(future.set_result, 1)
    await together.finish()
    assert call.result == [1, 1]


async def test_a_caller_that_is_cancelled_gives_its_calls_up():
    closed: list[str] = []

    async def wait(name):
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            closed.append(name)

    async def run():
        together = Together()
        for name in ("one", "two"):
            together.begin(wait(name))
        await together.finish()

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(closed) == ["one", "two"]
