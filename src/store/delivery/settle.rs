//! Settling an attempt: its log entry, what becomes of the delivery and of the connection, and the
//! events of all that, in one transaction.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, SelectableHelper as _};
use diesel_async::RunQueryDsl;

use super::{batch, row::DeliveryRow};
use crate::{
    domain::{
        connection::Connection,
        delivery::{DeliveryEntry, DeliveryFailure, DeliveryOutcome, DeliveryStatus, DeliveryWait},
        event::EventBody,
        id::{ConnectionId, DeliveryId, SiteId},
        settings::ErrorPattern,
        state::{Decision, Observation},
    },
    store::{
        activity::{self, ConnectionRef, NewActivity},
        connection::{self, Change, ConnectionRow, Observed},
        database::{Conn, Db},
        entry::{self, NewEntry},
        error::Result,
        moment::At,
        rollup::{self, NewAttempt},
        schema::deliveries,
        stream,
        transaction::{both, locked, transaction},
    },
};

/// How one attempt went.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub outcome: DeliveryOutcome,
    pub failure: Option<DeliveryFailure>,
    pub vendor_response_code: Option<u16>,
    pub vendor_message: Option<String>,
    pub latency_ms: Option<u32>,
    pub attempted_at: DateTime<Utc>,
}

/// What becomes of the delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    Ended(DeliveryStatus),
    Again { at: DateTime<Utc>, waiting_for: DeliveryWait },
}

/// One attempt and everything that follows from it.
#[derive(Clone, Debug)]
pub struct Settlement {
    pub site: SiteId,
    pub delivery: DeliveryId,
    /// From the claim.
    pub lease: i64,
    pub now: DateTime<Utc>,
    pub attempt: Attempt,
    pub after: After,
    /// What the attempt taught about the connection, with the reason in words.
    pub observation: Option<(Observation, String)>,
    pub error_pattern: ErrorPattern,
    /// Before this the vendor wants no event of the connection.
    pub not_before: Option<DateTime<Utc>>,
    pub activity: Option<NewActivity>,
}

/// A settled attempt.
#[derive(Clone, Debug)]
pub struct Settled {
    pub entry: DeliveryEntry,
    /// Where the connection was observed, and is still there.
    pub observed: Option<Observed>,
}

/// Settles an attempt; `None`, with nothing written, where the lease is no longer the caller's.
///
/// Where the connection is gone the entry is still written, and a delivery that was to be tried again is
/// cancelled.
pub async fn settle(db: &Db, settlement: Settlement) -> Result<Option<Settled>> {
    let Settlement { site, now, .. } = settlement;
    transaction!(db, conn => {
        let Some(connection) = connection_of(conn, &settlement).await? else { return Ok(None) };
        let mut owner = connection::lock(conn, site, connection, false).await?;
        let Some((row, payload_kept)) = lock(conn, &settlement).await? else { return Ok(None) };

        let (status, outcome) = ending(&settlement, owner.is_some());
        let mut entry = entry::write(conn, NewEntry::of(&row, site, &settlement.attempt, outcome)).await?;
        entry.retryable = payload_kept
            && owner.is_some()
            && outcome == DeliveryOutcome::Failed
            && status == DeliveryStatus::Failed;
        write_back(conn, &row, &settlement, status, entry.id.0).await?;
        rollup::add(conn, site, counted(&row, &settlement.attempt, outcome)).await?;

        let mut events = vec![EventBody::DeliveryLogged { entry: entry.id }];
        let observed = match &mut owner {
            Some(owner) => Some(judge(conn, owner, &settlement, outcome, &mut events).await?),
            None => None,
        };
        if let Some(activity) = &settlement.activity {
            let mut activity = activity.clone();
            activity.connection.get_or_insert_with(|| ConnectionRef {
                id: connection,
                name: row.connection_name.clone(),
                slug: row.connector_slug.clone(),
            });
            let written = activity::write(conn, site, now, &activity).await?;
            events.push(EventBody::ActivityLogged { entry: written.id });
        }
        if let (Some(batch), true) = (row.retry_batch, status != DeliveryStatus::Queued) {
            batch::count_ended(conn, site, batch, outcome == DeliveryOutcome::Delivered).await?;
        }
        stream::append(conn, db, site, now, &events).await?;
        Ok(Some(Settled { entry, observed: observed.flatten() }))
    })
}

/// Which connection to lock first. Looked up unlocked: a delivery never changes its connection.
async fn connection_of(conn: &mut Conn, settlement: &Settlement) -> Result<Option<ConnectionId>> {
    let id: Option<i64> = both!(
        conn,
        deliveries::table
            .filter(deliveries::id.eq(settlement.delivery.0))
            .filter(deliveries::site_id.eq(settlement.site.get()))
            .select(deliveries::connection_id)
            .get_result(conn)
            .await
            .optional()
    )?;
    Ok(id.map(ConnectionId))
}

/// Locks the delivery, if the lease is still the caller's; says also whether its payload is kept.
async fn lock(conn: &mut Conn, settlement: &Settlement) -> Result<Option<(DeliveryRow, bool)>> {
    Ok(locked!(
        conn,
        deliveries::table
            .filter(deliveries::id.eq(settlement.delivery.0))
            .filter(deliveries::site_id.eq(settlement.site.get()))
            .filter(deliveries::lease_token.eq(settlement.lease))
            .select((DeliveryRow::as_select(), deliveries::payload.is_not_null())),
        for_no_key_update
    )?)
}

/// The status that the delivery gets, and the outcome that the entry gets: without its connection
/// nothing is tried again.
fn ending(settlement: &Settlement, connected: bool) -> (DeliveryStatus, DeliveryOutcome) {
    match settlement.after {
        After::Ended(status) => (status, settlement.attempt.outcome),
        After::Again { .. } if connected => (DeliveryStatus::Queued, settlement.attempt.outcome),
        After::Again { .. } => (DeliveryStatus::Cancelled, DeliveryOutcome::Failed),
    }
}

fn counted<'a>(row: &'a DeliveryRow, attempt: &Attempt, outcome: DeliveryOutcome) -> NewAttempt<'a> {
    NewAttempt {
        connection: row.connection_id,
        module: &row.module,
        first: row.attempts == 0,
        accepted_at: row.accepted_at,
        outcome,
        latency_ms: attempt.latency_ms,
        attempted_at: attempt.attempted_at,
    }
}

async fn write_back(
    conn: &mut Conn,
    row: &DeliveryRow,
    settlement: &Settlement,
    status: DeliveryStatus,
    entry: i64,
) -> Result<()> {
    let (next_attempt_at, waiting_for, ended_at) = match settlement.after {
        After::Again { at, waiting_for } if status == DeliveryStatus::Queued => {
            (Some(At(at)), Some(waiting_for.as_str()), None)
        }
        _ => (None, None, Some(At(settlement.now))),
    };
    both!(
        conn,
        diesel::update(deliveries::table)
            .filter(deliveries::id.eq(row.id))
            .set((
                deliveries::status.eq(status.as_str()),
                deliveries::attempts.eq(row.attempts + 1),
                deliveries::next_attempt_at.eq(next_attempt_at),
                deliveries::waiting_for.eq(waiting_for),
                deliveries::ended_at.eq(ended_at),
                deliveries::lease_token.eq(None::<i64>),
                deliveries::lease_until.eq(None::<At>),
                deliveries::retry_of.eq(None::<i64>),
                deliveries::retry_key.eq(None::<&str>),
                deliveries::last_entry_id.eq(Some(entry)),
                deliveries::retry_batch.eq(row.retry_batch.filter(|_| status == DeliveryStatus::Queued)),
            ))
            .execute(conn)
            .await
    )?;
    Ok(())
}

/// Counts the attempt for or against the connection, and applies what was learnt about it.
async fn judge(
    conn: &mut Conn,
    owner: &mut ConnectionRow,
    settlement: &Settlement,
    outcome: DeliveryOutcome,
    events: &mut Vec<EventBody>,
) -> Result<Option<Observed>> {
    let (site, now) = (settlement.site, settlement.now);
    let previous = owner.state()?;
    let attempted_at = settlement.attempt.attempted_at;
    owner.last_delivery_at = owner.last_delivery_at.max(Some(At(attempted_at)));
    count_run(owner, outcome, &settlement.attempt);
    // Those that were under way when it asked for later may have been taken all the same.
    let is_over = owner.not_before.is_none_or(|until| until.0 <= attempted_at);
    owner.not_before = match settlement.not_before {
        Some(until) => owner.not_before.max(Some(At(until))),
        None if outcome == DeliveryOutcome::Delivered && is_over => None,
        None => owner.not_before,
    };
    let mut changes: Vec<Change> = Vec::new();
    if let Some(reason) = pattern_met(owner, settlement.error_pattern, now) {
        changes.push(connection::apply(owner, now, Observation::ErrorPattern, Some(&reason), None, false)?);
    }
    if let Some((observation, reason)) = &settlement.observation {
        changes.push(connection::apply(owner, now, *observation, Some(reason), None, false)?);
    }
    connection::save(conn, owner).await?;
    let mut decision = None;
    for change in changes {
        // The last word counts, but one that changed nothing does not hide a change.
        if !matches!(decision, Some(Decision::Become { .. })) || matches!(change.decision, Decision::Become { .. }) {
            decision = Some(change.decision);
        }
        events.extend(change.write(conn, site, now, owner).await?);
    }
    let Some(decision) = decision else { return Ok(None) };
    Ok(Some(Observed { connection: Connection::try_from(owner.clone())?, decision, previous }))
}

/// A delivery ends the run of failures; what speaks against the destination makes it longer; a
/// refusal of one payload does neither.
fn count_run(owner: &mut ConnectionRow, outcome: DeliveryOutcome, attempt: &Attempt) {
    match (outcome, attempt.failure) {
        (DeliveryOutcome::Delivered, _) => connection::end_failure_run(owner),
        (_, Some(DeliveryFailure::NetworkError | DeliveryFailure::Timeout | DeliveryFailure::VendorError)) => {
            owner.failed_in_row = owner.failed_in_row.saturating_add(1);
            owner.failing_since.get_or_insert(At(attempt.attempted_at));
        }
        _ => {}
    }
}

/// Whether so many attempts in a row have failed for so long that the connection is in error; why, in words.
fn pattern_met(owner: &ConnectionRow, pattern: ErrorPattern, now: DateTime<Utc>) -> Option<String> {
    let since = owner.failing_since?.0;
    let failed = u32::try_from(owner.failed_in_row).unwrap_or(0);
    (failed >= pattern.failed_attempts && now - since >= TimeDelta::minutes(i64::from(pattern.minutes))).then(|| {
        format!("the last {failed} attempts have failed, the first at {}", since.format("%Y-%m-%d %H:%M:%S UTC"))
    })
}
