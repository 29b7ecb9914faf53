//! What is kept no longer: deliveries with their entries and payloads once they have ended long ago, rows of the
//! activity log, events of the stream; and what ends because it has waited too long. All in small batches, so that the
//! writer is never held for long.

use chrono::{DateTime, Utc};
use diesel_async::RunQueryDsl;

use super::{
    database::Db,
    delivery::{Ending, end},
    error::Result,
    fragment::Statement,
    rows::Number,
    stream,
    transaction::{both, transaction},
};
use crate::domain::{event::EventBody, id::SiteId};

/// Removes deliveries of the site that ended by `before`, with their entries and payloads, the oldest first; says how
/// many. What is queued, held or in somebody's hands stays.
pub async fn purge_deliveries(db: &Db, site: SiteId, before: DateTime<Utc>, limit: u32) -> Result<u64> {
    transaction!(db, conn => {
        let old = Statement::new("SELECT d.id AS number FROM deliveries AS d WHERE d.site_id = ")
            .integer(site.get())
            .sql(" AND d.ended_at IS NOT NULL AND d.ended_at <= ")
            .moment(before)
            .sql(format!(
                " AND d.status <> 'queued' AND d.lease_until IS NULL ORDER BY d.ended_at LIMIT {limit}"
            ))
            .each("", " FOR UPDATE OF d SKIP LOCKED");
        let rows: Vec<Number> = both!(conn, old.load(conn).await)?;
        let ids: Vec<i64> = rows.into_iter().map(|row| row.number).collect();
        if ids.is_empty() {
            return Ok(0);
        }
        for (table, column) in [("delivery_entries", "delivery_id"), ("deliveries", "id")] {
            let gone = Statement::new(format!("DELETE FROM {table} WHERE site_id = "))
                .integer(site.get())
                .sql(" AND ")
                .any_integer(column, ids.clone());
            both!(conn, gone.execute(conn).await)?;
        }
        Ok(ids.len() as u64)
    })
}

/// Ends deliveries of the site that were accepted by `before`, and whose connections have not been active since then, or
/// have been switched off with their family; says how many. What somebody else has in hand, the connection included, is left to the next time.
pub async fn expire_held(db: &Db, site: SiteId, before: DateTime<Utc>, now: DateTime<Utc>, limit: u32) -> Result<u64> {
    transaction!(db, conn => {
        let held = Statement::new(
            "SELECT d.id AS number FROM connections AS c CROSS JOIN deliveries AS d \
             WHERE d.connection_id = c.id AND d.status = 'queued' AND c.site_id = ",
        )
        .integer(site.get())
        .sql(" AND ((c.state <> 'active' AND c.state_changed_at <= ")
        .moment(before)
        .sql(") OR c.switched_off_at <= ")
        .moment(before)
        .sql(") AND d.accepted_at <= ")
        .moment(before)
        .sql(" AND (d.lease_until IS NULL OR d.lease_until <= ")
        .moment(now)
        .sql(format!(") ORDER BY d.id LIMIT {limit}"))
        // Under lock, so that no connection comes back meanwhile and finds its backlog failed.
        .each("", " FOR SHARE OF c SKIP LOCKED FOR UPDATE OF d SKIP LOCKED");
        let rows: Vec<Number> = both!(conn, held.load(conn).await)?;
        let ids: Vec<i64> = rows.into_iter().map(|row| row.number).collect();
        let entries = end(conn, site, now, &ids, Ending::HoldExpired).await?;
        let events: Vec<EventBody> = entries.iter().map(|entry| EventBody::DeliveryLogged { entry: *entry }).collect();
        stream::append(conn, db, site, now, &events).await?;
        Ok(entries.len() as u64)
    })
}

/// Removes rows of the site's activity log that were written by `before`, the oldest first; says how many.
pub async fn purge_activity(db: &Db, site: SiteId, before: DateTime<Utc>, limit: u32) -> Result<u64> {
    purge(db, "activity_entries", ("id", "occurred_at"), site, before, limit).await
}

/// Removes the beginning of the site's stream, up to `before`; says how many events.
pub async fn purge_events(db: &Db, site: SiteId, before: DateTime<Utc>, limit: u32) -> Result<u64> {
    purge(db, "stream_events", ("number", "occurred_at"), site, before, limit).await
}

/// Forgets the progress of retries that were begun by `before`; says of how many.
pub async fn purge_retry_batches(db: &Db, site: SiteId, before: DateTime<Utc>, limit: u32) -> Result<u64> {
    purge(db, "retry_batches", ("id", "begun_at"), site, before, limit).await
}

async fn purge(
    db: &Db,
    table: &str,
    (key, time): (&str, &str),
    site: SiteId,
    before: DateTime<Utc>,
    limit: u32,
) -> Result<u64> {
    let gone = Statement::new(format!("DELETE FROM {table} WHERE site_id = "))
        .integer(site.get())
        .sql(format!(" AND {key} IN (SELECT old.{key} FROM {table} AS old WHERE old.site_id = "))
        .integer(site.get())
        .sql(format!(" AND old.{time} <= "))
        .moment(before)
        .sql(format!(" ORDER BY old.{time}, old.{key} LIMIT {limit})"));
    let conn = &mut db.writer().await?;
    Ok(both!(conn, gone.execute(conn).await)? as u64)
}
