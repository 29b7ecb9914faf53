//! Ending what can no longer be sent, because its connection is gone or has kept it waiting too long.

use chrono::{DateTime, Utc};
use diesel_async::RunQueryDsl;

use super::{batch, queue::WAITING};
use crate::{
    domain::{
        delivery::{DeliveryFailure, DeliveryOutcome, DeliveryStatus},
        event::EventBody,
        id::{ConnectionId, EntryId, SiteId},
    },
    store::{
        database::{Conn, Db},
        error::Result,
        fragment::Statement,
        rollup,
        rows::{Number, Pair},
        stream,
        transaction::{both, transaction},
    },
};

const LOCKED: &str = " FOR UPDATE OF d";

/// The ids of a connection's queued deliveries that no worker has in hand, locked, oldest first.
pub(in crate::store) async fn queued_of(
    conn: &mut Conn,
    site: SiteId,
    connection: ConnectionId,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<i64>> {
    let query = Statement::new("SELECT d.id AS number FROM deliveries AS d WHERE d.site_id = ")
        .integer(site.get())
        .sql(" AND d.connection_id = ")
        .integer(connection.0)
        .sql(" AND d.status = 'queued' AND (d.lease_until IS NULL OR d.lease_until <= ")
        .moment(now)
        .sql(format!(") ORDER BY d.id LIMIT {limit}"))
        .each("", LOCKED);
    let rows: Vec<Number> = both!(conn, query.load(conn).await)?;
    Ok(rows.into_iter().map(|row| row.number).collect())
}

/// Why a delivery ends without another attempt.
#[derive(Clone, Copy)]
pub(in crate::store) enum Ending {
    ConnectionRemoved,
    HoldExpired,
}

impl Ending {
    const fn failure(self) -> DeliveryFailure {
        match self {
            Self::ConnectionRemoved => DeliveryFailure::ConnectionRemoved,
            Self::HoldExpired => DeliveryFailure::HoldExpired,
        }
    }

    const fn status(self) -> DeliveryStatus {
        match self {
            Self::ConnectionRemoved => DeliveryStatus::Cancelled,
            Self::HoldExpired => DeliveryStatus::Failed,
        }
    }
}

/// Ends locked, queued deliveries of the site, each with a last entry; gives the entries in the order of their ids.
/// Their events are the caller's to append.
pub(in crate::store) async fn end(
    conn: &mut Conn,
    site: SiteId,
    now: DateTime<Utc>,
    ids: &[i64],
    ending: Ending,
) -> Result<Vec<EntryId>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let insert = Statement::new(
        "INSERT INTO delivery_entries (site_id, delivery_id, connection_id, connection_name, connector_slug, attempt, \
         module, event_type, event_identifier, event_identifier_folded, outcome, failure, attempted_at, retry_of, \
         retry_key) SELECT site_id, id, connection_id, connection_name, connector_slug, attempts + 1, module, \
         event_type, event_identifier, event_identifier_folded, ",
    )
    .text(DeliveryOutcome::Failed.as_str())
    .sql(", ")
    .text(ending.failure().as_str())
    .sql(", ")
    .moment(now)
    .sql(", retry_of, retry_key FROM deliveries WHERE site_id = ")
    .integer(site.get())
    .sql(" AND ")
    .any_integer("id", ids.to_vec())
    .sql(" ORDER BY id RETURNING id AS number");
    let entries: Vec<Number> = both!(conn, insert.load(conn).await)?;
    rollup::add_ended(conn, site, now, ids).await?;
    batch::count_given_up(conn, site, ids).await?;
    let update = Statement::new("UPDATE deliveries SET status = ")
        .text(ending.status().as_str())
        .sql(", attempts = attempts + 1, ended_at = ")
        .moment(now)
        .sql(
            ", next_attempt_at = NULL, waiting_for = NULL, lease_token = NULL, lease_until = NULL, retry_of = NULL, \
             retry_key = NULL, retry_batch = NULL, last_entry_id = (SELECT max(e.id) FROM delivery_entries AS e \
             WHERE e.delivery_id = deliveries.id) WHERE site_id = ",
        )
        .integer(site.get())
        .sql(" AND ")
        .any_integer("id", ids.to_vec());
    both!(conn, update.execute(conn).await)?;
    let mut entries: Vec<EntryId> = entries.into_iter().map(|row| EntryId(row.number)).collect();
    entries.sort_unstable();
    Ok(entries)
}

/// Cancels queued deliveries, of all sites, whose connection is gone and that no worker has in hand; at
/// most `limit`. Says how many.
pub async fn cancel_orphans(db: &Db, now: DateTime<Utc>, limit: u32) -> Result<u64> {
    let query = Statement::new(WAITING)
        .sql(
            " SELECT d.id AS id, d.site_id AS number FROM waiting CROSS JOIN deliveries AS d \
             WHERE d.connection_id = waiting.connection_id AND d.status = 'queued' AND NOT EXISTS \
             (SELECT 1 FROM connections AS c WHERE c.id = waiting.connection_id) \
             AND (d.lease_until IS NULL OR d.lease_until <= ",
        )
        .moment(now)
        .sql(format!(") ORDER BY d.site_id, d.id LIMIT {limit}"));
    let orphans: Vec<Pair> = {
        let conn = &mut db.reader().await?;
        both!(conn, query.load(conn).await)?
    };
    let mut cancelled = 0;
    for of_site in orphans.chunk_by(|a, b| a.number == b.number) {
        let site = SiteId::from_claimed_row(of_site[0].number);
        let ids: Vec<i64> = of_site.iter().map(|row| row.id).collect();
        cancelled += cancel_of_site(db, site, now, &ids).await?;
    }
    Ok(cancelled)
}

async fn cancel_of_site(db: &Db, site: SiteId, now: DateTime<Utc>, ids: &[i64]) -> Result<u64> {
    transaction!(db, conn => {
        // Looked at again under lock: somebody else may have been here since.
        let query = Statement::new("SELECT d.id AS number FROM deliveries AS d WHERE d.site_id = ")
            .integer(site.get())
            .sql(" AND ")
            .any_integer("d.id", ids.to_vec())
            .sql(" AND d.status = 'queued' AND (d.lease_until IS NULL OR d.lease_until <= ")
            .moment(now)
            .sql(") ORDER BY d.id")
            .each("", LOCKED);
        let rows: Vec<Number> = both!(conn, query.load(conn).await)?;
        let ids: Vec<i64> = rows.into_iter().map(|row| row.number).collect();
        let entries = end(conn, site, now, &ids, Ending::ConnectionRemoved).await?;
        let events: Vec<EventBody> = entries.iter().map(|entry| EventBody::DeliveryLogged { entry: *entry }).collect();
        stream::append(conn, db, site, now, &events).await?;
        Ok(entries.len() as u64)
    })
}
