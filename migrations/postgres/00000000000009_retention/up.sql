-- What has ended is kept for as long as the site's settings say, and found by its end.
CREATE INDEX deliveries_by_end ON deliveries (site_id, ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX stream_events_by_time ON stream_events (site_id, occurred_at);
