"""The limits of Kinesis Data Streams, each with AWS's figure (Developer Guide, "Quotas and limits"), and our own."""

from __future__ import annotations

from typing import Final

# Streams

SHARDS_PER_ACCOUNT: Final = 20_000
"""AWS: 20,000 shards per account in the regions that have most."""

STREAMS_CHANGING: Final = 5
"""AWS: five streams of an account at a time are CREATING or DELETING. Lifted by `--quotas none`."""

SHARDS_PER_STREAM_SCALED: Final = 10_000
"""AWS: UpdateShardCount scales up to 10,000 shards."""

SCALINGS_PER_DAY: Final = 10
"""AWS: ten UpdateShardCount calls per stream in a rolling 24 hours."""

MODE_CHANGES_PER_DAY: Final = 2
"""AWS: a stream's capacity mode is changed twice in 24 hours."""

KEY_CHANGES_PER_DAY: Final = 25
"""AWS: encryption is started 25 times in a rolling 24 hours, and stopped as often."""

DAY_MS: Final = 86_400_000

HOUR_MS: Final = 3_600_000

RETENTION_H: Final = (24, 8_760)
"""AWS: records are kept for 24 hours to 365 days."""

RECORD_KIB: Final = (1_024, 10_240)
"""AWS: a stream's largest record is 1 MiB to 10 MiB, 1 MiB unless changed; its partition key counts."""

ON_DEMAND_STREAMS: Final = 50
"""AWS: 50 streams in on-demand mode per account."""

LIST_STREAMS: Final = 100
"""AWS: ListStreams gives up to 100 streams a page (callers may ask for up to 10,000)."""

DESCRIBED_SHARDS: Final = 100
"""AWS: DescribeStream gives up to 100 shards a page."""

LISTED_SHARDS: Final = 1_000
"""AWS: ListShards gives up to 1,000 shards a page."""

TOKEN_LIFE_MS: Final = 300_000
"""AWS: the NextToken of ListShards lives for 5 minutes."""

TRANSITION_MS: Final = 200
"""How long a stream is CREATING, UPDATING or DELETING. AWS takes seconds to minutes."""

# Tags and policies

TAGS: Final = 50
"""AWS: 50 tags per resource."""

POLICY_BYTES: Final = 20_480
"""AWS: a resource policy has up to 20 KB."""

# Records

PUT_RECORDS: Final = 500
"""AWS: 500 records in a PutRecords call."""

PUT_BYTES: Final = 10_485_760
"""AWS: all records of a PutRecords call together, partition keys included, have up to 10 MiB."""

PARTITION_KEY_CHARS: Final = 256
"""AWS: a partition key has 1 to 256 characters."""

GET_RECORDS: Final = 10_000
"""AWS: GetRecords gives up to 10,000 records."""

GET_BYTES: Final = 10_485_760
"""AWS: GetRecords gives up to 10 MiB."""

ITERATOR_LIFE_MS: Final = 300_000
"""AWS: a shard iterator lives for 5 minutes."""

# Throughput, lifted by `--quotas none`

SHARD_BYTES_IN_PER_S: Final = 1_048_576
"""AWS: a shard takes 1 MiB a second."""

SHARD_RECORDS_IN_PER_S: Final = 1_000
"""AWS: a shard takes 1,000 records a second."""

SHARD_BYTES_OUT_PER_S: Final = 2_097_152
"""AWS: GetRecords gives 2 MiB a second of a shard."""

SHARD_CALLS_PER_S: Final = 5
"""AWS: five GetRecords calls, and five GetShardIterator calls, a second on a shard."""

# On-demand mode

ON_DEMAND_SHARDS: Final = 4
"""AWS: a stream in on-demand mode starts with 4 MB/s and 4,000 records/s, which is four shards."""

PEAK_DAYS: Final = 30
"""AWS: capacity follows twice the highest write rate of the last 30 days."""

WINDOW_MS: Final = 10_000
"""Over how long a write rate is taken. AWS does not say."""

WARM_MIB: Final = 10_240
"""AWS: warm throughput is up to 10 GiB/s."""

COMMITMENT_MS: Final = 86_400_000
"""AWS: a minimum throughput billing commitment lasts for 24 hours at least."""

# This process

STREAMS_CACHED: Final = 5_000
"""Streams whose record is kept in memory."""

STREAM_ADDRESSES_CACHED: Final = 20_000
"""Names, ARNs and ids whose stream is known without parsing."""

CONFLICT_RETRIES: Final = 20
"""Attempts at changing a stream's record while others change it too."""

RETRY_MS: Final = 1_000
"""When something due is tried again that failed."""

LIST_PAGE: Final = 1_000
"""Records of metadata read at one go."""

BEHIND_MS: Final = 20
BEHIND_ATTEMPTS: Final = 100
"""How often, and with what pause, the end of a closed shard is looked for where a replica has not caught up with it."""
