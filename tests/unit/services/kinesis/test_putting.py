"""PutRecord and PutRecords."""

import asyncio
import hashlib

import pytest

from headrace.errors import StorageError
from headrace.services.kinesis import limits, rules

LAST = str(2**128 - 1)


async def test_a_record_is_numbered_and_goes_where_its_key_says(kinesis):
    await kinesis.create(shards=4)
    for key in ("a", "b", "c", "ключ", "🚀"):
        put = await kinesis.put(b"x", key)
        digest = int(hashlib.md5(key.encode()).hexdigest(), 16)
        assert put["ShardId"] == f"shardId-{digest >> 126:012d}"
        assert set(put) == {"ShardId", "SequenceNumber"}


async def test_sequence_numbers_grow(kinesis):
    await kinesis.create()
    numbers = [int((await kinesis.put())["SequenceNumber"]) for _ in range(5)]
    batch = await kinesis.put_many((b"1", "k"), (b"2", "k"))
    numbers += [int(each["SequenceNumber"]) for each in batch]
    assert numbers == sorted(set(numbers))


async def test_an_explicit_hash_key_goes_before_the_partition_key(kinesis):
    await kinesis.create(shards=2)
    assert (await kinesis.put(ExplicitHashKey="0"))["ShardId"] == "shardId-000000000000"
    assert (await kinesis.put(ExplicitHashKey=LAST))["ShardId"] == "shardId-000000000001"
    error = await kinesis.error("put_record", StreamName="s", Data=b"", PartitionKey="k", ExplicitHashKey=str(2**128))
    assert error.code == "InvalidArgumentException"


async def test_a_batch_keeps_its_order_in_each_shard(kinesis):
    await kinesis.create(shards=3)
    results = await kinesis.put_many(*[(b"%d" % index, f"key-{index}") for index in range(300)])
    by_shard = {}
    for index, result in enumerate(results):
        by_shard.setdefault(result["ShardId"], []).append(b"%d" % index)
        assert rules.parse_sequence_number(result["SequenceNumber"]).shard == int(result["ShardId"][-1])
    assert len(by_shard) == 3
    for number in range(3):
        assert await kinesis.data(number) == by_shard[f"shardId-{number:012d}"]


async def test_a_partition_key_is_needed(kinesis):
    await kinesis.create()
    error = await kinesis.error("put_record", StreamName="s", Data=b"")
    assert (error.code, error.message) == (
        "ValidationException",
        (
            "1 validation error detected: Value null at 'partitionKey' failed to satisfy constraint: "
            "Member must not be null"
        ),
    )
    error = await kinesis.error(
        "put_records", StreamName="s", Records=[{"Data": b"", "PartitionKey": "k"}, {"Data": b""}]
    )
    assert "'records.2.member.partitionKey'" in error.message


async def test_sizes(unlimited):
    await unlimited.create()
    most = limits.RECORD_KIB[0] * 1024
    await unlimited.put(b"x" * (most - 3), "key")
    error = await unlimited.error("put_record", StreamName="s", Data=b"x" * (most - 2), PartitionKey="key")
    assert error.code == "ValidationException"
    error = await unlimited.error("put_record", StreamName="s", Data=b"x" * (most + 1), PartitionKey="k")
    assert "Member must have length less than or equal to 1048576" in error.message
    error = await unlimited.error("put_record", StreamName="s", Data=b"x" * (most - 1), PartitionKey="é")
    assert error.code == "ValidationException"
    await unlimited("update_max_record_size", StreamARN=unlimited.arn(), MaxRecordSizeInKiB=10240)
    await unlimited.settle()
    await unlimited.put(b"x" * (limits.PUT_BYTES - 1), "k")
    entry = {"Data": b"x" * (limits.PUT_BYTES // 2), "PartitionKey": "k"}
    error = await unlimited.error("put_records", StreamName="s", Records=[entry, entry])
    assert error.code == "InvalidArgumentException"


async def test_a_batch_with_one_record_that_is_too_large_puts_none(unlimited):
    await unlimited.create()
    records = [{"Data": b"", "PartitionKey": "k"}, {"Data": b"x" * 1024 * 1024, "PartitionKey": "k"}]
    error = await unlimited.error("put_records", StreamName="s", Records=records)
    assert error.code == "ValidationException"
    assert await unlimited.data() == []


async def test_an_order_that_is_asked_for(kinesis):
    await kinesis.create()
    first = await kinesis.put()
    second = await kinesis.put(SequenceNumberForOrdering=first["SequenceNumber"])
    assert int(second["SequenceNumber"]) > int(first["SequenceNumber"])
    error = await kinesis.error("put_record", StreamName="s", Data=b"", PartitionKey="k", SequenceNumberForOrdering="1")
    assert error.code == "InvalidArgumentException"


async def test_a_dry_run_puts_nothing(kinesis):
    await kinesis.create()
    error = await kinesis.error("put_record", StreamName="s", Data=b"", PartitionKey="k", DryRun=True)
    assert error.code == "DryRunOperationException"
    error = await kinesis.error(
        "put_records", StreamName="s", Records=[{"Data": b"", "PartitionKey": "k"}], DryRun=True
    )
    assert error.code == "DryRunOperationException"
    assert await kinesis.data() == []


# Throughput


async def test_a_shard_takes_a_thousand_records_a_second(kinesis):
    await kinesis.create(shards=2)
    for _ in range(2):
        results = await kinesis(
            "put_records",
            StreamName="s",
            Records=[{"Data": b"", "PartitionKey": "k", "ExplicitHashKey": "0"}] * 500,
        )
        assert results["FailedRecordCount"] == 0
    error = await kinesis.error("put_record", StreamName="s", Data=b"", PartitionKey="k", ExplicitHashKey="0")
    assert (error.code, error.message) == (
        "ProvisionedThroughputExceededException",
        "Rate exceeded for shard shardId-000000000000 in stream s under account 000000000000.",
    )
    await kinesis.put(ExplicitHashKey=LAST)
    await kinesis.advance(1)
    await kinesis.put(ExplicitHashKey="0")


async def test_records_of_a_batch_fail_one_by_one(kinesis):
    await kinesis.create(shards=2)
    half = b"x" * 524_000
    records = [
        {"Data": half, "PartitionKey": "a", "ExplicitHashKey": "0"},
        {"Data": half, "PartitionKey": "b", "ExplicitHashKey": "0"},
        {"Data": half, "PartitionKey": "c", "ExplicitHashKey": "0"},
        {"Data": half, "PartitionKey": "d", "ExplicitHashKey": LAST},
        {"Data": b"small", "PartitionKey": "e", "ExplicitHashKey": "0"},
    ]
    answer = await kinesis("put_records", StreamName="s", Records=records)
    assert answer["FailedRecordCount"] == 1
    assert [result.get("ErrorCode") for result in answer["Records"]] == [
        None,
        None,
        "ProvisionedThroughputExceededException",
        None,
        None,
    ]
    assert "shard shardId-000000000000 in stream s under account 000000000000" in answer["Records"][2]["ErrorMessage"]
    assert await kinesis.data(0) == [half, half, b"small"]


async def test_a_large_record_is_taken_and_paid_for(kinesis):
    await kinesis.create(MaxRecordSizeInKiB=10240)
    await kinesis.put(b"x" * 5_000_000)
    assert (await kinesis.error("put_record", StreamName="s", Data=b"", PartitionKey="k")).code == (
        "ProvisionedThroughputExceededException"
    )
    await kinesis.advance(5)
    await kinesis.put()


async def test_no_throughput_limits_when_they_are_lifted(unlimited):
    await unlimited.create()
    for _ in range(3):
        results = await unlimited.put_many(*[(b"", "k")] * 500)
        assert not [result for result in results if "ErrorCode" in result]


# What may go wrong


async def test_what_storage_refuses_fails_the_call_or_the_records_concerned(unlimited, monkeypatch):
    await unlimited.create(shards=2)
    await unlimited.put_many((b"", "a"), (b"", "b"))
    logs = unlimited.server.engine.logs
    append = logs.append

    async def refuse(log, records):
        if log.endswith("/0"):
            raise StorageError("No.")
        return await append(log, records)

    async def refuse_each(batches):
        return [
            StorageError("No.") if log.endswith("/0") else await append(log, appending) for log, appending in batches
        ]

    monkeypatch.setattr(logs, "append", refuse)
    monkeypatch.setattr(logs, "append_each", refuse_each)
    entries = [{"Data": b"", "PartitionKey": "k", "ExplicitHashKey": key} for key in ("0", LAST)]
    answer = await unlimited("put_records", StreamName="s", Records=entries)
    assert answer["FailedRecordCount"] == 1
    assert answer["Records"][0] == {"ErrorCode": "InternalFailure", "ErrorMessage": "Internal Service Failure"}
    assert answer["Records"][1]["ShardId"] == "shardId-000000000001"
    with pytest.raises(StorageError):
        await unlimited("put_records", StreamName="s", Records=entries[:1])


async def test_records_that_come_while_a_shard_closes_are_in_it_or_in_its_children(unlimited):
    """Puts at every turn of the event loop around the moment of a split."""
    await unlimited.create()
    await unlimited("split_shard", StreamName="s", ShardToSplit="0", NewStartingHashKey=str(1 << 127))
    puts = []

    def put_one() -> None:
        puts.append(asyncio.ensure_future(unlimited.put(b"%d" % len(puts), f"key-{len(puts)}")))

    settling = asyncio.ensure_future(unlimited.settle())
    while not settling.done():
        put_one()
        await asyncio.sleep(0)
    for _ in range(20):
        put_one()
    put = await asyncio.gather(*puts)
    assert {result["ShardId"][-1] for result in put} == {"0", "1", "2"}
    for number in range(3):
        here = [
            (int(result["SequenceNumber"]), b"%d" % index)
            for index, result in enumerate(put)
            if result["ShardId"][-1] == str(number)
        ]
        assert await unlimited.data(number) == [data for _, data in sorted(here)]


# Distribution


async def test_auto_spreads_records_evenly_and_needs_no_key(unlimited):
    await unlimited.create(shards=0, RecordDistributionStrategy="AUTO")
    entries = [{"Data": b"%d" % index} for index in range(40)]
    answer = await unlimited("put_records", StreamName="s", Records=entries)
    shards = [result["ShardId"] for result in answer["Records"]]
    assert [shards.count(shard) for shard in sorted(set(shards))] == [10, 10, 10, 10]
    await unlimited("put_record", StreamName="s", Data=b"last", PartitionKey="kept")
    found = [
        record for number in range(4) for record in (await unlimited.get(await unlimited.iterator(number)))["Records"]
    ]
    assert [record.get("PartitionKey") for record in found if record["Data"] == b"last"] == ["kept"]
    assert [record for record in found if "PartitionKey" not in record and record["Data"] == b"0"]
