//! Trying a failed delivery once more by hand.

use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, SelectableHelper as _};
use diesel_async::RunQueryDsl;

use super::{
    claim::{self, Claim},
    row::DeliveryRow,
};
use crate::{
    domain::{
        connection::ConnectionState,
        delivery::{DeliveryEntry, DeliveryOutcome, DeliveryStatus},
        id::{EntryId, SiteId},
    },
    store::{
        closing, connection,
        database::{Conn, Db},
        entry,
        error::{Result, StoreError},
        moment::At,
        rows::storable_or_none,
        schema::deliveries,
        transaction::{both, locked, transaction},
    },
};

/// How the claim of a failed delivery ended.
#[derive(Clone, Debug)]
pub enum RetryClaim {
    /// It is the caller's to send and to settle.
    Claimed(Claim),
    /// The same call came before; this is the entry that it made.
    AlreadyRetried(DeliveryEntry),
    NotFound,
    NotFailed,
    /// A later attempt of the same delivery exists, or is under way.
    Superseded,
    ConnectionRemoved,
    ConnectionNotActive(ConnectionState),
    /// The family of the connection is switched off.
    SwitchedOff,
    PayloadPurged,
}

/// Takes a failed delivery back into the queue, leased by the caller. Where the caller dies, the worker's
/// claim finds it once the lease has run out.
pub async fn claim_retry(
    db: &Db,
    site: SiteId,
    entry: EntryId,
    now: DateTime<Utc>,
    lease_until: DateTime<Utc>,
    retry_key: Option<&str>,
) -> Result<RetryClaim> {
    let retry_key = storable_or_none(retry_key);
    let retry_key = retry_key.as_deref();
    transaction!(db, conn => {
        let Some(failed) = entry::read(conn, site, entry).await? else { return Ok(RetryClaim::NotFound) };
        if let Some(key) = retry_key
            && let Some(made) = entry::read_retry(conn, site, entry, key).await?
        {
            return Ok(RetryClaim::AlreadyRetried(made));
        }
        if failed.outcome != DeliveryOutcome::Failed {
            return Ok(RetryClaim::NotFailed);
        }
        let owner = connection::lock(conn, site, failed.connection, false).await?;
        let Some((row, payload_kept)) = lock(conn, site, failed.delivery.0).await? else {
            return Ok(RetryClaim::NotFound);
        };
        // A retry under way has put the delivery back into the queue.
        if row.last_entry_id != Some(entry.0) || row.status == DeliveryStatus::Queued.as_str() {
            return Ok(RetryClaim::Superseded);
        }
        let Some(owner) = owner else { return Ok(RetryClaim::ConnectionRemoved) };
        if closing::is_closing(conn, failed.connection).await? {
            return Ok(RetryClaim::ConnectionRemoved);
        }
        if row.status != DeliveryStatus::Failed.as_str() {
            return Ok(RetryClaim::NotFailed);
        }
        match owner.state()? {
            ConnectionState::Active if owner.switched_off_at.is_some() => return Ok(RetryClaim::SwitchedOff),
            ConnectionState::Active => {}
            state => return Ok(RetryClaim::ConnectionNotActive(state)),
        }
        if !payload_kept {
            return Ok(RetryClaim::PayloadPurged);
        }
        both!(
            conn,
            diesel::update(deliveries::table)
                .filter(deliveries::id.eq(row.id))
                .set((
                    deliveries::status.eq(DeliveryStatus::Queued.as_str()),
                    deliveries::next_attempt_at.eq(Some(At(now))),
                    deliveries::ended_at.eq(None::<At>),
                    deliveries::retry_of.eq(Some(entry.0)),
                    deliveries::retry_key.eq(retry_key),
                ))
                .execute(conn)
                .await
        )?;
        claim::lease(conn, db, &[row.id], lease_until).await?;
        let claim = claim::read(conn, &[row.id]).await?.pop();
        claim
            .map(RetryClaim::Claimed)
            .ok_or_else(|| StoreError::Corrupt(format!("delivery {} went while it was locked", row.id)))
    })
}

/// Locks a delivery; says also whether its payload is kept.
async fn lock(conn: &mut Conn, site: SiteId, id: i64) -> Result<Option<(DeliveryRow, bool)>> {
    Ok(locked!(
        conn,
        deliveries::table
            .filter(deliveries::id.eq(id))
            .filter(deliveries::site_id.eq(site.get()))
            .select((DeliveryRow::as_select(), deliveries::payload.is_not_null())),
        for_no_key_update
    )?)
}
