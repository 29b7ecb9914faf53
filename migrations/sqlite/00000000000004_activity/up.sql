CREATE TABLE activity_entries (
    id              INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    site_id         INTEGER NOT NULL,
    action          TEXT NOT NULL,
    operator_id     INTEGER,
    module          TEXT,
    connection_id   INTEGER,
    connection_name TEXT,
    connector_slug  TEXT,
    outcome         TEXT NOT NULL,
    detail          TEXT,
    occurred_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX activity_entries_of_site ON activity_entries (site_id, id);
CREATE INDEX activity_entries_of_connection ON activity_entries (site_id, connection_id, id);
CREATE INDEX activity_entries_by_time ON activity_entries (site_id, occurred_at);
