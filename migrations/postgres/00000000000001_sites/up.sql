-- Every text orders by its bytes (COLLATE "C"), as SQLite's do.
CREATE TABLE sites (
    site_id    BIGINT NOT NULL PRIMARY KEY,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE site_keys (
    site_id       BIGINT NOT NULL REFERENCES sites (site_id) ON DELETE CASCADE,
    version       INTEGER NOT NULL,
    master_key_id TEXT COLLATE "C" NOT NULL,
    wrapped       BYTEA NOT NULL,
    created_at    TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (site_id, version)
);

CREATE TABLE operators (
    site_id     BIGINT NOT NULL,
    operator_id BIGINT NOT NULL,
    name        TEXT COLLATE "C",
    noted_at    TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (site_id, operator_id)
);

CREATE TABLE roles (
    site_id      BIGINT NOT NULL,
    name_folded  TEXT COLLATE "C" NOT NULL,
    name         TEXT COLLATE "C" NOT NULL,
    capabilities TEXT COLLATE "C" NOT NULL,
    updated_at   TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (site_id, name_folded)
);

CREATE TABLE site_settings (
    site_id    BIGINT NOT NULL PRIMARY KEY,
    settings   TEXT COLLATE "C" NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

-- One row a site: the number of its newest event. Bumped by every change of the site, so room is
-- left in the pages for updates in place.
CREATE TABLE stream_counters (
    site_id BIGINT NOT NULL PRIMARY KEY,
    number  BIGINT NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE stream_events (
    site_id        BIGINT NOT NULL,
    number         BIGINT NOT NULL,
    check_mark     BIGINT NOT NULL,
    occurred_at    TIMESTAMPTZ NOT NULL,
    kind           TEXT COLLATE "C" NOT NULL,
    connection_id  BIGINT,
    connector_slug TEXT COLLATE "C",
    change         TEXT COLLATE "C",
    previous_state TEXT COLLATE "C",
    state          TEXT COLLATE "C",
    cause          TEXT COLLATE "C",
    reason         TEXT COLLATE "C",
    entry_id       BIGINT,
    PRIMARY KEY (site_id, number)
);
