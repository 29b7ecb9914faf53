-- Browser authorizations: begun by an operator, ended by the vendor's callback. What only the browser and
-- the vendor may know (ticket, state, cookie) is here as its SHA-256.
CREATE TABLE authorizations (
    id               INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    site_id          INTEGER NOT NULL,
    token            TEXT NOT NULL,
    operator_id      INTEGER NOT NULL,
    operator_name    TEXT,
    role             TEXT NOT NULL,
    purpose          TEXT NOT NULL,
    status           TEXT NOT NULL,
    connector_slug   TEXT NOT NULL,
    display_name     TEXT,
    connection_id    INTEGER,
    scopes_requested TEXT NOT NULL,
    return_to        TEXT,
    ticket_hash      TEXT NOT NULL,
    ticket_until     INTEGER NOT NULL,
    state_hash       TEXT NOT NULL,
    browser_hash     TEXT,
    key_version      INTEGER NOT NULL,
    sealed           BLOB NOT NULL,
    test             TEXT,
    error            TEXT,
    created_at       INTEGER NOT NULL,
    changed_at       INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    UNIQUE (site_id, token)
) STRICT;
CREATE UNIQUE INDEX authorizations_by_ticket ON authorizations (ticket_hash);
CREATE UNIQUE INDEX authorizations_by_state ON authorizations (state_hash);
CREATE INDEX authorizations_by_status ON authorizations (status, changed_at);
CREATE INDEX authorizations_of_operator ON authorizations (site_id, operator_id, expires_at);
CREATE INDEX authorizations_by_expiry ON authorizations (expires_at);

-- What keeps a credential alive: when it is to be renewed and by whom, a row for each connection that can be.
CREATE TABLE renewals (
    connection_id INTEGER PRIMARY KEY NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    site_id       INTEGER NOT NULL,
    -- When it is due; null where it is not to be renewed ahead of time.
    due_at        INTEGER,
    -- Whose turn it is, and how long.
    lease_token   INTEGER,
    lease_until   INTEGER,
    -- That a renewal has begun is written before the vendor is called.
    begun_at      INTEGER,
    -- The last one that was refused or did not get through, and how many in a row.
    failed_at     INTEGER,
    failures      INTEGER NOT NULL,
    -- How the last one ended, for those who waited for it.
    outcome       TEXT,
    -- That the connection is being given up is written before the vendor is called: who asked for it, as JSON.
    closing       TEXT,
    closing_since INTEGER,
    -- How many have ended.
    generation    INTEGER NOT NULL
) STRICT;
CREATE INDEX renewals_by_due_time ON renewals (due_at);
