-- How far payloads of deliveries have been sealed anew with this version of the key: by the numbers of deliveries; null
-- once all are.
ALTER TABLE site_keys ADD COLUMN payloads_done_to BIGINT DEFAULT 0;
