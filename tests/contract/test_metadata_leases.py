"""Metadata: leases, for work that one process at a time may do."""

import asyncio

import pytest

from headrace.primitives.metadata import LeaseLost

TTL_MS = 10_000


@pytest.fixture
def take(stage):
    """Take the lease "work" (or another); it follows the engine through `reopen`."""

    async def take(holder, name="work", ttl_ms=TTL_MS):
        return await stage.engine.metadata.lease(name, ttl_ms=ttl_ms, holder=holder)

    return take


async def test_one_holder_at_a_time(take):
    assert await take("a") is not None
    assert await take("b") is None


async def test_of_many_at_once_one_gets_it(take):
    leases = await asyncio.gather(*(take(f"holder-{number}") for number in range(20)))
    assert sum(lease is not None for lease in leases) == 1


async def test_leases_of_other_names_are_others(take):
    assert await take("a", "one") is not None
    assert await take("b", "two") is not None


async def test_a_lease_that_ran_out_is_free(clock, take):
    await take("a")
    await clock.advance(TTL_MS - 1)
    assert await take("b") is None
    await clock.advance(1)
    assert await take("b") is not None


async def test_renewing_holds_it_for_another_ttl(clock, take):
    lease = await take("a")
    for _ in range(3):
        await clock.advance(TTL_MS - 1)
        await lease.renew()
    await clock.advance(TTL_MS - 1)
    assert await take("b") is None


async def test_a_lease_that_ran_out_cannot_be_renewed(clock, take):
    lease = await take("a")
    await clock.advance(TTL_MS)
    with pytest.raises(LeaseLost):
        await lease.renew()


async def test_a_lease_that_was_taken_over_cannot_be_renewed(clock, take):
    lost = await take("a")
    await clock.advance(TTL_MS)
    held = await take("b")
    with pytest.raises(LeaseLost):
        await lost.renew()
    await held.renew()


async def test_releasing_frees_it(take):
    lease = await take("a")
    await lease.release()
    await lease.release()
    assert await take("b") is not None
    with pytest.raises(LeaseLost):
        await lease.renew()


async def test_releasing_a_lost_lease_does_not_touch_the_new_holders(clock, take):
    lost = await take("a")
    await clock.advance(TTL_MS)
    held = await take("b")
    await lost.release()
    assert await take("c") is None
    await held.renew()


async def test_a_holder_may_take_its_own_again(clock, take):
    first = await take("a")
    await clock.advance(TTL_MS - 1)
    again = await take("a")
    assert again.token == first.token
    await clock.advance(TTL_MS - 1)
    await again.renew()
    await first.renew()


async def test_tokens_grow_with_every_new_holder(clock, take):
    tokens = []
    for holder in ("a", "b", "a", "a", "c"):
        tokens.append((await take(holder)).token)
        await clock.advance(TTL_MS)
    lease = await take("d")
    tokens.append(lease.token)
    await lease.release()
    tokens.append((await take("d")).token)
    assert tokens == sorted(set(tokens))


async def test_a_lease_is_no_record(engine, take):
    await take("a")
    assert await engine.metadata.list("") == []


async def test_a_lease_outlives_the_engine_and_tokens_go_on(clock, take, reopen):
    first = await take("a")
    await reopen()
    assert await take("b") is None
    await clock.advance(TTL_MS)
    second = await take("b")
    await second.release()
    await reopen()
    third = await take("c")
    assert first.token < second.token < third.token


async def test_reset_frees_all_leases_and_tokens_go_on(engine, take):
    lease = await take("a")
    await engine.reset()
    with pytest.raises(LeaseLost):
        await lease.renew()
    assert (await take("b")).token > lease.token


async def test_many_abandoned_leases_are_no_burden(clock, take):
    for number in range(300):
        await take("a", f"job-{number}")
    await clock.advance(TTL_MS)
    leases = [await take("b", f"job-{number}") for number in range(300)]
    assert None not in leases
