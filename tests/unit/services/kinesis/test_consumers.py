"""Consumers with enhanced fan-out: made, found, listed and given up."""

from __future__ import annotations

import pytest

from headrace.services.kinesis import consumer_limits, records


async def register(kinesis, name="c", **params):
    """A consumer that is ACTIVE; what RegisterStreamConsumer told of it."""
    consumer = (await kinesis("register_stream_consumer", StreamARN=kinesis.arn(), ConsumerName=name, **params))[
        "Consumer"
    ]
    await kinesis.settle()
    return consumer


async def names(kinesis, **params):
    answer = await kinesis("list_stream_consumers", StreamARN=kinesis.arn(), **params)
    return [consumer["ConsumerName"] for consumer in answer["Consumers"]]


async def status(kinesis, arn):
    described = await kinesis("describe_stream_consumer", ConsumerARN=arn)
    return described["ConsumerDescription"]["ConsumerStatus"]


async def test_a_consumer_is_made_and_becomes_active(kinesis):
    await kinesis.create()
    made = (await kinesis("register_stream_consumer", StreamARN=kinesis.arn(), ConsumerName="c"))["Consumer"]
    created_s = kinesis.server.clock.now_ms() // 1000
    assert made == {
        "ConsumerName": "c",
        "ConsumerARN": f"{kinesis.arn()}/consumer/c:{created_s}",
        "ConsumerStatus": "CREATING",
        "ConsumerCreationTimestamp": created_s,
    }
    await kinesis.settle()
    described = await kinesis("describe_stream_consumer", StreamARN=kinesis.arn(), ConsumerName="c")
    assert described == {"ConsumerDescription": made | {"ConsumerStatus": "ACTIVE", "StreamARN": kinesis.arn()}}
    assert described == await kinesis("describe_stream_consumer", ConsumerARN=made["ConsumerARN"])


async def test_a_name_is_taken_until_its_consumer_is_gone(kinesis):
    await kinesis.create()
    arn = (await register(kinesis))["ConsumerARN"]
    taken = await kinesis.error("register_stream_consumer", StreamARN=kinesis.arn(), ConsumerName="c")
    assert taken.code == "ResourceInUseException"
    await kinesis("deregister_stream_consumer", ConsumerARN=arn)
    assert await status(kinesis, arn) == "DELETING"
    await kinesis("deregister_stream_consumer", ConsumerARN=arn)
    taken = await kinesis.error("register_stream_consumer", StreamARN=kinesis.arn(), ConsumerName="c")
    assert taken.code == "ResourceInUseException"
    await kinesis.settle()
    assert (await kinesis.error("describe_stream_consumer", ConsumerARN=arn)).code == "ResourceNotFoundException"
    await kinesis.advance(1)
    again = await register(kinesis)
    assert again["ConsumerARN"] != arn
    assert (await kinesis.error("describe_stream_consumer", ConsumerARN=arn)).code == "ResourceNotFoundException"


async def test_a_consumer_that_was_given_up_is_removed_though_nobody_asks(kinesis):
    await kinesis.create()
    arn = (await register(kinesis, Tags={"team": "web"}))["ConsumerARN"]
    await kinesis("deregister_stream_consumer", ConsumerARN=arn)
    await kinesis.settle()
    metadata = kinesis.server.engine.metadata
    assert await metadata.list("kinesis-consumer-due/") == []
    assert await metadata.list(records.consumer_key(kinesis.region, kinesis.account, "s", "")) == []
    assert await metadata.list(records.tags_key(kinesis.region, kinesis.account, "stream/s/consumer/")) == []


async def test_a_consumer_goes_with_its_stream(kinesis):
    await kinesis.create()
    arn = (await register(kinesis, Tags={"team": "web"}))["ConsumerARN"]
    await kinesis("delete_stream", StreamName="s", EnforceConsumerDeletion=True)
    await kinesis.advance(1)
    await kinesis.create()
    assert await names(kinesis) == []
    assert (await kinesis.error("describe_stream_consumer", ConsumerARN=arn)).code == "ResourceNotFoundException"
    assert (await register(kinesis))["ConsumerARN"] != arn


async def test_a_stream_with_consumers_is_not_deleted_unless_that_is_asked_for(kinesis):
    await kinesis.create()
    await register(kinesis)
    assert (await kinesis.error("delete_stream", StreamName="s")).code == "ResourceInUseException"


async def test_tags_of_a_consumer(kinesis):
    await kinesis.create()
    arn = (await register(kinesis, Tags={"team": "web"}))["ConsumerARN"]
    await kinesis("tag_resource", ResourceARN=arn, Tags={"stage": "test"})
    tags = (await kinesis("list_tags_for_resource", ResourceARN=arn))["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "web", "stage": "test"}


async def test_consumers_in_pages(kinesis):
    await kinesis.create()
    for name in "dbca":
        await register(kinesis, name)
    answer = await kinesis("list_stream_consumers", StreamARN=kinesis.arn(), MaxResults=3)
    assert [consumer["ConsumerName"] for consumer in answer["Consumers"]] == ["a", "b", "c"]
    token = answer["NextToken"]
    assert await names(kinesis, NextToken=token) == ["d"]
    assert await names(kinesis) == ["a", "b", "c", "d"]
    await kinesis.create("other")
    foreign = await kinesis.error("list_stream_consumers", StreamARN=kinesis.arn("other"), NextToken=token)
    assert foreign.code == "InvalidArgumentException"
    await kinesis.advance(301)
    late = await kinesis.error("list_stream_consumers", StreamARN=kinesis.arn(), NextToken=token)
    assert late.code == "ExpiredNextTokenException"


async def test_a_stream_made_at_another_time_is_not_meant(kinesis):
    await kinesis.create()
    await register(kinesis)
    created_s = (await kinesis.summary())["StreamCreationTimestamp"]
    assert await names(kinesis, StreamCreationTimestamp=created_s) == ["c"]
    other = await kinesis.error(
        "list_stream_consumers", StreamARN=kinesis.arn(), StreamCreationTimestamp=created_s - 100
    )
    assert other.code == "ResourceNotFoundException"


async def test_twenty_consumers_and_no_more(kinesis):
    await kinesis.create()
    for number in range(20):
        await register(kinesis, f"c{number}")
    many = await kinesis.error("register_stream_consumer", StreamARN=kinesis.arn(), ConsumerName="one-more")
    assert many.code == "LimitExceededException"
    assert (await kinesis.summary())["ConsumerCount"] == 20


async def test_five_are_made_at_once(kinesis):
    await kinesis.create()
    for number in range(consumer_limits.CONSUMERS_CREATING):
        await kinesis("register_stream_consumer", StreamARN=kinesis.arn(), ConsumerName=f"c{number}")
    many = await kinesis.error("register_stream_consumer", StreamARN=kinesis.arn(), ConsumerName="sixth")
    assert many.code == "LimitExceededException"
    await kinesis.settle()
    await register(kinesis, "sixth")


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ({}, "InvalidArgumentException"),
        ({"ConsumerName": "c"}, "InvalidArgumentException"),
        ({"StreamARN": "{stream}", "ConsumerName": "stranger"}, "ResourceNotFoundException"),
        ({"ConsumerARN": "{stream}/consumer/c:1"}, "ResourceNotFoundException"),
        ({"ConsumerARN": "{consumer}", "ConsumerName": "d"}, "InvalidArgumentException"),
        ({"ConsumerARN": "{consumer}", "StreamARN": "{stream}x"}, "InvalidArgumentException"),
    ],
)
async def test_addresses_that_are_none(kinesis, address, code):
    await kinesis.create()
    consumer = (await register(kinesis))["ConsumerARN"]
    filled = {key: value.format(stream=kinesis.arn(), consumer=consumer) for key, value in address.items()}
    for operation in ("describe_stream_consumer", "deregister_stream_consumer"):
        assert (await kinesis.error(operation, **filled)).code == code
    assert await names(kinesis) == ["c"]


async def test_a_stream_that_there_is_none_of(kinesis):
    missing = await kinesis.error("register_stream_consumer", StreamARN=kinesis.arn(), ConsumerName="c")
    assert missing.code == "ResourceNotFoundException"


async def test_consumers_outlive_a_restart(durable):
    kinesis = await durable.start()
    await kinesis.create()
    arn = (await register(kinesis))["ConsumerARN"]
    await kinesis("deregister_stream_consumer", ConsumerARN=(await register(kinesis, "d"))["ConsumerARN"])
    kinesis = await durable.restart()
    assert await status(kinesis, arn) == "ACTIVE"
    await kinesis.settle()
    assert await names(kinesis) == ["c"]
