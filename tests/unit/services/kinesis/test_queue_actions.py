"""Making queues while other things happen."""

from __future__ import annotations

from unittest import mock

import pytest

from headrace.services.kinesis import queue_actions, queue_records

from .queue_tools import make_queue, reshard, take_all


@pytest.fixture
async def stream(unlimited):
    """Kinesis with a stream "s" in on-demand mode."""
    await unlimited.create(shards=0)
    return unlimited


async def create_while(kinesis, happens):
    """The error of a CreateQueue during which something else happens."""

    async def limits_hold(*_):
        await happens()

    configuration = [{"StreamARN": kinesis.arn()}]
    with mock.patch.object(queue_actions, "_check_limits", limits_hold):
        return await kinesis.error("create_queue", QueueName="q", StreamConfigurationList=configuration)


async def nothing_is_left(kinesis):
    metadata = kinesis.server.engine.metadata
    return await metadata.list(queue_records.PREFIX) == [] and (await kinesis("list_queues"))["QueueSummaries"] == []


async def test_a_stream_that_is_deleted_while_a_queue_is_made_keeps_none(stream):
    error = await create_while(stream, lambda: stream("delete_stream", StreamName="s"))
    assert error.code == "ResourceInUseException"
    assert await nothing_is_left(stream)


async def test_a_stream_that_leaves_on_demand_mode_while_a_queue_is_made_keeps_none(stream):
    async def change():
        await stream("update_stream_mode", StreamARN=stream.arn(), StreamModeDetails={"StreamMode": "PROVISIONED"})

    assert (await create_while(stream, change)).code == "ResourceInUseException"
    assert await nothing_is_left(stream)


async def test_a_name_that_is_taken_meanwhile_is_in_use(stream):
    other = await make_queue(stream, "other", {"Type": "LATEST"})

    async def another():
        metadata = stream.server.engine.metadata
        prefix = f"kinesis/{stream.region}/{stream.account}/queue/"
        entry = await metadata.get(f"{prefix}other")
        await metadata.put(f"{prefix}q", entry.value)

    assert (await create_while(stream, another)).code == "ResourceInUseException"
    fed = await stream.server.engine.metadata.list(f"{queue_records.PREFIX}fed/")
    assert {entry.key.split("/")[2] for entry in fed} == {other.rpartition("/")[2]}


async def test_registered_consumers_count_with_queues(kinesis):
    await kinesis.create(shards=0)
    for number in range(19):
        await kinesis("register_stream_consumer", StreamARN=kinesis.arn(), ConsumerName=f"c{number}")
        await kinesis.settle()
    await make_queue(kinesis)
    one_more = {"QueueName": "one-more", "StreamConfigurationList": [{"StreamARN": kinesis.arn()}]}
    assert (await kinesis.error("create_queue", **one_more)).code == "LimitExceededException"
    commitment = "MinimumThroughputBillingCommitment"
    await kinesis("update_account_settings", **{commitment: {"Status": "ENABLED"}})
    await kinesis("create_queue", **one_more)
    await kinesis("update_account_settings", **{commitment: {"Status": "DISABLED"}})
    await kinesis.advance(86_400)
    assert (await kinesis("describe_account_settings"))[commitment]["Status"] == "DISABLED"
    one_more["QueueName"] = "another"
    assert (await kinesis.error("create_queue", **one_more)).code == "LimitExceededException"


@pytest.mark.parametrize("tags", [{"AWS:own": ""}, {"a;": ""}, {f"k{number}": "" for number in range(51)}])
async def test_tags_that_cannot_be(stream, tags):
    configuration = [{"StreamARN": stream.arn()}]
    error = await stream.error("create_queue", QueueName="q", StreamConfigurationList=configuration, Tags=tags)
    assert error.code == "InvalidArgumentException"


async def test_at_timestamp_before_a_resharding_has_what_the_children_have(stream, clock):
    await stream.put_many(*[(b"early", str(number)) for number in range(20)])
    await clock.advance(10_000)
    at_s = clock.now_ms() / 1000
    await stream.put_many(*[(b"late", str(number)) for number in range(20)])
    await reshard(stream, 8)
    await stream.put_many(*[(b"last", str(number)) for number in range(20)])
    queue = await make_queue(stream, position={"Type": "AT_TIMESTAMP", "Timestamp": at_s})
    found = await take_all(stream, queue, 40)
    assert (found.count(b"late"), found.count(b"last")) == (20, 20)
