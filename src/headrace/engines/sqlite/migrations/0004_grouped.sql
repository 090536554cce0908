-- Which messages each FIFO group holds, in order, but for some of those after queues.grouped_through: they are told by
-- group in memory alone, and written here many at a time. It takes the place of an index, to which every message
-- would be added by itself, each on another page.
CREATE TABLE grouped (
    in_queue INTEGER NOT NULL,
    in_group TEXT NOT NULL,
    id       INTEGER NOT NULL,
    PRIMARY KEY (in_queue, in_group, id)
) STRICT, WITHOUT ROWID;

ALTER TABLE queues ADD COLUMN grouped_through INTEGER NOT NULL DEFAULT 0;
UPDATE queues SET grouped_through = coalesce(
    (SELECT max(id) FROM messages WHERE id BETWEEN queues.number << 40 AND (queues.number << 40) + 1099511627775), 0);
INSERT INTO grouped SELECT queue, grp, id FROM messages WHERE grp IS NOT NULL ORDER BY queue, grp, id;
DROP INDEX messages_by_group;
