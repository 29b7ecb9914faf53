-- Until when the vendor has asked not to be called for the connection; null again once an event has been delivered.
ALTER TABLE connections ADD COLUMN not_before INTEGER;
