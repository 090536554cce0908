"""GetShardIterator and GetRecords."""

import pytest

from headrace.errors import StorageError
from headrace.primitives.logs import Tip
from headrace.services.kinesis import limits, rules, shards
from headrace.services.kinesis.iterators import Iterator, read_iterator, write_iterator

from .conftest import START_MS, START_S


async def filled(kinesis, count=5, gap_s=1):
    """A stream whose records were put a second apart; when each was, in ms, and its number."""
    await kinesis.create()
    times, numbers = [], []
    for index in range(count):
        times.append(kinesis.server.clock.now_ms())
        numbers.append((await kinesis.put(b"%d" % index))["SequenceNumber"])
        await kinesis.advance(gap_s)
    return times, numbers


async def test_records_come_as_they_were_put(unlimited):
    times, numbers = await filled(unlimited, 2)
    answer = await unlimited.get(await unlimited.iterator())
    assert answer["Records"] == [
        {"SequenceNumber": number, "ApproximateArrivalTimestamp": at_ms / 1000, "Data": data, "PartitionKey": "key"}
        for number, at_ms, data in zip(numbers, times, (b"0", b"1"), strict=True)
    ]
    assert answer["MillisBehindLatest"] == 0
    assert "ChildShards" not in answer


async def test_an_iterator_goes_on_where_the_last_ended(unlimited):
    await filled(unlimited)
    iterator, seen = await unlimited.iterator(), []
    for _ in range(4):
        answer = await unlimited.get(iterator, Limit=2)
        seen.append([record["Data"] for record in answer["Records"]])
        iterator = answer["NextShardIterator"]
    assert seen == [[b"0", b"1"], [b"2", b"3"], [b"4"], []]
    await unlimited.put(b"5")
    assert [record["Data"] for record in (await unlimited.get(iterator))["Records"]] == [b"5"]


async def test_millis_behind_latest_is_the_age_of_the_last_record_given(unlimited):
    await filled(unlimited, 3)
    iterator = await unlimited.iterator()
    behind = []
    for _ in range(4):
        answer = await unlimited.get(iterator, Limit=1)
        iterator = answer["NextShardIterator"]
        behind.append(answer["MillisBehindLatest"])
    assert behind == [3000, 2000, 0, 0]


@pytest.mark.parametrize(
    ("kind", "which", "first"),
    [("AT_SEQUENCE_NUMBER", 2, b"2"), ("AFTER_SEQUENCE_NUMBER", 2, b"3"), ("AFTER_SEQUENCE_NUMBER", 0, b"1")],
)
async def test_sequence_number_iterators(unlimited, kind, which, first):
    _, numbers = await filled(unlimited)
    assert (await unlimited.data(kind=kind, StartingSequenceNumber=numbers[which]))[0] == first


async def test_the_start_of_a_shard_is_a_place_to_start(unlimited):
    await filled(unlimited)
    start = (await unlimited.shards())[0]["SequenceNumberRange"]["StartingSequenceNumber"]
    for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        assert len(await unlimited.data(kind=kind, StartingSequenceNumber=start)) == 5


async def test_a_place_between_records_is_a_place_to_start(unlimited):
    """As SubscribeToShard gives them: nothing is given twice, whichever type is used."""
    _, numbers = await filled(unlimited)
    stream = await unlimited.state.get("us-east-1", "000000000000", "s")
    found = rules.parse_sequence_number(numbers[2])
    place = stream.shards[0].position(found.sequence)
    for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        assert await unlimited.data(kind=kind, StartingSequenceNumber=place) == [b"3", b"4"]


async def test_timestamps(unlimited):
    times, _ = await filled(unlimited)
    second = times[1]
    assert (await unlimited.data(kind="AT_TIMESTAMP", Timestamp=second / 1000))[0] == b"1"
    assert (await unlimited.data(kind="AT_TIMESTAMP", Timestamp=(second - 1) / 1000))[0] == b"1"
    assert (await unlimited.data(kind="AT_TIMESTAMP", Timestamp=(second + 1) / 1000))[0] == b"2"
    assert (await unlimited.data(kind="AT_TIMESTAMP", Timestamp=0))[0] == b"0"
    now_s = unlimited.server.clock.now_ms() / 1000
    at_now = await unlimited.iterator(kind="AT_TIMESTAMP", Timestamp=now_s)
    await unlimited.put(b"now")
    assert [record["Data"] for record in (await unlimited.get(at_now))["Records"]] == [b"now"]
    error = await unlimited.error(
        "get_shard_iterator", StreamName="s", ShardId="0", ShardIteratorType="AT_TIMESTAMP", Timestamp=now_s + 0.001
    )
    assert error.code == "InvalidArgumentException"
    assert "cannot be greater than the currentTimestampInMillis" in error.message


async def test_latest_is_where_the_shard_ends_when_it_is_asked_for(unlimited):
    await filled(unlimited)
    iterator = await unlimited.iterator(kind="LATEST")
    assert (await unlimited.get(iterator))["Records"] == []
    await unlimited.put(b"later")
    assert [record["Data"] for record in (await unlimited.get(iterator))["Records"]] == [b"later"]


async def test_records_expire_by_the_clock(unlimited):
    times, _ = await filled(unlimited, 3, gap_s=3600)
    start, late = await unlimited.iterator(), times[0] + 24 * limits.HOUR_MS
    await unlimited.advance((late - unlimited.server.clock.now_ms()) / 1000 - 0.001)
    assert len(await unlimited.data()) == 3
    await unlimited.advance(0.001)
    assert await unlimited.data() == [b"1", b"2"]
    assert (await unlimited.error("get_records", ShardIterator=start)).code == "ExpiredIteratorException"
    await unlimited.advance(2 * 3600)
    assert await unlimited.data() == []


@pytest.mark.parametrize(
    ("kind", "params", "told"),
    [
        ("AT_SEQUENCE_NUMBER", {}, "and no"),
        ("AFTER_SEQUENCE_NUMBER", {"Timestamp": 1.0}, "and no"),
        ("TRIM_HORIZON", {"StartingSequenceNumber": "1"}, "and also a"),
        ("LATEST", {"StartingSequenceNumber": "1"}, "and also a"),
        ("AT_TIMESTAMP", {"StartingSequenceNumber": "1", "Timestamp": 1.0}, "and also a"),
    ],
)
async def test_a_number_goes_with_the_types_that_take_one(kinesis, kind, params, told):
    await kinesis.create()
    error = await kinesis.error("get_shard_iterator", StreamName="s", ShardId="0", ShardIteratorType=kind, **params)
    assert (error.code, error.message) == (
        "InvalidArgumentException",
        (
            "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or "
            "(2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. "
            f"Request specified {kind} {told} StartingSequenceNumber."
        ),
    )


@pytest.mark.parametrize(
    "params",
    [
        {"ShardIteratorType": "AT_SEQUENCE_NUMBER"},
        {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": "0"},
        {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": rules.sequence_number(1, 0, 1)},
        {"ShardIteratorType": "AT_TIMESTAMP"},
    ],
)
async def test_places_that_are_none(kinesis, params):
    await kinesis.create()
    error = await kinesis.error("get_shard_iterator", StreamName="s", ShardId="0", **params)
    assert error.code == "InvalidArgumentException"


async def test_another_shard_s_number_is_refused(kinesis):
    await kinesis.create(shards=2)
    number = (await kinesis.put(ExplicitHashKey="0"))["SequenceNumber"]
    error = await kinesis.error(
        "get_shard_iterator",
        StreamName="s",
        ShardId="1",
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        StartingSequenceNumber=number,
    )
    assert "did not come from this stream and shard" in error.message


@pytest.mark.parametrize("shard_id", ["shardId-000000000001", "x", "shardId-", "999999999999999999999999"])
async def test_shards_that_there_are_none_of(kinesis, shard_id):
    await kinesis.create()
    error = await kinesis.error("get_shard_iterator", StreamName="s", ShardId=shard_id, ShardIteratorType="LATEST")
    assert (error.code, error.message) == (
        "ResourceNotFoundException",
        f"Shard {shard_id} in stream s under account 000000000000 does not exist",
    )


# Iterators


@pytest.mark.parametrize("text", ["", "A", "AAAAAAAAAAE=", "not base64!", "AAAA" * 30, "é"])
async def test_what_was_never_an_iterator(kinesis, text):
    assert (await kinesis.error("get_records", ShardIterator=text)).code == "InvalidArgumentException"


async def test_an_iterator_lives_for_five_minutes(kinesis):
    await kinesis.create()
    iterator = await kinesis.iterator()
    await kinesis.advance(300)
    assert (await kinesis.get(iterator))["Records"] == []
    await kinesis.advance(0.001)
    error = await kinesis.error("get_records", ShardIterator=iterator)
    assert error.code == "ExpiredIteratorException"
    assert error.message.endswith("which is further in the future than the tolerated delay of 300000 milliseconds.")


def test_an_iterator_comes_back_and_is_short_enough():
    iterator = Iterator("r" * 25, "0" * 12, "s" * 128, "i" * 24, 2**32, 2**62, START_MS)
    text = write_iterator(iterator)
    assert text.startswith("AAAAAAAAAA")
    assert len(text) <= 512
    assert read_iterator(text, START_MS) == iterator


async def test_an_iterator_of_another_stream_is_refused(kinesis):
    await kinesis.create("one")
    await kinesis.create("two")
    iterator = await kinesis.iterator(name="one")
    await kinesis.get(iterator, StreamARN=kinesis.arn("one"))
    error = await kinesis.error("get_records", ShardIterator=iterator, StreamARN=kinesis.arn("two"))
    assert error.code == "InvalidArgumentException"


async def test_dry_runs(kinesis):
    await kinesis.create()
    await kinesis.put()
    for operation, params in (
        ("get_shard_iterator", {"StreamName": "s", "ShardId": "0", "ShardIteratorType": "LATEST"}),
        ("get_records", {"ShardIterator": await kinesis.iterator()}),
    ):
        assert (await kinesis.error(operation, **params, DryRun=True)).code == "DryRunOperationException"


# Throughput


async def test_a_shard_is_read_five_times_a_second(kinesis):
    await kinesis.create(shards=2)
    iterator, other = await kinesis.iterator(), await kinesis.iterator(1)
    for _ in range(5):
        await kinesis.get(iterator)
    assert (await kinesis.error("get_records", ShardIterator=iterator)).code == "ProvisionedThroughputExceededException"
    await kinesis.get(other)
    await kinesis.advance(0.2)
    await kinesis.get(iterator)


async def test_iterators_are_given_five_times_a_second(kinesis):
    await kinesis.create()
    for _ in range(5):
        await kinesis.iterator()
    params = {"StreamName": "s", "ShardId": "0", "ShardIteratorType": "LATEST"}
    assert (await kinesis.error("get_shard_iterator", **params)).code == "ProvisionedThroughputExceededException"


async def test_what_was_read_is_paid_for(kinesis):
    """AWS: a call that gives 10 MiB is followed by five seconds without any."""
    await kinesis.create(MaxRecordSizeInKiB=10240)
    await kinesis.put(b"x" * (limits.PUT_BYTES - 1), "k")
    await kinesis.advance(20)
    iterator = await kinesis.iterator()
    answer = await kinesis.get(iterator)
    assert len(answer["Records"]) == 1
    await kinesis.advance(4.9)
    assert (await kinesis.error("get_records", ShardIterator=iterator)).code == "ProvisionedThroughputExceededException"
    await kinesis.advance(0.2)
    await kinesis.get(iterator)


async def test_a_call_gives_up_to_ten_mib(unlimited):
    await unlimited.create()
    for _ in range(12):
        await unlimited.put(b"x" * 1_000_000, "k")
    first = await unlimited.get(await unlimited.iterator())
    assert len(first["Records"]) == 10
    rest = await unlimited.get(first["NextShardIterator"])
    assert len(rest["Records"]) == 2


async def test_a_call_gives_up_to_ten_thousand_records(unlimited):
    await unlimited.create()
    for _ in range(21):
        await unlimited.put_many(*[(b"x", "k")] * 500)
    first = await unlimited.get(await unlimited.iterator())
    assert len(first["Records"]) == 10_000
    assert first["MillisBehindLatest"] == 0, "put and read at one moment"
    await unlimited.advance(1.5)
    again = await unlimited.get(await unlimited.iterator())
    assert again["MillisBehindLatest"] == 1500
    assert again["Records"][0]["ApproximateArrivalTimestamp"] >= START_S
    assert len((await unlimited.get(first["NextShardIterator"]))["Records"]) == 500


# The end of a shard


async def test_what_is_put_before_a_shard_closes_is_not_missed_by_who_has_just_found_nothing(unlimited, monkeypatch):
    await unlimited.create()
    logs = unlimited.server.engine.logs
    read, seen = logs.read, []

    async def read_late(*args, **kwargs):
        found = await read(*args, **kwargs)
        seen.append(found)
        if len(seen) == 1:
            await unlimited.put(b"last", "k")
            await unlimited.split()
        return found

    iterator = await unlimited.iterator()
    monkeypatch.setattr(logs, "read", read_late)
    answer = await unlimited.get(iterator)
    assert seen[0] == []
    assert [record["Data"] for record in answer["Records"]] == [b"last"]
    assert len(answer["ChildShards"]) == 2
    assert "NextShardIterator" not in answer


async def test_a_replica_that_is_behind_does_not_end_a_shard(unlimited, monkeypatch):
    await unlimited.create()
    logs = unlimited.server.engine.logs
    iterator = await unlimited.iterator()
    await unlimited.put(b"first", "k")
    await unlimited.put(b"last", "k")
    await unlimited.split()
    tip, read, behind = logs.tip, logs.read, [True] * 3

    async def tip_of_replica(log):
        known = await tip(log)
        return Tip(known.first, 1, known.last_appended_at_ms, known.bytes_kept) if behind and behind.pop() else known

    async def read_of_replica(log, after, **kwargs):
        return [] if behind else await read(log, after, **kwargs)

    async def no_time(*_):
        pass

    monkeypatch.setattr(shards, "sleep", no_time)
    monkeypatch.setattr(logs, "tip", tip_of_replica)
    monkeypatch.setattr(logs, "read", read_of_replica)
    answer = await unlimited.get(iterator)
    assert [record["Data"] for record in answer["Records"]] == [b"first", b"last"]
    behind += [True] * (limits.BEHIND_ATTEMPTS + 1)
    with pytest.raises(StorageError):
        await unlimited.get(iterator)


# Keys


@pytest.mark.parametrize("key", ["\0", "\0E", "\0K", "\0-x", "\x01", "🚀", "k" * 256])
async def test_any_partition_key_comes_back(kinesis, key):
    await kinesis.create()
    await kinesis.put(b"x", key)
    [record] = (await kinesis.get(await kinesis.iterator()))["Records"]
    assert (record["PartitionKey"], "EncryptionType" in record) == (key, False)
