-- Queues. A message's id is its queue's number in the high bits and its sequence in the low 40, so that a
-- queue's messages lie together, oldest first: expiry, purging and dropping are walks from one end.
CREATE TABLE queues (
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT UNIQUE,                -- NULL once dropped, until the sweep has removed its messages
    settings      BLOB NOT NULL,
    next_sequence INTEGER NOT NULL            -- no sequence from here on was ever given
) STRICT;

-- What changes in a message's life, and the message itself while it is small (else it is in bodies, and
-- header and body here are NULL): making a message invisible never moves a large body.
CREATE TABLE messages (
    id                INTEGER PRIMARY KEY,
    queue             INTEGER NOT NULL,
    due_ms            INTEGER NOT NULL,       -- when it is (or became) visible
    receive_count     INTEGER NOT NULL,
    arrived_count     INTEGER NOT NULL,       -- receives in the queue it was dead-lettered from
    first_received_ms INTEGER NOT NULL,
    sent_ms           INTEGER NOT NULL,
    message_id        TEXT NOT NULL,
    grp               TEXT,                   -- FIFO message group
    tenant            TEXT,                   -- message group on a standard queue
    dedup_id          TEXT,
    source            TEXT,                   -- the queue it was dead-lettered from
    header            BLOB,
    body              TEXT
) STRICT;

-- A standard queue's order, and its counts by due time.
CREATE INDEX messages_by_due ON messages (queue, due_ms, id, receive_count) WHERE grp IS NULL;
-- A FIFO queue needs the latter alone, so messages are in its index only from when they are first hidden.
CREATE INDEX messages_hidden ON messages (queue, due_ms, id, receive_count) WHERE grp IS NOT NULL AND due_ms > sent_ms;
CREATE INDEX messages_by_group ON messages (queue, grp) WHERE grp IS NOT NULL;
CREATE INDEX messages_by_tenant ON messages (queue, tenant, due_ms) WHERE tenant IS NOT NULL;
-- Dead-lettered messages of standard queues keep their sent time, so for them age does not follow the id.
CREATE INDEX messages_moved ON messages (queue, sent_ms) WHERE source IS NOT NULL;

CREATE TABLE bodies (
    id     INTEGER PRIMARY KEY,
    header BLOB NOT NULL,
    body   TEXT NOT NULL
) STRICT;

-- One row for each message group that has messages: when the next of them may be handed out, and how many
-- of its first messages were handed out together and bar the rest until they are gone or visible again.
CREATE TABLE groups (
    queue  INTEGER NOT NULL,
    name   TEXT NOT NULL,
    due_ms INTEGER NOT NULL,
    locked INTEGER NOT NULL,
    PRIMARY KEY (queue, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX groups_by_due ON groups (queue, due_ms);

-- Deduplication ids seen. Rows are added in the order in which they expire.
CREATE TABLE dedups (
    number     INTEGER PRIMARY KEY,
    queue      INTEGER NOT NULL,
    key        TEXT NOT NULL,
    message_id TEXT NOT NULL,
    sequence   INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX dedups_by_key ON dedups (queue, key);

-- FIFO receive attempts: what was handed out, to be handed out again when the same attempt is retried.
CREATE TABLE attempts (
    number     INTEGER PRIMARY KEY,
    queue      INTEGER NOT NULL,
    attempt_id TEXT NOT NULL,
    due_ms     INTEGER NOT NULL,
    receipts   TEXT NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX attempts_by_id ON attempts (queue, attempt_id);
