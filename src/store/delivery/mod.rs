//! Outbound events: taken over, claimed by the worker, settled, tried again, cancelled.

mod batch;
mod claim;
mod end;
mod queue;
mod retry;
mod row;
mod settle;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods as _, Insertable, OptionalExtension as _, QueryDsl as _, SelectableHelper as _};
use diesel_async::RunQueryDsl;

pub(super) use self::end::{Ending, end, queued_of};
pub(super) use self::row::DeliveryRow;
use self::row::before_it;
pub use self::{
    batch::{Requeued, batches, count_retryable, requeue},
    claim::{Claim, claim, extend, release},
    end::cancel_orphans,
    queue::next_due,
    retry::{RetryClaim, claim_retry},
    settle::{After, Attempt, Settled, Settlement, settle},
};
use super::{
    connection::lock_for_dispatch,
    database::{Conn, Db},
    entry,
    error::{Result, StoreError},
    fragment::{Condition, Statement},
    moment::At,
    rows::{Pair, folded, storable},
    schema::deliveries,
    transaction::{both, rows, transaction},
};
use crate::domain::{
    delivery::{Delivery, DeliveryEntry, DeliveryStatus},
    id::{ConnectionId, DeliveryId, SiteId},
};

/// An event that is to be sent. The texts are bounded by the caller: identifiers and keys to 255 characters.
#[derive(Clone)]
pub struct NewDelivery {
    pub connection: ConnectionId,
    pub connection_name: String,
    pub connector_slug: String,
    pub module: String,
    pub event_type: String,
    pub event_identifier: String,
    pub idempotency_key: String,
    /// Tells a repeated request from another one with the same key.
    pub request_digest: Vec<u8>,
    pub message_id: String,
    /// Sealed.
    pub payload: Vec<u8>,
    pub accepted_at: DateTime<Utc>,
    pub next_attempt_at: DateTime<Utc>,
}

/// How the taking over of an event ended.
#[derive(Clone, Debug)]
pub enum Inserted {
    /// Stored: it outlives a crash.
    Accepted(Delivery),
    /// Its key came before; `same_request` where everything else is the same too.
    Duplicate {
        delivery: Delivery,
        same_request: bool,
    },
    ConnectionGone,
}

#[derive(Insertable)]
#[diesel(table_name = deliveries)]
struct NewRow<'a> {
    site_id: i64,
    connection_id: i64,
    connection_name: &'a str,
    connector_slug: &'a str,
    module: &'a str,
    event_type: &'a str,
    event_identifier: &'a str,
    event_identifier_folded: &'a str,
    idempotency_key: &'a str,
    request_digest: &'a [u8],
    message_id: &'a str,
    payload: &'a [u8],
    status: &'a str,
    attempts: i32,
    accepted_at: At,
    next_attempt_at: Option<At>,
}

/// Stores events that are to be sent, in one commit, and gives what became of each, in their order. (connection,
/// module, idempotency key) is unique: a second one with the same key gives the first.
pub async fn insert(db: &Db, site: SiteId, new: Vec<NewDelivery>) -> Result<Vec<Inserted>> {
    let new: Vec<(NewDelivery, String)> = new
        .into_iter()
        .map(|new| {
            let new = NewDelivery {
                module: storable(&new.module),
                event_type: storable(&new.event_type),
                event_identifier: storable(&new.event_identifier),
                idempotency_key: storable(&new.idempotency_key),
                ..new
            };
            let folded = folded(&new.event_identifier);
            (new, folded)
        })
        .collect();
    // In the order in which locks are taken.
    let connections: BTreeSet<i64> = new.iter().map(|(new, _)| new.connection.0).collect();
    transaction!(db, conn => {
        let mut states = BTreeMap::new();
        for id in &connections {
            states.insert(*id, lock_for_dispatch(conn, site, ConnectionId(*id)).await?);
        }
        let mut inserted = Vec::with_capacity(new.len());
        for (new, folded) in &new {
            inserted.push(match states.get(&new.connection.0) {
                Some(Some(state)) => insert_one(conn, site, new, folded, state.as_str()).await?,
                _ => Inserted::ConnectionGone,
            });
        }
        Ok(inserted)
    })
}

/// Stores one event of a connection whose row is locked.
async fn insert_one(
    conn: &mut Conn,
    site: SiteId,
    new: &NewDelivery,
    event_identifier_folded: &str,
    state: &str,
) -> Result<Inserted> {
    let row: Option<DeliveryRow> = both!(
        conn,
        diesel::insert_into(deliveries::table)
            .values(NewRow {
                site_id: site.get(),
                connection_id: new.connection.0,
                connection_name: &new.connection_name,
                connector_slug: &new.connector_slug,
                module: &new.module,
                event_type: &new.event_type,
                event_identifier: &new.event_identifier,
                event_identifier_folded,
                idempotency_key: &new.idempotency_key,
                request_digest: &new.request_digest,
                message_id: &new.message_id,
                payload: &new.payload,
                status: DeliveryStatus::Queued.as_str(),
                attempts: 0,
                accepted_at: At(new.accepted_at),
                next_attempt_at: Some(At(new.next_attempt_at)),
            })
            .on_conflict((
                deliveries::site_id,
                deliveries::connection_id,
                deliveries::module,
                deliveries::idempotency_key,
            ))
            .do_nothing()
            .returning(DeliveryRow::as_returning())
            .get_result(conn)
            .await
            .optional()
    )?;
    if let Some(row) = row {
        return row.delivery(Some(state)).map(Inserted::Accepted);
    }
    let (delivery, digest) = by_key(conn, site, new.connection, &new.module, &new.idempotency_key)
        .await?
        .ok_or_else(|| StoreError::Corrupt("a delivery with this key is there and cannot be read".to_owned()))?;
    Ok(Inserted::Duplicate { delivery, same_request: digest == new.request_digest })
}

async fn by_key(
    conn: &mut Conn,
    site: SiteId,
    connection: ConnectionId,
    module: &str,
    key: &str,
) -> Result<Option<(Delivery, Vec<u8>)>> {
    let row: Option<(DeliveryRow, Option<String>, Vec<u8>)> = both!(
        conn,
        deliveries::table
            .filter(deliveries::site_id.eq(site.get()))
            .filter(deliveries::connection_id.eq(connection.0))
            .filter(deliveries::module.eq(module))
            .filter(deliveries::idempotency_key.eq(key))
            .select((DeliveryRow::as_select(), before_it(), deliveries::request_digest))
            .get_result(conn)
            .await
            .optional()
    )?;
    row.map(|(row, state, digest)| Ok((row.delivery(state.as_deref())?, digest))).transpose()
}

/// What came with these keys of one connection's and one module's: key, delivery, and the digest of its request.
pub async fn find_by_keys(
    db: &Db,
    site: SiteId,
    connection: ConnectionId,
    module: &str,
    keys: &[String],
) -> Result<Vec<(String, Delivery, Vec<u8>)>> {
    let keys: Vec<String> = keys.iter().map(|key| storable(key)).collect();
    let wanted = Condition::new("").any_text("deliveries.idempotency_key", &keys);
    let module = storable(module);
    let conn = &mut db.reader().await?;
    let rows: Vec<(DeliveryRow, Option<String>, String, Vec<u8>)> = rows!(
        conn,
        deliveries::table
            .filter(deliveries::site_id.eq(site.get()))
            .filter(deliveries::connection_id.eq(connection.0))
            .filter(deliveries::module.eq(module))
            .filter(wanted)
            .select((DeliveryRow::as_select(), before_it(), deliveries::idempotency_key, deliveries::request_digest))
    )?;
    rows.into_iter().map(|(row, state, key, digest)| Ok((key, row.delivery(state.as_deref())?, digest))).collect()
}

/// One delivery of the site.
pub async fn find(db: &Db, site: SiteId, id: DeliveryId) -> Result<Option<Delivery>> {
    Ok(list_by_ids(db, site, &[id]).await?.pop())
}

/// Those of these deliveries that the site has, in no order.
pub async fn list_by_ids(db: &Db, site: SiteId, ids: &[DeliveryId]) -> Result<Vec<Delivery>> {
    let wanted = Condition::new("deliveries.site_id = ")
        .integer(site.get())
        .and("")
        .any_integer("deliveries.id", ids.iter().map(|id| id.0).collect());
    let conn = &mut db.reader().await?;
    let rows: Vec<(DeliveryRow, Option<String>)> =
        rows!(conn, deliveries::table.filter(wanted).select((DeliveryRow::as_select(), before_it())))?;
    rows.iter().map(|(row, state)| row.delivery(state.as_deref())).collect()
}

/// The log entries of these deliveries, oldest first.
pub async fn entries_of(db: &Db, site: SiteId, ids: &[DeliveryId]) -> Result<Vec<DeliveryEntry>> {
    entry::list_by_deliveries(db, site, ids).await
}

/// How many events of each of these connections are accepted and not yet ended; a connection with
/// none is left out.
pub async fn pending_counts(db: &Db, site: SiteId, ids: &[ConnectionId]) -> Result<Vec<(ConnectionId, i64)>> {
    // The connections say whose they are, so that the queue's index alone is read.
    let query = Statement::new(
        "SELECT d.connection_id AS id, count(*) AS number FROM connections AS c CROSS JOIN deliveries AS d \
         WHERE d.connection_id = c.id AND d.status = 'queued' AND c.site_id = ",
    )
    .integer(site.get())
    .sql(" AND ")
    .any_integer("c.id", ids.iter().map(|id| id.0).collect())
    .sql(" GROUP BY d.connection_id");
    let conn = &mut db.reader().await?;
    let rows: Vec<Pair> = rows!(conn, query)?;
    Ok(rows.into_iter().map(|row| (ConnectionId(row.id), row.number)).collect())
}
