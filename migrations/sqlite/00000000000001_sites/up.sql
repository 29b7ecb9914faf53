-- Times are whole microseconds since 1970, JSON is text, booleans are 0 and 1.
CREATE TABLE sites (
    site_id    INTEGER NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE site_keys (
    site_id       INTEGER NOT NULL REFERENCES sites (site_id) ON DELETE CASCADE,
    version       INTEGER NOT NULL,
    master_key_id TEXT NOT NULL,
    wrapped       BLOB NOT NULL,
    created_at    INTEGER NOT NULL,
    PRIMARY KEY (site_id, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE operators (
    site_id     INTEGER NOT NULL,
    operator_id INTEGER NOT NULL,
    name        TEXT,
    noted_at    INTEGER NOT NULL,
    PRIMARY KEY (site_id, operator_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE roles (
    site_id      INTEGER NOT NULL,
    name_folded  TEXT NOT NULL,
    name         TEXT NOT NULL,
    capabilities TEXT NOT NULL,
    updated_at   INTEGER NOT NULL,
    PRIMARY KEY (site_id, name_folded)
) STRICT, WITHOUT ROWID;

CREATE TABLE site_settings (
    site_id    INTEGER NOT NULL PRIMARY KEY,
    settings   TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- One row a site: the number of its newest event.
CREATE TABLE stream_counters (
    site_id INTEGER NOT NULL PRIMARY KEY,
    number  INTEGER NOT NULL
) STRICT;

CREATE TABLE stream_events (
    site_id        INTEGER NOT NULL,
    number         INTEGER NOT NULL,
    check_mark     INTEGER NOT NULL,
    occurred_at    INTEGER NOT NULL,
    kind           TEXT NOT NULL,
    connection_id  INTEGER,
    connector_slug TEXT,
    change         TEXT,
    previous_state TEXT,
    state          TEXT,
    cause          TEXT,
    reason         TEXT,
    entry_id       INTEGER,
    PRIMARY KEY (site_id, number)
) STRICT, WITHOUT ROWID;
