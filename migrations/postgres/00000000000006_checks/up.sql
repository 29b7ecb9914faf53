-- When a credential is to be tested, so that one that its vendor has taken back is known before an event needs it: a row
-- for each connection but those whose test sends a message. Those have one only while they are probed.
CREATE TABLE checks (
    connection_id BIGINT PRIMARY KEY NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    site_id       BIGINT NOT NULL,
    -- While a test is under way: when somebody else may take it over.
    due_at        TIMESTAMPTZ NOT NULL,
    -- Probes in a row that did not pass.
    failures      INTEGER NOT NULL
);
CREATE INDEX checks_by_due_time ON checks (due_at);

-- Those that there are already are spread over a day.
INSERT INTO checks (connection_id, site_id, due_at, failures)
SELECT id, site_id, now() + (id * 40507 % 86400) * interval '1 second', 0
FROM connections
WHERE auth_flow <> 'signed_token' OR (state = 'error' AND probe);
