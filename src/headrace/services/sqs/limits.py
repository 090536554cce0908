"""Amazon SQS's limits, each with AWS's figure (Amazon SQS Developer Guide, "Quotas"), and those of this process."""

from __future__ import annotations

from typing import Final

# Queues

QUEUE_NAME_CHARS: Final = 80
"""AWS: a queue name has up to 80 characters, the `.fifo` suffix included."""

VISIBILITY_TIMEOUT_S: Final = (0, 43_200, 30)
"""AWS: 0 seconds to 12 hours, 30 seconds by default. Such triples are the smallest value, the largest, the default."""

MESSAGE_RETENTION_S: Final = (60, 1_209_600, 345_600)
"""AWS: 1 minute to 14 days, 4 days by default."""

MESSAGE_SIZE_BYTES: Final = (1_024, 1_048_576, 1_048_576)
"""AWS: 1 KiB to 1 MiB, 1 MiB by default; a message's attributes (names, types, values) count."""

DELAY_S: Final = (0, 900, 0)
"""AWS: up to 15 minutes, per queue and per message; none by default."""

WAIT_TIME_S: Final = (0, 20, 0)
"""AWS: a long poll lasts up to 20 seconds; short polling by default."""

KMS_REUSE_S: Final = (60, 86_400, 300)
"""AWS: a data key is reused for 1 minute to 24 hours, 5 minutes by default."""

IN_FLIGHT_MESSAGES: Final = 120_000
"""AWS: about 120,000 messages in flight per queue; beyond it standard queues answer OverLimit, FIFO queues nothing."""

DEDUPLICATION_WINDOW_MS: Final = 300_000
"""AWS: deduplication ids are remembered for 5 minutes."""

DELETED_NAME_MS: Final = 60_000
"""AWS: a deleted queue's name is free again after 60 seconds."""

PURGE_INTERVAL_MS: Final = 60_000
"""AWS: one PurgeQueue per queue every 60 seconds."""

TAGS: Final = 50
"""AWS: 50 tags per queue."""

TAG_KEY_CHARS: Final = 128
"""AWS: tag keys have 1 to 128 characters."""

TAG_VALUE_CHARS: Final = 256
"""AWS: tag values have up to 256 characters."""

LIST_RESULTS: Final = 1_000
"""AWS: ListQueues and ListDeadLetterSourceQueues give 1 to 1,000 results a page."""

# Policies

POLICY_BYTES: Final = 8_192
"""AWS: a queue policy has up to 8,192 bytes."""

POLICY_STATEMENTS: Final = 20
"""AWS: 20 statements in a queue policy."""

POLICY_PRINCIPALS: Final = 50
"""AWS: 50 principals in a queue policy."""

POLICY_CONDITIONS: Final = 10
"""AWS: 10 conditions in a queue policy."""

PERMISSION_ACTIONS: Final = 7
"""AWS: seven actions in a statement made by AddPermission."""

PERMISSION_LABEL_CHARS: Final = 80
"""AWS: a permission's label has up to 80 characters."""

# Dead letters

MAX_RECEIVE_COUNT: Final = (1, 1_000)
"""AWS: maxReceiveCount is 1 to 1,000."""

REDRIVE_ALLOWED_SOURCES: Final = 10
"""AWS: RedriveAllowPolicy names up to 10 source queues."""

MOVE_MESSAGES_PER_S: Final = (1, 500)
"""AWS: MaxNumberOfMessagesPerSecond of a message move task is 1 to 500."""

MOVE_TASKS_LISTED: Final = 10
"""AWS: ListMessageMoveTasks gives up to the 10 most recent tasks, one by default; older ones are forgotten."""

MOVE_SLICE_MESSAGES: Final = 100
"""Messages moved in one step of a task, so that no step holds the event loop for long."""

MOVE_TASKS_AT_ONCE: Final = 1_000
"""Tasks that go on side by side, over all queues; more wait until some are done."""

MOVE_LEASE_MS: Final = 5_000
"""How long a process keeps the move tasks to itself without renewing."""

# Messages

BATCH_ENTRIES: Final = 10
"""AWS: 10 entries in a batch."""

BATCH_ID_CHARS: Final = 80
"""AWS: a batch entry's id has up to 80 characters."""

BATCH_BYTES: Final = 1_048_576
"""AWS: all messages of a batch together have up to 1 MiB."""

RECEIVE_MESSAGES: Final = 10
"""AWS: ReceiveMessage gives 1 to 10 messages."""

MESSAGE_ATTRIBUTES: Final = 10
"""AWS: 10 attributes per message."""

ATTRIBUTE_NAME_CHARS: Final = 256
"""AWS: an attribute's name has up to 256 characters."""

ATTRIBUTE_TYPE_BYTES: Final = 256
"""AWS: an attribute's type, custom suffix included, has up to 256 bytes."""

NUMBER_DIGITS: Final = 38
"""AWS: a Number attribute has up to 38 digits of precision."""

NUMBER_EXPONENTS: Final = (-128, 126)
"""AWS: a Number attribute lies between 10^-128 and 10^126."""

MESSAGE_ID_CHARS: Final = 128
"""AWS: MessageGroupId, MessageDeduplicationId and ReceiveRequestAttemptId have up to 128 characters."""

# Throughput, lifted by `--quotas none`

FIFO_CALLS_PER_S: Final = 300
"""AWS: 300 calls a second per action on a FIFO queue (3,000 messages in batches), or on each of its message groups."""

HIGH_THROUGHPUT_CALLS_PER_S: Final = 70_000
"""AWS: calls a second per action with `FifoThroughputLimit=perMessageGroupId`, in the regions that have most."""

# This process

QUEUES_CACHED: Final = 20_000
"""Queues whose record is kept in memory."""

QUEUE_URLS_CACHED: Final = 40_000
"""Spellings of queue URLs whose queue is known without parsing."""

NAMES_FORGOTTEN: Final = 100
"""Names deleted long enough ago that are forgotten, at most, when another queue of the account is deleted."""

CONFLICT_RETRIES: Final = 20
"""Attempts at changing a queue's record while others change it too."""
