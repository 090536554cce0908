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
SUBSCRIPTIONS_PER_LARGE_TOPIC: Final = 100
"""AWS: as many on a topic whose MaximumMessageSize is over 256 KiB."""

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

COUNTS_CACHED: Final = 1_000
"""Regions and accounts whose topics and filter policies are counted in memory."""

TOKENS_SWEPT_MS: Final = 3_600_000
"""How often subscriptions that were not confirmed in time are removed."""

DELETED_AT_ONCE: Final = 500
"""Records deleted in one write when a topic goes with all its subscriptions."""

TOKEN_BYTES: Final = 72
"""Random bytes of a confirmation token, which is written in hexadecimal."""

ATTEMPTS_AT_ONCE: Final = 128
"""Deliveries to one subscription that are under way at once, as long as they succeed; each failure halves them."""

ATTEMPTS_AT_FIRST: Final = 8

ROOMS: Final = 4
"""While deliveries are under way, others are begun when there is room for one in so many of those that may be."""

ATTEMPT_MS: Final = 30_000
"""How long a message is hidden while it is being delivered: as long as a transport takes for an attempt at most."""

ATTEMPT_REST_S: Final = 0.25
"""How long a virtual clock stands still for an attempt to end, by the machine's time."""

REST_S: Final = 2.0
"""How long it does for all attempts together, each time it is moved."""

BRING_MS: Final = 5_000
"""How long a stored publication is hidden while it is brought to the subscribers."""

IDLE_WAIT_MS: Final = 60_000
"""How long a delivery worker waits for the next message before it looks whether it is still needed."""

OUTGOING_RETENTION_MS: Final = 30 * 86_400_000
"""How long a message waits at most to be delivered. AWS: retries go on for 23 days at most."""

OUTGOING_OPENED: Final = 100_000
"""Outgoing queues remembered as opened; above it they are opened anew when next used, which changes nothing."""

ACTIVE_LOOKED_MS: Final = 2_000
"""How often it is looked for what another process may have left, where several share an engine.

The embedded engine has one process, which looks once, at its start.
"""

PROCESS_MS: Final = 5_000
"""How long a process that says nothing is taken to live, where several share an engine."""

REPLAY_LOOKED_MS: Final = 200
"""How often who replays a topic looks for what other processes have stored of it."""

TURN_MS: Final = 5_000
"""How long nobody else brings and replays what an archiving topic has, where several processes share an engine."""

ADOPTED_AT_ONCE: Final = 400
"""Outgoing queues of an ended process that are taken over in one write."""

STORAGE_RETRY_MS: Final = 1_000
"""How long background work waits after the engine could not do its part."""

DEAD_LETTER_RETRY_MS: Final = 20_000
"""How long a dead letter waits when its queue cannot take it now."""

# AWS's: SMS and mobile push

SMS_CHARS: Final = 1_600
SMS_SENDER_CHARS: Final = 11
SMS_OPT_IN_MS: Final = 30 * 86_400_000
"""AWS: a number that opted out may be opted in once in thirty days."""

SANDBOX_NUMBERS: Final = 10
SANDBOX_CODE_MS: Final = 86_400_000
"""How long a verification code holds. AWS: a day."""

SANDBOX_CODES_A_DAY: Final = 5
"""AWS: how many codes a number is sent in a day."""

SANDBOX_ATTEMPTS: Final = 5
"""Wrong codes after which a new one is needed."""

APPLICATION_NAME_CHARS: Final = 256
USER_DATA_BYTES: Final = 2_048
DEVICE_TOKEN_CHARS: Final = 2_048
CREDENTIAL_BYTES: Final = 65_536

# This service's own: what leaves for the outside

HTTP_ATTEMPT_MS: Final = 15_000
"""How long an endpoint has for its answer. AWS: 15 seconds."""

HTTP_CONNECTIONS: Final = 4_096
"""Connections to endpoints at once, idle ones included."""

HTTP_CONNECTIONS_PER_HOST: Final = 1_024
"""As many to one host and port: several subscriptions may share it, and a slow one must not hold up the others."""

REDIRECTS: Final = 5
RESPONSE_READ_BYTES: Final = 65_536
"""How much of an endpoint's answer is read; the connection is given up when there is more."""

RESPONSE_KEPT_BYTES: Final = 256
RETRY_AFTER_MS: Final = 86_400_000
CHALLENGES_CACHED: Final = 1_000
"""Endpoints whose way of asking for credentials is remembered."""

SMTP_ATTEMPT_MS: Final = 60_000
SMTP_CONNECTIONS: Final = 4
SMS_ATTEMPT_MS: Final = 60_000
SMPP_WINDOW: Final = 10
"""Short messages under way at once that the message centre has not answered."""

SMPP_ANSWER_MS: Final = 15_000
SMPP_REOPEN_MS: Final = 30_000
"""How long after its end a session is opened anew, if no message has done so before."""

SMPP_ENQUIRE_MS: Final = 30_000
"""How long a silent session is left before it is asked whether it stands."""

PUSH_ATTEMPT_MS: Final = 15_000
PUSH_CLIENTS: Final = 100
"""Platform applications whose connections and access tokens are kept."""

OUTBOX_MESSAGES: Final = 10_000
OUTBOX_BYTES: Final = 64 * 1024 * 1024
OUTBOX_RETENTION_MS: Final = 7 * 86_400_000
OUTBOX_PAGE: Final = 1_000
"""Messages that one look into the outbox shows at most."""

OUTBOX_WAIT_S: Final = 20
"""How long a look into the outbox waits for a message at most."""

REPLAY_BYTES: Final = 256 * 1024
"""Archived bytes that a replay reads at once."""

ENGINES_OF_ONE_PROCESS: Final = frozenset({"sqlite"})
"""Engines whose data belongs to one process, and that make all writes of one turn of its event loop one commit."""

CALLS_PREPARED: Final = 1_000
"""Ways to call SQS, by region and topic, that are kept ready."""

# AWS's: filter policies

FILTER_POLICY_BYTES: Final = 262_144
FILTER_POLICY_KEYS: Final = 5
FILTER_POLICY_COMBINATIONS: Final = 150
FILTER_NUMBER: Final = 1_000_000_000
"""AWS: numbers are compared from minus to plus a thousand million."""

DATA_PROTECTION_CHARS: Final = 30_720

# This service's own: filter policies

FILTER_POLICY_DEPTH: Final = 100
"""How deep arrays and objects may stand in one another in a policy's text."""

FILTER_POLICIES_CACHED: Final = 256
"""Policies that are kept compiled by their text, besides those of the topics in memory."""

MANNERS_CACHED: Final = 1_000
"""Delivery policies whose meaning is kept, by the texts of a topic's and a subscription's."""

SIGNING_KEY_BITS: Final = 2_048
SECONDS_CACHED: Final = 64
"""Seconds whose text is kept: many messages are published in one."""

SIGNATURES_KEPT: Final = 1_000
"""Signatures that are kept for the endpoints that get the same message, and for those that get it again."""

SIGNED_A_TURN: Final = 2
"""Signatures that the event loop makes before it serves others."""
SIGNED_HERE_PER_S: Final = 100
"""With more in a second, processes are started that sign."""
SIGNING_PROCESSES: Final = 4
"""How many, if the machine has as many cores."""
SIGNING_IDLE_S: Final = 30
"""After so long without anything to sign they end."""
SIGNING_RETRY_S: Final = 60
"""When they could not be started, it is tried again after so long."""
SIGNING_END_S: Final = 5
"""How long they are given to end before they are killed."""

CERTIFICATE_DAYS: Final = 3_650
"""How long the certificate holds that messages' signatures are checked with."""

LINKS_CACHED: Final = 10_000
"""Unsubscribe links kept as they stand in envelopes."""
