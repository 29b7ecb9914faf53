CREATE TABLE connections (
    id                         INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    site_id                    INTEGER NOT NULL,
    connector_slug             TEXT NOT NULL,
    connector_name_folded      TEXT NOT NULL,
    display_name               TEXT NOT NULL,
    display_name_folded        TEXT NOT NULL,
    state                      TEXT NOT NULL,
    state_reason               TEXT,
    state_changed_at           INTEGER NOT NULL,
    probe                      INTEGER NOT NULL,
    auth_flow                  TEXT NOT NULL,
    vendor_account_id          TEXT,
    vendor_account_id_folded   TEXT,
    vendor_account_name        TEXT,
    vendor_account_name_folded TEXT,
    scopes_granted             TEXT NOT NULL,
    scopes_joined              TEXT NOT NULL,
    configuration              TEXT NOT NULL,
    destination_label          TEXT,
    ordered_delivery           INTEGER NOT NULL,
    expires_at                 INTEGER,
    last_test                  TEXT,
    last_delivery_at           INTEGER,
    failed_in_row              INTEGER NOT NULL,
    failing_since              INTEGER,
    operator_of_record         INTEGER NOT NULL,
    created_at                 INTEGER NOT NULL,
    updated_at                 INTEGER NOT NULL
) STRICT;

-- One index for each order of the list. Where the column can be null there are two, so that nulls
-- come last whichever way it is read.
CREATE INDEX connections_by_name ON connections (site_id, display_name_folded, id);
CREATE INDEX connections_by_connector ON connections (site_id, connector_name_folded, id);
CREATE INDEX connections_by_state ON connections (site_id, state, id);
CREATE INDEX connections_by_scopes ON connections (site_id, scopes_joined, id);
CREATE INDEX connections_by_last_delivery
    ON connections (site_id, coalesce(last_delivery_at, 9223372036854775807), id);
CREATE INDEX connections_by_last_delivery_reversed
    ON connections (site_id, coalesce(last_delivery_at, -9223372036854775807), id);
CREATE INDEX connections_by_operator ON connections (site_id, operator_of_record, id);
CREATE INDEX connections_by_creation ON connections (site_id, created_at, id);
CREATE INDEX connections_by_update ON connections (site_id, updated_at, id);

-- The granted scopes once more, a row each, for filters.
CREATE TABLE connection_scopes (
    connection_id INTEGER NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    site_id       INTEGER NOT NULL,
    scope         TEXT NOT NULL,
    PRIMARY KEY (connection_id, scope)
) STRICT, WITHOUT ROWID;

CREATE TABLE credentials (
    connection_id INTEGER NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    site_id       INTEGER NOT NULL,
    name          TEXT NOT NULL,
    key_version   INTEGER NOT NULL,
    sealed        BLOB NOT NULL,
    PRIMARY KEY (connection_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE state_history (
    id             INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    site_id        INTEGER NOT NULL,
    connection_id  INTEGER NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    state          TEXT NOT NULL,
    previous_state TEXT,
    cause          TEXT NOT NULL,
    reason         TEXT,
    occurred_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX state_history_of_connection ON state_history (connection_id, id);

-- Signing secrets that were shown and wait to be registered with the vendor.
CREATE TABLE offers (
    id             INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    site_id        INTEGER NOT NULL,
    token          TEXT NOT NULL,
    operator_id    INTEGER NOT NULL,
    connector_slug TEXT NOT NULL,
    display_name   TEXT,
    key_version    INTEGER NOT NULL,
    sealed         BLOB NOT NULL,
    created_at     INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    UNIQUE (site_id, token)
) STRICT;
CREATE INDEX offers_by_expiry ON offers (expires_at);
