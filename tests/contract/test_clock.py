"""A virtual clock stands still for what is being stored: nothing has its time run out while it waits for the engine."""

import asyncio

STEPS = 5
TURNS_BETWEEN = 20


async def test_a_clock_that_is_moved_waits_for_steps_that_follow_one_another(engine, clock):
    began_ms = clock.now_ms()
    finished_ms = []

    async def steps():
        for number in range(STEPS):
            await engine.metadata.put("step", str(number).encode())
            for _ in range(TURNS_BETWEEN):
                await asyncio.sleep(0)
        finished_ms.append(clock.now_ms())

    task = asyncio.create_task(steps())
    await clock.advance(3_600_000)
    await task
    assert finished_ms == [began_ms]
