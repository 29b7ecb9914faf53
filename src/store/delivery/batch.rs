//! Trying many failed deliveries once more: they go back into the queue, and a row says how far they have come.

use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods as _, QueryDsl as _, QueryableByName, sql_types::BigInt};
use diesel_async::RunQueryDsl;

use crate::{
    domain::{
        delivery::{DeliveryStatus, RetryBatch},
        event::EventBody,
        id::{ConnectionId, RetryBatchId, SiteId},
        query::DeliveryFilter,
    },
    store::{
        activity::{self, NewActivity},
        connection,
        database::{Conn, Db},
        entry,
        error::Result,
        fragment::Statement,
        moment::At,
        rows::{Number, count},
        schema::retry_batches,
        stream,
        transaction::{both, rows, transaction},
    },
};

/// What one round has taken back into the queue.
#[derive(Clone, Copy, Debug)]
pub struct Requeued {
    /// `None` as long as nothing has been taken.
    pub batch: Option<RetryBatchId>,
    pub queued: u32,
    /// The last entry that was looked at; `None` where there was none.
    pub last: Option<i64>,
}

/// An entry whose delivery may be tried once more.
#[derive(QueryableByName)]
struct Candidate {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    delivery_id: i64,
    #[diesel(sql_type = BigInt)]
    connection_id: i64,
}

/// How many failed deliveries, of which the last entry matches, can be tried once more; counted up to `cap`.
pub async fn count_retryable(db: &Db, site: SiteId, filter: &DeliveryFilter, cap: u32) -> Result<u32> {
    let query = Statement::new("SELECT count(*) AS number FROM (SELECT 1 AS one FROM delivery_entries WHERE ")
        .append(entry::retryable_matching(site, filter))
        .sql(format!(" LIMIT {cap}) AS counted"));
    let conn = &mut db.reader().await?;
    let counted: Number = both!(conn, query.get_result(conn).await)?;
    count(counted.number)
}

/// Takes some of them back into the queue, at most `limit`, the oldest behind `after` first, as one batch, which is made
/// unless it is given; `log` makes the entry of the activity log of their number. What others have in hand is left out.
pub async fn requeue(
    db: &Db,
    site: SiteId,
    filter: &DeliveryFilter,
    (batch, after): (Option<RetryBatchId>, i64),
    now: DateTime<Utc>,
    limit: u32,
    log: impl Fn(usize) -> NewActivity + Send + Sync,
) -> Result<Requeued> {
    transaction!(db, conn => {
        let query = Statement::new("SELECT id, delivery_id, connection_id FROM delivery_entries WHERE ")
            .append(entry::retryable_matching(site, filter))
            .sql(" AND delivery_entries.id > ")
            .integer(after)
            .sql(format!(" ORDER BY delivery_entries.id LIMIT {limit}"));
        let found: Vec<Candidate> = both!(conn, query.load(conn).await)?;
        let last = found.last().map(|candidate| candidate.id);
        let ids = lock(conn, site, found).await?;
        if ids.is_empty() {
            return Ok(Requeued { batch, queued: 0, last });
        }
        let batch = grow(conn, site, batch, ids.len(), now).await?;
        let update = Statement::new("UPDATE deliveries SET status = ")
            .text(DeliveryStatus::Queued.as_str())
            .sql(", next_attempt_at = ")
            .moment(now)
            .sql(", ended_at = NULL, waiting_for = NULL, retry_of = last_entry_id, retry_key = NULL, retry_batch = ")
            .integer(batch.0)
            .sql(" WHERE site_id = ")
            .integer(site.get())
            .sql(" AND ")
            .any_integer("id", ids.clone());
        both!(conn, update.execute(conn).await)?;
        let written = activity::write(conn, site, now, &log(ids.len())).await?;
        stream::append(conn, db, site, now, &[EventBody::ActivityLogged { entry: written.id }]).await?;
        let queued = u32::try_from(ids.len()).unwrap_or(limit);
        Ok(Requeued { batch: Some(batch), queued, last })
    })
}

/// Locks those that still can be tried once more; gives their deliveries.
async fn lock(conn: &mut Conn, site: SiteId, found: Vec<Candidate>) -> Result<Vec<i64>> {
    let mut connections: Vec<i64> = found.iter().map(|candidate| candidate.connection_id).collect();
    connections.sort_unstable();
    connections.dedup();
    let mut there = Vec::with_capacity(connections.len());
    for id in connections {
        if connection::lock_for_dispatch(conn, site, ConnectionId(id)).await?.is_some() {
            there.push(id);
        }
    }
    let (wanted, entries): (Vec<i64>, Vec<i64>) = found
        .into_iter()
        .filter(|candidate| there.binary_search(&candidate.connection_id).is_ok())
        .map(|candidate| (candidate.delivery_id, candidate.id))
        .unzip();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let query = Statement::new("SELECT d.id AS number FROM deliveries AS d WHERE d.site_id = ")
        .integer(site.get())
        .sql(" AND ")
        .any_integer("d.id", wanted)
        .sql(" AND d.status = 'failed' AND d.payload IS NOT NULL AND ")
        .any_integer("d.last_entry_id", entries)
        .sql(" ORDER BY d.id")
        .each("", " FOR UPDATE OF d");
    let rows: Vec<Number> = both!(conn, query.load(conn).await)?;
    Ok(rows.into_iter().map(|row| row.number).collect())
}

/// Adds to a batch, or makes one.
async fn grow(
    conn: &mut Conn,
    site: SiteId,
    batch: Option<RetryBatchId>,
    by: usize,
    now: DateTime<Utc>,
) -> Result<RetryBatchId> {
    let by = i64::try_from(by).unwrap_or(i64::MAX);
    if let Some(batch) = batch {
        both!(
            conn,
            diesel::update(retry_batches::table)
                .filter(retry_batches::id.eq(batch.0))
                .filter(retry_batches::site_id.eq(site.get()))
                .set(retry_batches::total.eq(retry_batches::total + by))
                .execute(conn)
                .await
        )?;
        return Ok(batch);
    }
    let id: i64 = both!(
        conn,
        diesel::insert_into(retry_batches::table)
            .values((
                retry_batches::site_id.eq(site.get()),
                retry_batches::total.eq(by),
                retry_batches::done.eq(0),
                retry_batches::failed.eq(0),
                retry_batches::begun_at.eq(At(now)),
            ))
            .returning(retry_batches::id)
            .get_result(conn)
            .await
    )?;
    Ok(RetryBatchId(id))
}

/// Counts one of a batch that has ended.
pub(super) async fn count_ended(conn: &mut Conn, site: SiteId, batch: i64, delivered: bool) -> Result<()> {
    both!(
        conn,
        diesel::update(retry_batches::table)
            .filter(retry_batches::id.eq(batch))
            .filter(retry_batches::site_id.eq(site.get()))
            .set((
                retry_batches::done.eq(retry_batches::done + 1),
                retry_batches::failed.eq(retry_batches::failed + i64::from(!delivered)),
            ))
            .execute(conn)
            .await
    )?;
    Ok(())
}

/// Counts locked deliveries that end now without a call; before their rows say so.
pub(super) async fn count_given_up(conn: &mut Conn, site: SiteId, ids: &[i64]) -> Result<()> {
    let update = Statement::new(
        "UPDATE retry_batches SET done = done + ended.number, failed = failed + ended.number FROM \
         (SELECT retry_batch AS id, count(*) AS number FROM deliveries WHERE retry_batch IS NOT NULL AND site_id = ",
    )
    .integer(site.get())
    .sql(" AND ")
    .any_integer("id", ids.to_vec())
    .sql(" GROUP BY retry_batch) AS ended WHERE retry_batches.id = ended.id");
    both!(conn, update.execute(conn).await)?;
    Ok(())
}

/// Those of these batches that the site has, in no order.
pub async fn batches(db: &Db, site: SiteId, ids: &[RetryBatchId]) -> Result<Vec<RetryBatch>> {
    let wanted = crate::store::fragment::Condition::new("retry_batches.site_id = ")
        .integer(site.get())
        .and("")
        .any_integer("retry_batches.id", ids.iter().map(|id| id.0).collect());
    let conn = &mut db.reader().await?;
    let found: Vec<(i64, i64, i64, i64)> = rows!(
        conn,
        retry_batches::table.filter(wanted).select((
            retry_batches::id,
            retry_batches::total,
            retry_batches::done,
            retry_batches::failed
        ))
    )?;
    let batch = |(id, total, done, failed)| {
        Ok(RetryBatch { id: RetryBatchId(id), total: count(total)?, done: count(done)?, failed: count(failed)? })
    };
    found.into_iter().map(batch).collect()
}
