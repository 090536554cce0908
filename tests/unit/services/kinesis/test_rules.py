"""Names, ARNs, hash keys, sequence numbers and tokens."""

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import ServiceError
from headrace.services.kinesis import rules
from headrace.services.kinesis.rules import Kind, SequenceNumber

EPOCHS = st.integers(0, 2**36 - 1)
SHARDS = st.integers(0, 2**32 - 1)
SEQUENCES = st.integers(0, 2**62)
KINDS = st.sampled_from([Kind.RECORD, Kind.POSITION])


@given(EPOCHS, SHARDS, SEQUENCES, KINDS)
def test_a_sequence_number_says_what_it_was_made_of(epoch_s, shard, sequence, kind):
    text = rules.sequence_number(epoch_s, shard, sequence, kind)
    assert len(text) == 56
    assert rules.parse_sequence_number(text) == SequenceNumber(epoch_s, shard, sequence, kind)


def test_sequence_numbers_of_our_time_look_like_aws_s():
    assert rules.sequence_number(1_700_000_000, 7, 1).startswith("496")


@given(SHARDS, SHARDS, SEQUENCES, st.integers(0, 2**36 - 2))
def test_a_child_s_numbers_are_larger_than_its_parent_s(parent, child, sequence, epoch_s):
    last = int(rules.sequence_number(epoch_s, parent, 0, Kind.END))
    assert int(rules.sequence_number(epoch_s, parent, sequence)) < last
    assert int(rules.sequence_number(epoch_s + 1, child, 0, Kind.POSITION)) > last


@given(EPOCHS, SHARDS, SEQUENCES)
def test_numbers_grow_with_the_place_in_the_shard(epoch_s, shard, sequence):
    kinds = [
        int(rules.sequence_number(epoch_s, shard, sequence, Kind.RECORD)),
        int(rules.sequence_number(epoch_s, shard, sequence, Kind.POSITION)),
        int(rules.sequence_number(epoch_s, shard, sequence + 1, Kind.RECORD)),
        int(rules.sequence_number(epoch_s, shard, sequence, Kind.END)),
    ]
    assert kinds == sorted(set(kinds))


@pytest.mark.parametrize("text", ["", "0", "1", "x", "-1", "1" * 56, "9" * 129, "٣" * 10, " 1", "49" + "0" * 54])
def test_what_was_never_a_sequence_number_is_none(text):
    assert rules.parse_sequence_number(text) is None


@given(st.integers(0, 10**57))
def test_any_number_is_one_or_none(number):
    found = rules.parse_sequence_number(str(number))
    assert found is None or rules.sequence_number(*found) == str(number)


@given(st.text(min_size=1, max_size=256))
def test_a_partition_key_hashes_to_its_md5(key):
    assert rules.hash_of(key) == hashlib.md5(key.encode()).digest()


def test_explicit_hash_keys_span_2_to_the_128():
    assert rules.explicit_hash("0") == b"\0" * 16
    assert rules.explicit_hash(str(2**128 - 1)) == rules.LAST_HASH
    for text in (str(2**128), "-1", "x", "1.0", "٣"):
        with pytest.raises(ServiceError) as caught:
            rules.explicit_hash(text)
        assert caught.value.code == "InvalidArgumentException"


@pytest.mark.parametrize(
    ("text", "number"),
    [("shardId-000000000012", 12), ("000000000012", 12), ("12", 12), ("shardId-x", None), ("", None)],
)
def test_shard_ids(text, number):
    assert rules.parse_shard_id(text) == number
    assert rules.parse_shard_id(rules.shard_id(4711)) == 4711


@pytest.mark.parametrize(
    ("region", "arn"),
    [
        ("us-east-1", "arn:aws:kinesis:us-east-1:123456789012:stream/s"),
        ("cn-north-1", "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/s"),
        ("us-gov-west-1", "arn:aws-us-gov:kinesis:us-gov-west-1:123456789012:stream/s"),
    ],
)
def test_stream_arns(region, arn):
    assert rules.stream_arn(region, "123456789012", "s") == arn
    assert rules.parse_stream_arn(arn) == (region, "123456789012", "s")


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "s",
        "arn:aws:kinesis:us-east-1:12:stream/s",
        "arn:aws:sqs:us-east-1:123456789012:stream/s",
        "arn:aws:kinesis:us-east-1:123456789012:stream/s/consumer/c:1",
        "arn:aws:kinesis:us-east-1:123456789012:stream/" + "s" * 129,
    ],
)
def test_what_is_no_stream_s_arn(arn):
    with pytest.raises(ServiceError) as caught:
        rules.parse_stream_arn(arn)
    assert caught.value.code == "InvalidArgumentException"


@pytest.mark.parametrize("path", ["stream/s", "stream/s/consumer/c:1700000000", "queue/abc"])
def test_resource_arns(path):
    arn = rules.arn_of("us-east-1", "123456789012", path)
    assert rules.parse_resource_arn(arn) == ("us-east-1", "123456789012", path)


@pytest.mark.parametrize("path", ["channel/c", "stream/s/consumer/c", "stream/", "queue/", "stream/s/other"])
def test_what_is_no_resource_s_arn(path):
    with pytest.raises(ServiceError):
        rules.parse_resource_arn(rules.arn_of("us-east-1", "123456789012", path))


@given(st.text())
def test_tokens_come_back(name):
    assert rules.decode_token(rules.encode_token(name)) == name


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.hex()))
def test_what_was_never_a_token_is_refused(text):
    with pytest.raises(ServiceError) as caught:
        rules.decode_token(text)
    assert caught.value.code == "InvalidArgumentException"


def test_a_token_of_another_kind_is_refused():
    with pytest.raises(ServiceError, match="Invalid Thing"):
        rules.decode_opaque(rules.encode_opaque(["a", 1]), msgspec.msgpack.Decoder(str).decode, "Thing")
