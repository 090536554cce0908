"""Shard iterators: a place in a shard, as the text that callers hand back. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec

from headrace.errors import ServiceError
from headrace.services.kinesis import limits, rules


class Iterator(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A place in a shard: after the log sequence `after`. `issued_ms` is when the iterator was given out."""

    region: str
    account: str
    stream_name: str
    stream_id: str
    shard: int
    after: int
    issued_ms: int


_HEAD: Final = b"\0\0\0\0\0\0\0\1"
"""AWS: iterators begin with AAAAAAAAAA."""
_decode: Final = msgspec.msgpack.Decoder(Iterator).decode


def write_iterator(iterator: Iterator) -> str:
    """The text that stands for an iterator."""
    return rules.encode_opaque(iterator, _HEAD)


def read_iterator(text: str, now_ms: int) -> Iterator:
    """The iterator a text stands for.

    Raises InvalidArgumentException for what was never given out, ExpiredIteratorException for what is too old.
    """
    iterator = rules.decode_opaque(text, _decode, "ShardIterator", _HEAD)
    if now_ms - iterator.issued_ms > limits.ITERATOR_LIFE_MS:
        raise ServiceError(
            "ExpiredIteratorException",
            f"Iterator expired. The iterator was created at time {_moment(iterator.issued_ms)} while right now it is "
            f"{_moment(now_ms)} which is further in the future than the tolerated delay of "
            f"{limits.ITERATOR_LIFE_MS} milliseconds.",
        )
    return iterator


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%a %b %d %H:%M:%S UTC %Y")
