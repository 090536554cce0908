-- Logs. Sequences up to and including `floor` are gone for good (trimmed, or expired and swept);
-- `floor_total_bytes` is what was appended up to there, `last_appended_at_ms` matters once no chunk is left.
CREATE TABLE logs (
    number              INTEGER PRIMARY KEY AUTOINCREMENT,
    name                TEXT UNIQUE,                -- NULL once dropped, until the sweep has removed its chunks
    retention_ms        INTEGER,
    floor               INTEGER NOT NULL DEFAULT 0,
    floor_total_bytes   INTEGER NOT NULL DEFAULT 0,
    last_appended_at_ms INTEGER
) STRICT;

-- Records are kept in chunks: those appended together, up to a size. Within a log all of `last_sequence`,
-- `appended_at_ms` and `total_bytes` grow together, so that any count of bytes is a difference of two rows.
CREATE TABLE log_chunks (
    number         INTEGER PRIMARY KEY,
    log            INTEGER NOT NULL,
    last_sequence  INTEGER NOT NULL,
    first_sequence INTEGER NOT NULL,
    appended_at_ms INTEGER NOT NULL,
    bytes          INTEGER NOT NULL,                -- keys and data in this chunk
    total_bytes    INTEGER NOT NULL,                -- keys and data ever appended to the log, this chunk included
    records        BLOB NOT NULL
) STRICT;

-- Keys in an index of their own: to compare a key that lies in the same row as a large blob, SQLite reads the blob.
CREATE UNIQUE INDEX log_chunks_by_sequence ON log_chunks (log, last_sequence);
CREATE INDEX log_chunks_by_time ON log_chunks (log, appended_at_ms);
