"""What is stored reads back, says its version, and sorts under its keys."""

from __future__ import annotations

import msgspec
import pytest

from headrace.services.sqs import records
from headrace.services.sqs.records import DeletedQueue, Header, MessageAttribute, MoveTask, QueueRecord

TASK = MoveTask(task_id="t", source_arn="s", destination_arn=None, per_second=None, started_at_ms=1, to_move=2)


@pytest.mark.parametrize(
    ("record", "decode"),
    [
        (QueueRecord(name="q", created_at_ms=1, modified_at_ms=2, tags={"a": "b"}), records.decode_queue),
        (DeletedQueue(deleted_at_ms=5), records.decode_deleted),
        (TASK, records.decode_move),
        (Header("AIDA", b"\0" * 16), records.decode_header),
        (
            Header(
                "AIDA", b"", {"a": MessageAttribute("String", "ü"), "b": MessageAttribute("Binary", data=b"\xff")}, "t"
            ),
            records.decode_header,
        ),
    ],
)
def test_records_read_back(record, decode):
    assert decode(records.encode(record)) == record


@pytest.mark.parametrize("record", [QueueRecord(name="q", created_at_ms=1, modified_at_ms=2), TASK])
def test_records_say_their_version(record):
    assert msgspec.msgpack.decode(records.encode(record))["v"] == 1


def test_a_header_says_its_version_first_and_is_small():
    data = records.encode(Header("AIDASENDER", b"\0" * 16))
    assert msgspec.msgpack.decode(data)[0] == 1
    assert len(data) < 40


def test_records_of_a_later_version_are_not_misread():
    later = msgspec.msgpack.encode({"v": 2, "deleted_at_ms": 5})
    with pytest.raises(msgspec.ValidationError):
        records.decode_deleted(later)


def test_keys_tell_kinds_regions_and_accounts_apart():
    keys = {
        records.queue_key("r", "a", "n"),
        records.queue_key("r", "b", "n"),
        records.queue_key("s", "a", "n"),
        records.deleted_key("r", "a", "n"),
        records.source_key("r", "a", "n", "m"),
        records.move_prefix("r", "a", "n"),
        records.moving_key("n"),
    }
    assert len(keys) == 7
    assert all(key.startswith("sqs/") for key in keys)
