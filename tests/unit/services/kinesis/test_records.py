"""What is stored, and the keys it is stored under."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.services.kinesis import records
from headrace.services.kinesis.records import Plan, ShardRecord, Status, StreamRecord


@given(st.text(max_size=20) | st.text("\0EK-a", max_size=5), st.booleans())
def test_partition_keys_come_back_and_are_never_a_seal(key, encrypted):
    stored = records.encode_key(key, encrypted=encrypted)
    assert stored != records.SEAL
    assert records.decode_key(stored) == (key, encrypted)


def test_an_ordinary_key_is_stored_as_it_is():
    assert records.encode_key("aircraft-N14228") == "aircraft-N14228"


def test_a_stream_comes_back():
    record = StreamRecord(
        name="s",
        stream_id="abcdefghij0123456789-xyz",
        created_at_ms=1,
        status=Status.UPDATING,
        until_ms=2,
        shards=[ShardRecord(0, b"\0" * 16, b"\xff" * 16, 1, 1, closed_at_ms=5, ending=7)],
        next_shard=1,
        plan=Plan([(0, b"\x80" + b"\0" * 15), (1, 2)]),
    )
    assert records.decode_stream(records.encode(record)) == record


def test_no_stream_s_keys_are_another_s():
    place = ("us-east-1", "123456789012")
    assert not records.consumer_key(*place, "ab", "c").startswith(records.consumer_key(*place, "a", ""))
    assert not records.stream_queue_key(*place, "ab", "q").startswith(records.stream_queue_key(*place, "a", ""))
