"""What Kinesis demands of names, ARNs, sequence numbers and hash keys, and the errors it answers with. Pure."""

from __future__ import annotations

import binascii
import enum
import hashlib
import re
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from headrace.errors import ServiceError

# Errors


def invalid_argument(message: str) -> ServiceError:
    """AWS's InvalidArgumentException."""
    return ServiceError("InvalidArgumentException", message)


def validation(message: str) -> ServiceError:
    """AWS's ValidationException."""
    return ServiceError("ValidationException", message)


def in_use(message: str) -> ServiceError:
    """AWS's ResourceInUseException."""
    return ServiceError("ResourceInUseException", message)


def limit_exceeded(message: str) -> ServiceError:
    """AWS's LimitExceededException."""
    return ServiceError("LimitExceededException", message)


def not_found(message: str) -> ServiceError:
    """AWS's ResourceNotFoundException."""
    return ServiceError("ResourceNotFoundException", message)


def no_such_stream(name: str, account: str) -> ServiceError:
    """What AWS answers when there is no such stream."""
    return not_found(f"Stream {name} under account {account} not found.")


def no_such_shard(shard_id: str, name: str, account: str) -> ServiceError:
    """What AWS answers when the stream has no such shard, or has it no longer."""
    return not_found(f"Shard {shard_id} in stream {name} under account {account} does not exist")


def throughput_exceeded(message: str) -> ServiceError:
    """AWS's ProvisionedThroughputExceededException."""
    return ServiceError("ProvisionedThroughputExceededException", message)


def dry_run() -> ServiceError:
    """AWS's DryRunOperationException: the call would have succeeded."""
    return ServiceError("DryRunOperationException", "The request would have succeeded, but the DryRun flag is set.")


def violation(path: str, value: object, constraint: str) -> ServiceError:
    """ValidationException in the words AWS has for one parameter that does not meet its constraint."""
    shown = "null" if value is None else f"'{value}'"
    return validation(
        f"1 validation error detected: Value {shown} at '{path}' failed to satisfy constraint: {constraint}"
    )


# ARNs

_STREAM_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:kinesis:([a-z0-9-]+):(\d{12}):stream/([a-zA-Z0-9_.-]{1,128})"
).fullmatch
_RESOURCE_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:kinesis:([a-z0-9-]+):(\d{12}):"
    r"(stream/[a-zA-Z0-9_.-]{1,128}(?:/consumer/[a-zA-Z0-9_.-]{1,128}:\d+)?|queue/\S+)"
).fullmatch


def partition(region: str) -> str:
    """The AWS partition that a region lies in."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def arn_of(region: str, account: str, resource: str) -> str:
    """The ARN of a resource: `stream/<name>`, `stream/<name>/consumer/<consumer>:<created>` or `queue/<name>`."""
    return f"arn:{partition(region)}:kinesis:{region}:{account}:{resource}"


def stream_arn(region: str, account: str, name: str) -> str:
    """A stream's ARN."""
    return arn_of(region, account, f"stream/{name}")


def parse_stream_arn(arn: str) -> tuple[str, str, str]:
    """The (region, account, name) of a stream's ARN. Raises InvalidArgumentException."""
    found = _STREAM_ARN(arn)
    if found is None:
        raise invalid_argument(f"{arn} is not the ARN of a stream.")
    return found[1], found[2], found[3]


def parse_resource_arn(arn: str) -> tuple[str, str, str]:
    """The (region, account, resource) of a stream's, consumer's or queue's ARN. Raises InvalidArgumentException."""
    found = _RESOURCE_ARN(arn)
    if found is None:
        raise invalid_argument(f"{arn} is not the ARN of a stream, a consumer or a queue.")
    return found[1], found[2], found[3]


# Keys of KMS

_KEY_ID: Final = re.compile(
    r"(?:arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:)?alias/[a-zA-Z0-9/_-]{1,250}"
    r"|(?:arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/)?"
    r"(?:[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|mrk-[0-9a-fA-F]{32})"
).fullmatch


def check_key_id(key_id: str) -> None:
    """Raise KMSNotFoundException for what can name no key: no alias, no key's id, and no ARN of either."""
    if _KEY_ID(key_id) is None:
        raise ServiceError("KMSNotFoundException", f"Invalid keyId '{key_id}'")


# Hash keys, as 16 bytes: they compare as the numbers do

HASH_KEYS: Final = 1 << 128
LAST_HASH: Final = b"\xff" * 16


def hash_of(partition_key: str) -> bytes:
    """The hash key that a partition key maps to: its MD5."""
    return hashlib.md5(partition_key.encode(), usedforsecurity=False).digest()


def hash_bytes(number: int) -> bytes:
    """A hash key as it is compared and stored."""
    return number.to_bytes(16)


def explicit_hash(text: str) -> bytes:
    """The hash key of an ExplicitHashKey. Raises InvalidArgumentException unless it lies within 0 and 2^128 - 1."""
    number = int(text) if text.isascii() and text.isdecimal() else HASH_KEYS
    if number >= HASH_KEYS:
        raise invalid_argument(
            f"Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {text}"
        )
    return number.to_bytes(16)


def hash_range(first_hash: bytes, last_hash: bytes) -> dict[str, str]:
    """AWS's HashKeyRange."""
    return {
        "StartingHashKey": str(int.from_bytes(first_hash)),
        "EndingHashKey": str(int.from_bytes(last_hash)),
    }


# Shard ids

_SHARD_ID: Final = re.compile(r"(?:shardId-)?(\d{1,12})").fullmatch


def shard_id(number: int) -> str:
    """AWS's name for a stream's shard of that number."""
    return f"shardId-{number:012d}"


def parse_shard_id(text: str) -> int | None:
    """The number in a ShardId, None for what names no shard. AWS: the digits alone will do."""
    found = _SHARD_ID(text)
    return None if found is None else int(found[1])


# Sequence numbers. In AWS's form, as it was found out by others: 186 bits, of which the first (a 2) make the number
# 56 digits long that begin with 49. Then follow 36 bits of the shard's creation in seconds, 4 of the shard's number,
# 64 of the record's place in the shard, 8 of what is numbered, and, as a check, again the creation (36), the shard's
# whole number (32) and the form's version (4).


class Kind(enum.IntEnum):
    """What a sequence number stands for; at the same place in the log they compare in this order."""

    RECORD = 0
    POSITION = 1
    """Between a record and the next: how far a reader has come. At place 0, the start of the shard."""
    END = 2
    """The end of a closed shard."""


class SequenceNumber(NamedTuple):
    """What a sequence number says. For a RECORD, `sequence` is its sequence in the shard's log."""

    epoch_s: int
    shard: int
    sequence: int
    kind: Kind


SEQUENCE_SHIFT: Final = 80
"""Between the numbers of two records that follow each other lie as many bits: `base + (sequence << SEQUENCE_SHIFT)`."""
_KIND_SHIFT: Final = 72
_END_SEQUENCE: Final = (1 << 63) - 1
"""AWS: the place of a closed shard's end is the last there can be, wherever its last record is."""


def sequence_base(epoch_s: int, shard: int) -> int:
    """What all sequence numbers of a shard begin with."""
    return (2 << 184) | (epoch_s << 148) | ((shard & 15) << 144) | (epoch_s << 36) | (shard << 4) | 2


def sequence_number(epoch_s: int, shard: int, sequence: int, kind: Kind = Kind.RECORD) -> str:
    """A sequence number. They grow with `sequence` in a shard, and over shards with the `epoch_s` of parent to child.

    Of an END `sequence` does not matter; a POSITION lies after the record of that sequence and before the next.
    """
    place = _END_SEQUENCE if kind is Kind.END else sequence
    return str(sequence_base(epoch_s, shard) + (place << SEQUENCE_SHIFT) + (kind << _KIND_SHIFT))


def parse_sequence_number(text: str) -> SequenceNumber | None:
    """What a sequence number says; None for one that was never given."""
    if len(text) > 56 or not (text.isascii() and text.isdecimal()):  # noqa: PLR2004 - digits of a sequence number
        return None
    number = int(text)
    epoch_s, shard = (number >> 36) & ((1 << 36) - 1), (number >> 4) & ((1 << 32) - 1)
    place, kind = (number >> SEQUENCE_SHIFT) & ((1 << 64) - 1), (number >> _KIND_SHIFT) & 255
    if kind > Kind.END or number != sequence_base(epoch_s, shard) + (place << SEQUENCE_SHIFT) + (kind << _KIND_SHIFT):
        return None
    return SequenceNumber(epoch_s, shard, place, Kind(kind))


# Tokens. A check keeps what was never given out from being taken for a token.

T = TypeVar("T")

_CHECK_BYTES: Final = 4
_encode_token: Final = msgspec.msgpack.Encoder().encode


def encode_opaque(value: Any, head: bytes = b"") -> str:
    """A value as text that callers hand back; `head` is what it is to begin with."""
    body = _encode_token(value)
    return urlsafe_b64encode(head + binascii.crc32(body).to_bytes(_CHECK_BYTES) + body).decode()


def decode_opaque(text: str, decode: Callable[[bytes], T], what: str = "NextToken", head: bytes = b"") -> T:
    """The value that a text stands for. Raises InvalidArgumentException, which names `what`, for any other text."""
    try:
        raw = b64decode(text, b"-_", validate=True)
        body = raw[len(head) + _CHECK_BYTES :]
        if raw[: -len(body)] == head + binascii.crc32(body).to_bytes(_CHECK_BYTES):
            return decode(body)
    except (ValueError, msgspec.MsgspecError):
        pass
    raise invalid_argument(f"Invalid {what}.")


_decode_name: Final = msgspec.msgpack.Decoder(str).decode


def encode_token(last: str) -> str:
    """The NextToken that continues after the name `last`."""
    return encode_opaque(last)


def decode_token(token: str) -> str:
    """The name that a NextToken continues after. Raises InvalidArgumentException."""
    return decode_opaque(token, _decode_name)
