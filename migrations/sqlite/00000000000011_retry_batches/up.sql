-- Failed deliveries that were taken back into the queue by one call, and how far they have come.
CREATE TABLE retry_batches (
    id       INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    site_id  INTEGER NOT NULL,
    total    INTEGER NOT NULL,
    done     INTEGER NOT NULL,
    failed   INTEGER NOT NULL,
    begun_at INTEGER NOT NULL
) STRICT;
CREATE INDEX retry_batches_by_time ON retry_batches (site_id, begun_at);
ALTER TABLE deliveries ADD COLUMN retry_batch INTEGER;
