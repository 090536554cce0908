"""Account settings and limits."""

from .conftest import START_S


async def describe(kinesis):
    return (await kinesis("describe_account_settings"))["MinimumThroughputBillingCommitment"]


async def update(kinesis, status):
    answer = await kinesis("update_account_settings", MinimumThroughputBillingCommitment={"Status": status})
    assert answer["MinimumThroughputBillingCommitment"] == await describe(kinesis)
    return await describe(kinesis)


async def test_there_is_no_commitment_at_first(kinesis):
    assert await describe(kinesis) == {"Status": "DISABLED"}
    assert await update(kinesis, "DISABLED") == {"Status": "DISABLED"}


async def test_a_commitment_lasts_a_day_at_least(kinesis):
    running = {"StartedAt": START_S, "EarliestAllowedEndAt": START_S + 86_400}
    assert await update(kinesis, "ENABLED") == {"Status": "ENABLED", **running}
    await kinesis.advance(3600)
    assert await update(kinesis, "ENABLED") == {"Status": "ENABLED", **running}
    ending = {"Status": "ENABLED_UNTIL_EARLIEST_ALLOWED_END", **running}
    assert await update(kinesis, "DISABLED") == ending
    assert await update(kinesis, "DISABLED") == ending
    assert await update(kinesis, "ENABLED") == {"Status": "ENABLED", **running}
    await update(kinesis, "DISABLED")
    await kinesis.advance(23 * 3600)
    assert await describe(kinesis) == {"Status": "DISABLED", "StartedAt": START_S, "EndedAt": START_S + 86_400}
    assert (await update(kinesis, "ENABLED"))["StartedAt"] == START_S + 86_400


async def test_after_a_day_a_commitment_ends_at_once(kinesis):
    await update(kinesis, "ENABLED")
    await kinesis.advance(2 * 86_400)
    ended = await update(kinesis, "DISABLED")
    assert ended == {"Status": "DISABLED", "StartedAt": START_S, "EndedAt": START_S + 2 * 86_400}


async def test_settings_are_the_account_s_in_its_region(kinesis):
    await update(kinesis, "ENABLED")
    assert (await describe(kinesis.caller(region="eu-west-1")))["Status"] == "DISABLED"
    assert (await describe(kinesis.caller(account="123456789012")))["Status"] == "DISABLED"


async def test_limits(kinesis):
    await kinesis.create(shards=3)
    await kinesis.create("d", shards=0)
    await kinesis.split(at=5)
    assert await kinesis("describe_limits") == {
        "ShardLimit": 20_000,
        "OpenShardCount": 8,
        "OnDemandStreamCount": 1,
        "OnDemandStreamCountLimit": 50,
    }


async def test_an_account_has_fifty_on_demand_streams(kinesis):
    for number in range(50):
        await kinesis.create(f"d{number}", shards=0)
    error = await kinesis.error("create_stream", StreamName="d", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    assert error.code == "LimitExceededException"
    await kinesis.create()
    change = {"StreamARN": kinesis.arn(), "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}
    assert (await kinesis.error("update_stream_mode", **change)).code == "LimitExceededException"


async def test_five_streams_are_created_or_deleted_at_a_time(kinesis, unlimited):
    for number in range(4):
        await kinesis.create(f"s{number}")
    for number in range(2):
        await kinesis("delete_stream", StreamName=f"s{number}")
    for number in range(3):
        await kinesis("create_stream", StreamName=f"n{number}", ShardCount=1)
    error = await kinesis.error("create_stream", StreamName="n", ShardCount=1)
    assert (error.code, error.message) == (
        "LimitExceededException",
        (
            "This request would have exceeded the limit on the number of streams that can simultaneously be in "
            "CREATING or DELETING. Limit: 5"
        ),
    )
    await kinesis.caller(region="eu-west-1").create()
    await kinesis.settle()
    await kinesis.create("n")
    for number in range(6):
        await unlimited("create_stream", StreamName=f"s{number}", ShardCount=1)
