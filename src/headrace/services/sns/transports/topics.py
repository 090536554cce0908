"""What a transport has to know of a topic besides the message itself."""

from __future__ import annotations

from headrace.context import Server
from headrace.services.sns import records, rules


async def display_name(server: Server, topic_arn: str) -> str:
    """The topic's DisplayName; "" where it has none, or there is no topic (any more)."""
    if not topic_arn:
        return ""
    entry = await server.engine.metadata.get(records.topic_key(*rules.parse_topic_arn(topic_arn)))
    return records.decode_topic(entry.value).attributes.get("DisplayName", "") if entry is not None else ""
