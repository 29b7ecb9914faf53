-- Attempts by the hour, so that statistics need not read the log. Hours are counted from 1970, latencies stand in
-- classes of a sixteenth (src/domain/statistics.rs); -1 where no call was made.
CREATE TABLE delivery_rollups (
    site_id       INTEGER NOT NULL,
    connection_id INTEGER NOT NULL,
    hour          INTEGER NOT NULL,
    module        TEXT NOT NULL,
    outcome       TEXT NOT NULL,
    latency       INTEGER NOT NULL,
    -- Attempts, and events that were attempted, or given up, for the first time.
    entries       INTEGER NOT NULL,
    events        INTEGER NOT NULL,
    last_event_at INTEGER NOT NULL,
    PRIMARY KEY (connection_id, hour, module, outcome, latency)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_rollups_by_hour ON delivery_rollups (site_id, hour);

WITH powers (exponent) AS (VALUES (4), (5), (6), (7), (8), (9), (10), (11), (12), (13), (14), (15), (16), (17), (18), (19), (20), (21), (22), (23), (24), (25), (26), (27), (28), (29), (30), (31))
INSERT INTO delivery_rollups
    (site_id, connection_id, hour, module, outcome, latency, entries, events, last_event_at)
SELECT
    e.site_id,
    e.connection_id,
    e.attempted_at / 3600000000 AS at_hour,
    e.module,
    e.outcome,
    CASE
        WHEN e.latency_ms IS NULL THEN -1
        WHEN e.latency_ms < 16 THEN e.latency_ms
        ELSE (
            SELECT (p.exponent - 3) * 16 + (e.latency_ms / CAST(1 << (p.exponent - 4) AS BIGINT)) % 16
            FROM powers AS p
            WHERE e.latency_ms >= CAST(1 AS BIGINT) << p.exponent
                AND e.latency_ms < CAST(1 AS BIGINT) << (p.exponent + 1)
        )
    END AS in_class,
    count(*),
    sum(CASE WHEN e.attempt = 1 THEN 1 ELSE 0 END),
    max(d.accepted_at)
FROM delivery_entries AS e
INNER JOIN deliveries AS d ON d.id = e.delivery_id
GROUP BY e.site_id, e.connection_id, at_hour, e.module, e.outcome, in_class;
