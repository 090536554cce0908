"""Tags of streams, consumers and queues."""

import pytest

from headrace.services.kinesis import consumer_records, queue_records, records
from headrace.services.kinesis.consumer_records import ConsumerRecord


def listed(**tags):
    return [{"Key": key, "Value": value} for key, value in tags.items()]


async def test_a_stream_s_tags(kinesis):
    await kinesis.create(Tags={"b": "1"})
    await kinesis("add_tags_to_stream", StreamName="s", Tags={"a": "2", "b": "3", "c": ""})
    assert await kinesis("list_tags_for_stream", StreamName="s") == {
        "Tags": listed(a="2", b="3", c=""),
        "HasMoreTags": False,
    }
    await kinesis("remove_tags_from_stream", StreamName="s", TagKeys=["a", "none"])
    assert await kinesis("list_tags_for_resource", ResourceARN=kinesis.arn()) == {"Tags": listed(b="3", c="")}


async def test_pages(kinesis):
    await kinesis.create(Tags=dict.fromkeys("abcde", ""))
    page = await kinesis("list_tags_for_stream", StreamName="s", Limit=2, ExclusiveStartTagKey="b")
    assert page == {"Tags": listed(c="", d=""), "HasMoreTags": True}
    page = await kinesis("list_tags_for_stream", StreamName="s", Limit=2, ExclusiveStartTagKey="d")
    assert page == {"Tags": listed(e=""), "HasMoreTags": False}


async def test_a_resource_s_tags(kinesis):
    await kinesis.create()
    await kinesis("tag_resource", ResourceARN=kinesis.arn(), Tags={"a": "1", "b": "2"})
    await kinesis("untag_resource", ResourceARN=kinesis.arn(), TagKeys=["a"])
    assert await kinesis("list_tags_for_resource", ResourceARN=kinesis.arn()) == {"Tags": listed(b="2")}


@pytest.mark.parametrize("path", ["stream/s/consumer/c:1700000000", "queue/q1"])
async def test_consumers_and_queues_have_tags_of_their_own(kinesis, path):
    await kinesis.create()
    place = ("us-east-1", "000000000000")
    arn = kinesis.arn().replace("stream/s", path)
    error = await kinesis.error("tag_resource", ResourceARN=arn, Tags={"a": "1"})
    assert (error.code, error.message) == ("ResourceNotFoundException", f"Resource {arn} not found.")
    consumer = ConsumerRecord(name="c", created_at_ms=1_700_000_000_000)
    await kinesis.server.engine.metadata.put(records.consumer_key(*place, "s", "c"), consumer_records.encode(consumer))
    await kinesis.server.engine.metadata.put(queue_records.id_key(*place, "q1"), b"q")
    await kinesis("tag_resource", ResourceARN=arn, Tags={"a": "1"})
    assert await kinesis("list_tags_for_resource", ResourceARN=arn) == {"Tags": listed(a="1")}
    assert await kinesis("list_tags_for_resource", ResourceARN=kinesis.arn()) == {"Tags": []}


async def test_a_consumer_made_anew_is_another_resource(kinesis):
    await kinesis.create()
    arns = []
    for _ in range(2):
        made = await kinesis("register_stream_consumer", StreamARN=kinesis.arn(), ConsumerName="c", Tags={"a": "1"})
        arns.append(made["Consumer"]["ConsumerARN"])
        if len(arns) == 1:
            await kinesis("deregister_stream_consumer", ConsumerARN=arns[0])
            await kinesis.advance(1)
    assert (await kinesis.error("list_tags_for_resource", ResourceARN=arns[0])).code == "ResourceNotFoundException"
    assert await kinesis("list_tags_for_resource", ResourceARN=arns[1]) == {"Tags": listed(a="1")}


async def test_tags_are_changed_once_the_stream_is_active(kinesis):
    await kinesis("create_stream", StreamName="s", ShardCount=1, Tags={"a": "1"})
    assert await kinesis("list_tags_for_stream", StreamName="s") == {"Tags": listed(a="1"), "HasMoreTags": False}
    for operation, params in (
        ("add_tags_to_stream", {"StreamName": "s", "Tags": {"b": "2"}}),
        ("remove_tags_from_stream", {"StreamName": "s", "TagKeys": ["a"]}),
        ("tag_resource", {"ResourceARN": kinesis.arn(), "Tags": {"b": "2"}}),
        ("untag_resource", {"ResourceARN": kinesis.arn(), "TagKeys": ["a"]}),
    ):
        error = await kinesis.error(operation, **params)
        assert (error.code, error.message) == (
            "ResourceInUseException",
            "Stream s under account 000000000000 not ACTIVE or UPDATING, instead in state CREATING",
        )


@pytest.mark.parametrize(
    "tags", [{"aws:x": ""}, {"AWS:x": ""}, {"a": "<"}, {"a;": ""}, {f"k{n}": "" for n in range(51)}]
)
async def test_tags_that_cannot_be(kinesis, tags):
    await kinesis.create()
    assert (await kinesis.error("add_tags_to_stream", StreamName="s", Tags=tags)).code == "InvalidArgumentException"
    assert (await kinesis.error("tag_resource", ResourceARN=kinesis.arn(), Tags=tags)).code == (
        "InvalidArgumentException"
    )


async def test_fifty_tags_in_all(kinesis):
    await kinesis.create(Tags={f"k{n}": "" for n in range(50)})
    error = await kinesis.error("add_tags_to_stream", StreamName="s", Tags={"one more": ""})
    assert error.code == "InvalidArgumentException"
    await kinesis("add_tags_to_stream", StreamName="s", Tags={"k0": "changed"})


async def test_no_such_stream(kinesis):
    error = await kinesis.error("list_tags_for_resource", ResourceARN=kinesis.arn())
    assert error.code == "ResourceNotFoundException"
    assert (await kinesis.error("list_tags_for_resource", ResourceARN="s")).code == "InvalidArgumentException"
