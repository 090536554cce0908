"""The archive of a FIFO topic: a log that keeps what was published for as long as its ArchivePolicy says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from headrace.context import Server
from headrace.primitives.logs import Appending, LogMissing, LogSettings
from headrace.services.sns import records, replay_policy
from headrace.services.sns.records import Publication

if TYPE_CHECKING:
    from headrace.services.sns.state import Topic

_DAY_MS: Final = 86_400_000


def log_of(topic_arn: str) -> str:
    """The name of a topic's archive."""
    return f"sns:archive:{topic_arn}"


async def prepare(server: Server, topic: Topic, days: int) -> None:
    """Have the archive keep messages for so many days. AWS: with 0, archiving ends, and what was archived is gone."""
    if days:
        await server.engine.logs.open(log_of(topic.arn), LogSettings(retention_ms=days * _DAY_MS))
    else:
        await forget(server, topic)


async def forget(server: Server, topic: Topic) -> None:
    """Remove the archive."""
    if topic.fifo:
        await server.engine.logs.drop(log_of(topic.arn))


async def append(server: Server, topic: Topic, publications: Sequence[Publication]) -> None:
    """Archive publications, in their order."""
    entries = [Appending(key=each.group or "", data=records.encode(each)) for each in publications]
    try:
        await server.engine.logs.append(log_of(topic.arn), entries)
    except LogMissing:  # the topic was made with its policy a moment ago, or its record came from elsewhere
        await prepare(server, topic, topic.archive_days)
        await server.engine.logs.append(log_of(topic.arn), entries)


async def beginning(server: Server, topic: Topic) -> str:
    """From when on messages can be replayed: the time of the oldest that is archived, or now when there is none."""
    at_ms = server.clock.now_ms()
    try:
        oldest = await server.engine.logs.read(log_of(topic.arn), 0, max_records=1, max_bytes=1)
    except LogMissing:
        oldest = []
    return replay_policy.show(oldest[0].appended_at_ms if oldest else at_ms)
