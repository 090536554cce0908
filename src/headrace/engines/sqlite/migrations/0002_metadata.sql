-- Metadata: records under keys. A prefix is a range of the primary key (text compares byte by byte here,
-- and UTF-8 keeps the order of code points).
CREATE TABLE metadata (
    key      TEXT PRIMARY KEY,
    value    BLOB NOT NULL,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The one counter that gives revisions and fencing tokens: it never goes back, whatever is deleted.
CREATE TABLE metadata_counter (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    value INTEGER NOT NULL
) STRICT;

INSERT INTO metadata_counter VALUES (1, 0);

CREATE TABLE leases (
    name          TEXT PRIMARY KEY,
    holder        TEXT NOT NULL,
    token         INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX leases_by_expiry ON leases (expires_at_ms);
