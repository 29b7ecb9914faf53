-- A delivery log of 1,000,000 rows: 250,000 deliveries with four attempts each, the last of which is delivered
-- for nine of ten. A second lies between any two attempts, and the last is the newest of the site.
SET session_replication_role = replica;

INSERT INTO deliveries (
    id, site_id, connection_id, connection_name, connector_slug, module, event_type, event_identifier,
    event_identifier_folded, idempotency_key, request_digest, message_id, status, attempts, accepted_at, ended_at,
    last_entry_id
)
SELECT
    n, c.site_id, c.id, c.display_name, c.connector_slug, 'forms', 'submission.created', n::text, n::text, n::text,
    '\x00', 'msg_' || n, CASE WHEN n % 10 = 0 THEN 'failed' ELSE 'delivered' END, 4,
    timestamptz '2029-12-01' + (4 * n - 4) * interval '1 second', timestamptz '2029-12-01' + 4 * n * interval '1 second',
    4 * n
FROM generate_series(1, 250000) AS n
JOIN (SELECT *, row_number() OVER (ORDER BY id) AS place FROM connections) AS c ON c.place = 1 + n % 20;

INSERT INTO delivery_entries (
    id, site_id, delivery_id, connection_id, connection_name, connector_slug, attempt, module, event_type,
    event_identifier, event_identifier_folded, outcome, failure, vendor_response_code, vendor_message, latency_ms,
    attempted_at
)
SELECT
    4 * (d.id - 1) + attempt, d.site_id, d.id, d.connection_id, d.connection_name, d.connector_slug, attempt, d.module,
    d.event_type, d.event_identifier, d.event_identifier_folded, fate.outcome,
    CASE WHEN fate.outcome <> 'delivered' THEN 'vendor_error' END,
    CASE WHEN fate.outcome = 'delivered' THEN 200 ELSE 503 END,
    CASE WHEN fate.outcome <> 'delivered' THEN 'Service Unavailable' END, 20 + d.id % 200,
    d.accepted_at + attempt * interval '1 second'
FROM deliveries AS d
CROSS JOIN generate_series(1, 4) AS attempt
CROSS JOIN LATERAL (SELECT CASE WHEN attempt < 4 THEN 'retried' ELSE d.status END AS outcome) AS fate;

ANALYZE;
