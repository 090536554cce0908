"""AWS's limits on SNS, and this service's own bounds."""

from __future__ import annotations

from typing import Final

# AWS's: names, topics and subscriptions

TOPIC_NAME_CHARS: Final = 256
TAGS: Final = 50
TAG_KEY_CHARS: Final = 128
TAG_VALUE_CHARS: Final = 256
DISPLAY_NAME_CHARS: Final = 100
PERMISSION_LABEL_CHARS: Final = 80
POLICY_BYTES: Final = 30_720
POLICY_STATEMENTS: Final = 100
PAGE: Final = 100
"""AWS: topics, subscriptions and applications are listed a hundred at a time."""

TOPICS_PER_ACCOUNT: Final = 100_000
FIFO_TOPICS_PER_ACCOUNT: Final = 1_000
SUBSCRIPTIONS_PER_TOPIC: Final = 12_500_000
SUBSCRIPTIONS_PER_FIFO_TOPIC: Final = 100
PENDING_PER_ACCOUNT: Final = 5_000
FILTER_POLICIES_PER_TOPIC: Final = 200
FILTER_POLICIES_PER_ACCOUNT: Final = 10_000
TOKEN_MS: Final = 3 * 86_400_000
"""AWS: a confirmation token holds for three days; what is not confirmed by then is gone."""

# AWS's: messages

MESSAGE_BYTES: Final = (1_024, 1_048_576, 262_144)
"""MaximumMessageSize: least, most, default."""

BATCH_ENTRIES: Final = 10
BATCH_BYTES: Final = 1_048_576
BATCH_ID_CHARS: Final = 80
SUBJECT_CHARS: Final = 100
MESSAGE_ID_CHARS: Final = 128
"""Longest message group or deduplication id."""

ATTRIBUTE_NAME_CHARS: Final = 256
DEDUPLICATION_WINDOW_MS: Final = 300_000
ARCHIVE_DAYS: Final = (1, 365)

# This service's own

CONFLICT_RETRIES: Final = 20
"""How often a change starts over when others change the same record."""

SUBSCRIPTIONS_CACHED: Final = 200_000
"""Subscriptions held in memory, of all topics together; above it the topics used longest ago are let go."""

TOPICS_CACHED: Final = 50_000
"""Topics held in memory."""
