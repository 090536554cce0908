"""Retention, record size, encryption and enhanced monitoring."""

import pytest

ALL = [
    "IncomingBytes",
    "IncomingRecords",
    "OutgoingBytes",
    "OutgoingRecords",
    "WriteProvisionedThroughputExceeded",
    "ReadProvisionedThroughputExceeded",
    "IteratorAgeMilliseconds",
]


async def retain(kinesis, hours, how="increase"):
    await kinesis(f"{how}_stream_retention_period", StreamName="s", RetentionPeriodHours=hours)
    assert (await kinesis.summary())["StreamStatus"] == "UPDATING"
    await kinesis.settle()
    assert (await kinesis.summary())["RetentionPeriodHours"] == hours


async def test_a_longer_retention_keeps_what_is_there(unlimited):
    await unlimited.create()
    await unlimited.put(b"old")
    await unlimited.advance(23 * 3600)
    await retain(unlimited, 8760)
    await unlimited.advance(8700 * 3600)
    assert await unlimited.data() == [b"old"]
    await unlimited.advance(37 * 3600)
    assert await unlimited.data() == []


async def test_what_has_expired_does_not_come_back(unlimited):
    await unlimited.create()
    await unlimited.put(b"old")
    await unlimited.advance(23 * 3600)
    await unlimited.put(b"new")
    await unlimited.advance(2 * 3600)
    await retain(unlimited, 48)
    assert await unlimited.data() == [b"new"]


async def test_a_shorter_retention_takes_away_at_once(unlimited):
    await unlimited.create()
    await retain(unlimited, 48)
    await unlimited.put(b"old")
    await unlimited.advance(30 * 3600)
    await unlimited.put(b"new")
    assert await unlimited.data() == [b"old", b"new"]
    await retain(unlimited, 24, "decrease")
    assert await unlimited.data() == [b"new"]


async def test_retention_outlives_a_restart(durable):
    kinesis = await durable.start()
    await kinesis.create()
    await kinesis.put(b"old")
    await retain(kinesis, 72)
    kinesis = await durable.restart()
    await kinesis.advance(70 * 3600)
    assert await kinesis.data() == [b"old"]
    await kinesis.advance(3 * 3600)
    assert await kinesis.data() == []


EXISTING = "existing retention period (48 hours). Use"


@pytest.mark.parametrize(
    ("how", "hours", "wrong"),
    [
        ("increase", 23, "Minimum allowed retention period is 24 hours. {} is too short."),
        ("decrease", 23, "Minimum allowed retention period is 24 hours. {} is too short."),
        ("increase", 8761, "Maximum allowed retention period is 8760 hours. {} is too long."),
        ("increase", 47, f"{{}} for stream s can not be shorter than {EXISTING} DecreaseRetentionPeriod API."),
        ("decrease", 49, f"{{}} for stream s can not be longer than {EXISTING} IncreaseRetentionPeriod API."),
    ],
)
async def test_retentions_that_cannot_be(kinesis, how, hours, wrong):
    await kinesis.create()
    await retain(kinesis, 48)
    error = await kinesis.error(f"{how}_stream_retention_period", StreamName="s", RetentionPeriodHours=hours)
    expected = wrong.format(f"Requested retention period ({hours} hours)")
    assert (error.code, error.message) == ("InvalidArgumentException", expected)


async def test_a_stream_is_changed_while_it_is_active(kinesis):
    await kinesis("create_stream", StreamName="s", ShardCount=1)
    error = await kinesis.error("increase_stream_retention_period", StreamName="s", RetentionPeriodHours=48)
    assert (error.code, error.message) == (
        "ResourceInUseException",
        "Stream s under account 000000000000 not ACTIVE, instead in state CREATING",
    )


# Encryption


async def test_a_stream_counts_as_encrypted(kinesis):
    await kinesis.create()
    await kinesis.put(b"plain")
    key = {"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}
    await kinesis("start_stream_encryption", StreamName="s", **key)
    await kinesis.settle()
    summary = await kinesis.summary()
    assert (summary["EncryptionType"], summary["KeyId"]) == ("KMS", "alias/aws/kinesis")
    assert (await kinesis.put(b"one"))["EncryptionType"] == "KMS"
    batch = await kinesis("put_records", StreamName="s", Records=[{"Data": b"two", "PartitionKey": "\0k"}])
    assert batch["EncryptionType"] == "KMS"
    await kinesis("stop_stream_encryption", StreamName="s", **key)
    await kinesis.settle()
    assert (await kinesis.summary())["EncryptionType"] == "NONE"
    assert "EncryptionType" not in await kinesis.put(b"plain again")
    found = (await kinesis.get(await kinesis.iterator()))["Records"]
    assert [(each["Data"], each["PartitionKey"], each.get("EncryptionType")) for each in found] == [
        (b"plain", "key", None),
        (b"one", "key", "KMS"),
        (b"two", "\0k", "KMS"),
        (b"plain again", "key", None),
    ]


async def test_encryption_that_cannot_be(kinesis):
    await kinesis.create()
    none = {"EncryptionType": "NONE", "KeyId": "alias/k"}
    assert (await kinesis.error("start_stream_encryption", StreamName="s", **none)).code == "InvalidArgumentException"
    assert (await kinesis.error("stop_stream_encryption", StreamName="s", **none)).code == "InvalidArgumentException"
    await kinesis("stop_stream_encryption", StreamName="s", EncryptionType="KMS", KeyId="alias/k")
    await kinesis("start_stream_encryption", StreamName="s", EncryptionType="KMS", KeyId="alias/k")
    await kinesis.settle()
    error = await kinesis.error("stop_stream_encryption", StreamName="s", EncryptionType="KMS", KeyId="other")
    assert error.code == "InvalidArgumentException"


KEY = "12345678-1234-1234-1234-123456789012"
KMS = "arn:aws:kms:us-east-1:123456789012"


@pytest.mark.parametrize("key_id", [KEY, f"{KMS}:key/{KEY}", f"{KMS}:alias/My-Alias", "mrk-" + "0" * 32])
async def test_every_way_of_naming_a_key(kinesis, key_id):
    await kinesis.create()
    await kinesis("start_stream_encryption", StreamName="s", EncryptionType="KMS", KeyId=key_id)
    assert (await kinesis.summary())["KeyId"] == key_id


@pytest.mark.parametrize("key_id", ["k", "alias/", "key/" + KEY, f"{KMS}:{KEY}", f"{KMS}:key/alias/a", KEY + "\n"])
async def test_what_names_no_key(kinesis, key_id):
    await kinesis.create()
    error = await kinesis.error("start_stream_encryption", StreamName="s", EncryptionType="KMS", KeyId=key_id)
    assert (error.code, error.message) == ("KMSNotFoundException", f"Invalid keyId '{key_id}'")


async def test_keys_are_set_25_times_a_day(kinesis):
    await kinesis.create()
    for number in range(25):
        await kinesis("start_stream_encryption", StreamName="s", EncryptionType="KMS", KeyId=f"alias/k{number}")
        await kinesis.settle()
    params = {"StreamName": "s", "EncryptionType": "KMS", "KeyId": "alias/more"}
    assert (await kinesis.error("start_stream_encryption", **params)).code == "LimitExceededException"
    await kinesis.advance(86_400)
    await kinesis("start_stream_encryption", **params)


# Enhanced monitoring


async def test_metrics_are_enabled_and_disabled(kinesis):
    await kinesis.create()
    answer = await kinesis("enable_enhanced_monitoring", StreamName="s", ShardLevelMetrics=["ALL"])
    assert answer == {
        "StreamName": "s",
        "CurrentShardLevelMetrics": [],
        "DesiredShardLevelMetrics": ALL,
        "StreamARN": kinesis.arn(),
    }
    await kinesis.settle()
    answer = await kinesis("disable_enhanced_monitoring", StreamName="s", ShardLevelMetrics=ALL[1:])
    assert (answer["CurrentShardLevelMetrics"], answer["DesiredShardLevelMetrics"]) == (ALL, ALL[:1])
    await kinesis.settle()
    assert (await kinesis.summary())["EnhancedMonitoring"] == [{"ShardLevelMetrics": ALL[:1]}]
    await kinesis("disable_enhanced_monitoring", StreamName="s", ShardLevelMetrics=["ALL"])
    await kinesis.settle()
    assert (await kinesis.summary())["EnhancedMonitoring"] == [{"ShardLevelMetrics": []}]
