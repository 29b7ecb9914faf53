-- Renewals keep a pace for each vendor, so each vendor's own are found by themselves; and some vendors bound how often
-- one grant is renewed.
ALTER TABLE renewals ADD COLUMN connector_slug TEXT NOT NULL DEFAULT '';
ALTER TABLE renewals ADD COLUMN renewed_at INTEGER;
UPDATE renewals
SET connector_slug = (SELECT c.connector_slug FROM connections AS c WHERE c.id = renewals.connection_id);
CREATE INDEX renewals_of_connector ON renewals (connector_slug, due_at) WHERE due_at IS NOT NULL;
DROP INDEX renewals_by_due_time;
