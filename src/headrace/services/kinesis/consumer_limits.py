"""The limits of enhanced fan-out, each with AWS's figure (Kinesis developer guide and API reference), and our own.

How many consumers a stream may have stands in `queue_limits`, as queues count as consumers.
"""

from __future__ import annotations

from typing import Final

CONSUMERS_CREATING: Final = 5
"""AWS: consumers of a stream that are CREATING at one time."""

LIST_CONSUMERS: Final = 100
"""AWS: ListStreamConsumers gives up to 100 consumers a page."""

TOKEN_LIFE_MS: Final = 300_000
"""AWS: the NextToken of ListStreamConsumers lives for 300 seconds."""

SUBSCRIPTION_LIFE_MS: Final = 300_000
"""AWS: SubscribeToShard pushes records for up to 5 minutes."""

TAKEOVER_MS: Final = 5_000
"""AWS: a second SubscribeToShard for a consumer and shard takes over after 5 seconds, and is refused before."""

BYTES_PER_S: Final = 2_097_152
"""AWS: a consumer is given up to 2 MiB a second of each shard. Lifted by `--quotas none`."""

HEARTBEAT_MS: Final = 5_000
"""How long a subscription is silent: then comes an event without records. AWS: about five seconds."""

EVENT_BYTES: Final = 1_048_576
"""Records of an event, unless it is one that is larger alone. Its message must stay below 16 MiB, as SDKs take no more.

AWS: does not say.
"""

EVENT_RECORDS: Final = 10_000
"""Records of an event. AWS: does not say; GetRecords gives as many."""

SUBSCRIPTIONS: Final = 4_000
"""Subscriptions to this process at once."""

SHARED_BYTES: Final = 16_777_216
"""What is kept of events that were just made, for other consumers at the same place of a shard."""

SHARED_MS: Final = 1_000
"""How long such an event is kept for others."""
