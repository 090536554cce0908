"""What Kinesis stores: records in metadata under their keys, and the form that data records have in the logs.

Every record carries its version as its tag, so that a later version can read an earlier one's data.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from headrace.primitives import logs


class ShardRecord(msgspec.Struct, frozen=True, array_like=True):
    """A shard. Hash keys are 16 bytes, big end first, both ends included; `parent` and `adjacent` are numbers or -1.

    `epoch_s` is the shard's creation as its sequence numbers have it: seconds, later than those of its parents.
    `closed_at_ms` is 0 while it is open. `ending` is the last sequence of its log that belongs to it, -1 until known.
    """

    number: int
    first_hash: bytes
    last_hash: bytes
    epoch_s: int
    opened_at_ms: int
    parent: int = -1
    adjacent: int = -1
    closed_at_ms: int = 0
    ending: int = -1


class Plan(msgspec.Struct, frozen=True, array_like=True):
    """A resharding that is to come: splits and merges, carried out one after another.

    Each step is (shard, new first hash key) or (shard, adjacent shard); the numbers of the shards that earlier steps
    make are known beforehand, since they are given out in order.
    """

    steps: list[tuple[int, bytes | int]]


class Status(enum.Enum):
    """AWS's words for what a stream is going through."""

    CREATING = "CREATING"
    ACTIVE = "ACTIVE"
    UPDATING = "UPDATING"
    DELETING = "DELETING"


class StreamRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """A stream. `stream_id` is its own, another than that of any other stream, also of the same name.

    `status` holds until `until_ms`, from when on the stream is ACTIVE (or gone); then what `plan` says is done.
    `scalings_ms` and `mode_changes_ms` are the moments of the day's UpdateShardCount and UpdateStreamMode calls,
    `key_changes_ms` those of StartStreamEncryption. `strategy` "" is USER_PARTITION_KEY. `cool_at_ms` is when a
    stream in on-demand mode may have more shards than it needs, 0 for never.
    """

    name: str
    stream_id: str
    created_at_ms: int
    status: Status
    until_ms: int
    shards: list[ShardRecord]
    next_shard: int
    on_demand: bool = False
    retention_h: int = 24
    max_record_kib: int = 1024
    warm_mib: int = 0
    strategy: str = ""
    key_id: str = ""
    metrics: list[str] = []
    plan: Plan | None = None
    scalings_ms: list[int] = []
    mode_changes_ms: list[int] = []
    key_changes_ms: list[int] = []
    cool_at_ms: int = 0


class TagsRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """The tags of a stream, a consumer or a queue."""

    tags: dict[str, str]


class PolicyRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """The resource policy of a stream, a consumer or a queue, as its owner wrote it."""

    policy: str


class SettingsRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """An account's settings in a region: the minimum throughput billing commitment. 0 is never."""

    committed: bool = False
    started_at_ms: int = 0
    ended_at_ms: int = 0


class UsageRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """How much was written to an on-demand stream: by day (since the epoch) its highest (bytes, records) a second.

    `window` is the number of the window that is being counted, `window_bytes` and `window_records` what it has so far.
    """

    days: dict[int, tuple[int, int]] = {}
    window: int = 0
    window_bytes: int = 0
    window_records: int = 0


encode: Final = msgspec.msgpack.Encoder().encode
decode_stream: Final = msgspec.msgpack.Decoder(StreamRecord).decode
decode_tags: Final = msgspec.msgpack.Decoder(TagsRecord).decode
decode_policy: Final = msgspec.msgpack.Decoder(PolicyRecord).decode
decode_settings: Final = msgspec.msgpack.Decoder(SettingsRecord).decode
decode_usage: Final = msgspec.msgpack.Decoder(UsageRecord).decode


# Data records in a log. The log's `key` is the partition key and its `data` the data, both as they came, so that
# neither writing nor reading touches them. What is out of the ordinary stands before the key, after a NUL.

SEAL: Final = logs.SEAL
"""The key of the entry that ends a closed shard's log. It is no record."""

_MARKED: Final = "\0"
_KMS: Final = "\0K"
_PLAIN: Final = "\0-"


def encode_key(partition_key: str, *, encrypted: bool = False) -> str:
    """The log's key for a record: its partition key ("" when it has none), and whether it counts as encrypted."""
    if encrypted:
        return _KMS + partition_key
    return _PLAIN + partition_key if partition_key.startswith(_MARKED) else partition_key


def decode_key(key: str) -> tuple[str, bool]:
    """A record's partition key and whether it counts as encrypted, from the log's key."""
    if not key.startswith(_MARKED):
        return key, False
    return key[2:], key.startswith(_KMS)


# Keys. Stream, consumer and queue names have no slash, so each kind of record is a prefix of its own.


def stream_key(region: str, account: str, name: str) -> str:
    """The key of a stream's record; with an empty or partial name, the prefix of many."""
    return f"kinesis/{region}/{account}/stream/{name}"


def stream_id_key(region: str, account: str, stream_id: str) -> str:
    """The key whose value is the name of the stream with that StreamId."""
    return f"kinesis/{region}/{account}/id/{stream_id}"


def consumer_key(region: str, account: str, stream_name: str, consumer_name: str) -> str:
    """The key of a registered consumer's record; with an empty consumer name, the prefix of all of the stream."""
    return f"kinesis/{region}/{account}/consumer/{stream_name}/{consumer_name}"


def subscription_key(region: str, account: str, stream_name: str, consumer_name: str, shard: int | None = None) -> str:
    """The key of the record of a consumer's latest subscription to a shard; with no shard, the prefix of all."""
    return f"kinesis/{region}/{account}/subscription/{stream_name}/{consumer_name}/{'' if shard is None else shard}"


def queue_key(region: str, account: str, name: str) -> str:
    """The key of a stream queue's record; with an empty or partial name, the prefix of many."""
    return f"kinesis/{region}/{account}/queue/{name}"


def stream_queue_key(region: str, account: str, stream_name: str, queue_name: str) -> str:
    """The key that tells that a queue is on a stream (its value is empty); with no queue name, the prefix of all."""
    return f"kinesis/{region}/{account}/stream-queue/{stream_name}/{queue_name}"


def tags_key(region: str, account: str, resource: str) -> str:
    """The key of a resource's TagsRecord. `resource` is the last part of its ARN.

    That is `stream/<name>`, `stream/<name>/consumer/<consumer>:<created>` or `queue/<name>`.
    """
    return f"kinesis/{region}/{account}/tags/{resource}"


def policy_key(region: str, account: str, resource: str) -> str:
    """The key of a resource's PolicyRecord; `resource` as in `tags_key`."""
    return f"kinesis/{region}/{account}/policy/{resource}"


def usage_key(region: str, account: str, name: str) -> str:
    """The key of an on-demand stream's UsageRecord."""
    return f"kinesis/{region}/{account}/usage/{name}"


def settings_key(region: str, account: str) -> str:
    """The key of an account's SettingsRecord."""
    return f"kinesis/{region}/{account}/settings"


def log_name(region: str, account: str, stream: StreamRecord, shard: int) -> str:
    """The engine's name for a shard's log; a stream that is made anew under a name has others."""
    return f"kinesis/{region}/{account}/{stream.name}/{stream.stream_id}/{shard}"


DUE_PREFIX: Final = "kinesis-due/"


def due_key(region: str, account: str, name: str) -> str:
    """The key whose value says, in milliseconds, when something is due to be done with a stream."""
    return f"{DUE_PREFIX}{region}/{account}/{name}"
