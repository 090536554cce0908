"""Where queues are: their definitions, and which process keeps each."""

from __future__ import annotations

from typing import Final

import msgspec

from headrace.primitives.queues import QueueSettings

PARTITIONS: Final = 16
"""Streams that queues are spread over. Each is made when the first of its queues is."""


class Definition(msgspec.Struct, array_like=True, frozen=True):
    """A queue as it is kept among the records; its `number` tells it from an earlier one of the same name."""

    number: int
    settings: QueueSettings

    def stream(self, prefix: str) -> str:
        """The stream that its journal is in."""
        return stream_of(prefix, self.number % PARTITIONS)

    def subject(self, prefix: str) -> str:
        """The subject that its journal is."""
        return f"{prefix}.q.{self.number % PARTITIONS}.{self.number:x}"


def stream_of(prefix: str, partition: int) -> str:
    """The name of a partition's stream."""
    return f"{prefix}_queues_{partition}"


def subjects_of(prefix: str, partition: int) -> str:
    """The subjects that a partition's stream holds."""
    return f"{prefix}.q.{partition}.*"


def definition_key(queue: str) -> str:
    """The key of the record that defines a queue."""
    return f"d/{queue}"


def keeper_key(number: int) -> str:
    """The key of the record that names the process which keeps a queue."""
    return f"k/{number:x}"


ENCODER: Final = msgspec.msgpack.Encoder()
DECODER: Final = msgspec.msgpack.Decoder(Definition)
