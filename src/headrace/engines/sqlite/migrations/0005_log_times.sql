-- A log's chunks are found by time without an index: their times grow with their sequences. To that index each append
-- to another log would add another page, as it does to the index by sequence.
DROP INDEX log_chunks_by_time;
