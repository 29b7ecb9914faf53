CREATE TABLE deliveries (
    id                      INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    site_id                 INTEGER NOT NULL,
    connection_id           INTEGER NOT NULL,
    connection_name         TEXT NOT NULL,
    connector_slug          TEXT NOT NULL,
    module                  TEXT NOT NULL,
    event_type              TEXT NOT NULL,
    event_identifier        TEXT NOT NULL,
    event_identifier_folded TEXT NOT NULL,
    idempotency_key         TEXT NOT NULL,
    request_digest          BLOB NOT NULL,
    message_id              TEXT NOT NULL,
    payload                 BLOB,
    status                  TEXT NOT NULL,
    attempts                INTEGER NOT NULL,
    accepted_at             INTEGER NOT NULL,
    next_attempt_at         INTEGER,
    waiting_for             TEXT,
    ended_at                INTEGER,
    lease_token             INTEGER,
    lease_until             INTEGER,
    retry_of                INTEGER,
    retry_key               TEXT,
    last_entry_id           INTEGER,
    UNIQUE (site_id, connection_id, module, idempotency_key)
) STRICT;

-- The queue. A connection leads each, so that the backlog of one that is held costs the others nothing.
CREATE INDEX deliveries_due ON deliveries (connection_id, next_attempt_at, id) WHERE status = 'queued';
CREATE INDEX deliveries_in_order ON deliveries (connection_id, id) WHERE status = 'queued';
CREATE INDEX deliveries_leased ON deliveries (connection_id, lease_until) WHERE lease_until IS NOT NULL;

CREATE TABLE delivery_entries (
    id                      INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    site_id                 INTEGER NOT NULL,
    delivery_id             INTEGER NOT NULL REFERENCES deliveries (id),
    connection_id           INTEGER NOT NULL,
    connection_name         TEXT NOT NULL,
    connector_slug          TEXT NOT NULL,
    attempt                 INTEGER NOT NULL,
    module                  TEXT NOT NULL,
    event_type              TEXT NOT NULL,
    event_identifier        TEXT NOT NULL,
    event_identifier_folded TEXT NOT NULL,
    outcome                 TEXT NOT NULL,
    failure                 TEXT,
    vendor_response_code    INTEGER,
    vendor_message          TEXT,
    latency_ms              INTEGER,
    attempted_at            INTEGER NOT NULL,
    retry_of                INTEGER,
    retry_key               TEXT
) STRICT;

CREATE INDEX delivery_entries_of_delivery ON delivery_entries (delivery_id, id);
CREATE INDEX delivery_entries_of_connection ON delivery_entries (site_id, connection_id, attempted_at, id);
CREATE INDEX delivery_entries_by_retried ON delivery_entries (retry_of) WHERE retry_of IS NOT NULL;
CREATE INDEX delivery_entries_by_event ON delivery_entries (site_id, event_identifier);
-- One index for each order of the log; two where the column can be null.
CREATE INDEX delivery_entries_by_time ON delivery_entries (site_id, attempted_at, id);
CREATE INDEX delivery_entries_by_module ON delivery_entries (site_id, module, id);
CREATE INDEX delivery_entries_by_outcome ON delivery_entries (site_id, outcome, id);
CREATE INDEX delivery_entries_by_code
    ON delivery_entries (site_id, coalesce(vendor_response_code, 2147483647), id);
CREATE INDEX delivery_entries_by_code_reversed
    ON delivery_entries (site_id, coalesce(vendor_response_code, -1), id);
CREATE INDEX delivery_entries_by_latency
    ON delivery_entries (site_id, coalesce(latency_ms, 9223372036854775807), id);
CREATE INDEX delivery_entries_by_latency_reversed
    ON delivery_entries (site_id, coalesce(latency_ms, -1), id);
