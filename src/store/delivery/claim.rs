//! Claiming: a worker takes deliveries by lease, and whoever comes after the lease has run out takes
//! them over.

use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods as _, QueryDsl as _, SelectableHelper as _};
use diesel_async::RunQueryDsl;

use super::{queue, row::DeliveryRow};
use crate::{
    domain::{
        connection::ConnectionState,
        delivery::Delivery,
        id::{ConnectionId, DeliveryId, EntryId, SiteId},
    },
    store::{
        database::{Conn, Db},
        error::{Result, StoreError},
        fragment::{Condition, Statement},
        moment::At,
        rows::Number,
        schema::deliveries,
        transaction::{both, transaction},
    },
};

/// A delivery in the hands of a worker.
#[derive(Clone, Debug)]
pub struct Claim {
    pub site: SiteId,
    pub delivery: Delivery,
    /// Sealed.
    pub payload: Vec<u8>,
    /// Proves the claim when it is settled or given back.
    pub lease: i64,
    /// The failed entry that an operator wants tried once more by this.
    pub retry_of: Option<EntryId>,
}

/// Takes deliveries that are due, of all sites, in turns; at most `limit`.
///
/// Only those of active connections that are not `busy`, and of each connection only as many as keep
/// it within `per_connection` leases, those of other workers included. Where deliveries go in order,
/// only the oldest that has not ended, and only while none of them is leased.
pub async fn claim(
    db: &Db,
    now: DateTime<Utc>,
    lease_until: DateTime<Utc>,
    limit: u32,
    per_connection: u32,
    busy: &[ConnectionId],
) -> Result<Vec<Claim>> {
    transaction!(db, conn => {
        let query = queue::due(now, limit, per_connection, busy);
        let due: Vec<Number> = both!(conn, query.load(conn).await)?;
        let due: Vec<i64> = due.into_iter().map(|row| row.number).collect();
        if due.is_empty() {
            return Ok(Vec::new());
        }
        lease(conn, db, &due, lease_until).await?;
        let mut claims = read(conn, &due).await?;
        claims.sort_by_key(|claim| due.iter().position(|id| *id == claim.delivery.id.0));
        Ok(claims)
    })
}

/// Writes a lease on each of these deliveries, whose rows are locked.
pub(super) async fn lease(conn: &mut Conn, db: &Db, ids: &[i64], until: DateTime<Utc>) -> Result<()> {
    let tokens = ids.iter().map(|id| serde_json::json!({ "id": id, "token": db.random_number() })).collect();
    let update = Statement::new("UPDATE deliveries SET lease_token = given.token, lease_until = ")
        .moment(until)
        .sql(" FROM ")
        .rows("given", &[("id", "bigint"), ("token", "bigint")], &serde_json::Value::Array(tokens))
        .sql(" WHERE deliveries.id = given.id");
    both!(conn, update.execute(conn).await)?;
    Ok(())
}

/// Reads deliveries that have just been leased; their connections are active.
pub(super) async fn read(conn: &mut Conn, ids: &[i64]) -> Result<Vec<Claim>> {
    let wanted = Condition::new("").any_integer("deliveries.id", ids.to_vec());
    let rows: Vec<(DeliveryRow, Option<Vec<u8>>)> = both!(
        conn,
        deliveries::table.filter(wanted).select((DeliveryRow::as_select(), deliveries::payload)).load(conn).await
    )?;
    rows.into_iter()
        .map(|(row, payload)| {
            let missing = |what: &str| StoreError::Corrupt(format!("delivery {} is queued without its {what}", row.id));
            Ok(Claim {
                site: SiteId::from_claimed_row(row.site_id),
                delivery: row.delivery(Some(ConnectionState::Active.as_str()))?,
                payload: payload.ok_or_else(|| missing("payload"))?,
                lease: row.lease_token.ok_or_else(|| missing("lease"))?,
                retry_of: row.retry_of.map(EntryId),
            })
        })
        .collect()
}

/// Makes a claim last until then; false where the lease is no longer the caller's.
pub async fn extend(db: &Db, site: SiteId, delivery: DeliveryId, lease: i64, until: DateTime<Utc>) -> Result<bool> {
    let conn = &mut db.writer().await?;
    let kept = both!(
        conn,
        diesel::update(deliveries::table)
            .filter(deliveries::id.eq(delivery.0))
            .filter(deliveries::site_id.eq(site.get()))
            .filter(deliveries::lease_token.eq(lease))
            .set(deliveries::lease_until.eq(Some(At(until))))
            .execute(conn)
            .await
    )?;
    Ok(kept == 1)
}

/// Gives a claim back as it was, for the next worker to take at once. Does nothing where the lease is
/// no longer the caller's.
pub async fn release(db: &Db, site: SiteId, delivery: DeliveryId, lease: i64) -> Result<()> {
    let conn = &mut db.writer().await?;
    both!(
        conn,
        diesel::update(deliveries::table)
            .filter(deliveries::id.eq(delivery.0))
            .filter(deliveries::site_id.eq(site.get()))
            .filter(deliveries::lease_token.eq(lease))
            .set((deliveries::lease_token.eq(None::<i64>), deliveries::lease_until.eq(None::<At>),))
            .execute(conn)
            .await
    )?;
    Ok(())
}
