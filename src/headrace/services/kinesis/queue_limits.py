"""The limits of stream queues, each with AWS's figure (Kinesis developer guide, "Quotas and limits for queues")."""

from __future__ import annotations

from typing import Final

VISIBILITY_TIMEOUT_S: Final = 30
"""AWS: a received record is hidden for 30 seconds, unless the queue or the call says otherwise."""

MAX_RECEIVE_COUNT: Final = 6
"""AWS: a record is a dead letter once it was received six times, unless the queue says otherwise."""

RECEIVE_RECORDS: Final = 10
"""AWS: a receive gives up to 10 records, and 10 when it does not say how many."""

RECEIVE_WAIT_S: Final = 9
"""AWS: a receive waits 9 seconds for a record, unless it says otherwise."""

IN_FLIGHT_RECORDS: Final = 120_000
"""AWS: up to 120,000 records of a queue in flight; beyond it a receive finds nothing."""

CONSUMERS: Final = 20
"""AWS: queues and enhanced fan-out consumers of a stream together, On-demand Standard."""

CONSUMERS_ADVANTAGE: Final = 50
"""AWS: queues and enhanced fan-out consumers of a stream together, On-demand Advantage."""

QUEUES_CHANGING: Final = 5
"""AWS: queues of an account and region that are being created or deleted at one time."""

LIST_RESULTS: Final = 100
"""Summaries on a page of ListQueues that does not say how many. AWS: unsaid; ListStreamConsumers has 100."""

TOKEN_LIFE_MS: Final = 300_000
"""AWS: a NextToken lives for 300 seconds."""

TRANSITION_MS: Final = 200
"""How long a queue is CREATING, UPDATING or DELETING. AWS: seconds to minutes."""

KEPT_MS: Final = 31_536_000_000
"""How long a pointer is kept, and may be hidden in all: as long as a stream can keep its record, a year.

AWS: only a single change of the visibility is limited, to 12 hours. A pointer to a record that has expired is passed
over, and removed, when it is received.
"""

RECEIVE_BYTES: Final = 10_485_760
"""Data a receive gives at most, besides the record that passes it. AWS: it may give fewer records than asked for."""

# Feeding: pointers to records are put where receives find them, a few ahead of what is received.

FEED_SLICE: Final = 500
"""Pointers stored in one go: a few milliseconds."""

FEED_AHEAD: Final = 2_000
"""Pointers that wait to be received, at most: what a queue costs in storage however long its backlog is."""

FEED_LOW: Final = 500
"""Pointers left that set off the next feeding."""

FEED_ACTIVE_MS: Final = 30_000
"""A queue is fed for this long after a receive: somewhat longer than the longest wait."""

FEED_LEASE_MS: Final = 5_000
"""How long a process keeps the feeding of a queue to itself without renewing."""

FEED_LOOK_AGAIN_MS: Final = 1_000
"""When to look again for what another process does: receive what was fed, or let go of the feeding."""

FOLLOWED_SHARDS: Final = 10_000
"""Shards of a queue that are waited for side by side; more are looked at when one of these gets a record."""

# Work that is due: last receives that end, queues that are to be removed.

DUE_SLICE: Final = 100
"""Entries looked at in one step."""

DUE_LEASE_MS: Final = 5_000
"""How long a process keeps this work to itself without renewing."""

CLEAR_SLICE: Final = 500
"""Records removed in one go when a queue is."""

QUEUES_CACHED: Final = 20_000
"""Queues whose record is kept in memory."""

CONFLICT_RETRIES: Final = 20
"""Attempts at changing a queue's record while others change it too."""
