-- Since when the connection's family is switched off: its queue is held meanwhile. Null while it is not.
ALTER TABLE connections ADD COLUMN switched_off_at TIMESTAMPTZ;
-- Whether the grant can be renewed; null where no grant is, or where it was stored before this was noted.
ALTER TABLE connections ADD COLUMN refreshable BOOLEAN;
