//! Renewals of credentials: one at a time for a connection, in all processes.
//!
//! Whoever renews takes a lease, and with it writes that a renewal has begun; only then the vendor is called. A lease
//! that has run out with its renewal open tells of a process that was cut off, perhaps with a token that nobody has.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    ExpressionMethods as _, Insertable, OptionalExtension as _, QueryDsl as _, Queryable, Selectable,
    SelectableHelper as _,
};
use diesel_async::RunQueryDsl;

mod due;

pub use self::due::{Front, count, due, fronts};
use super::{
    connection::lock,
    database::{Conn, Db},
    error::Result,
    moment::At,
    rows::word_or_none,
    schema::renewals,
    transaction::{both, transaction},
};
use crate::domain::{
    id::{ConnectionId, SiteId},
    vocabulary::vocabulary,
};

/// The shortest time between two renewals of which the first has failed.
pub const PAUSE_AFTER_FAILURE: TimeDelta = TimeDelta::seconds(60);

vocabulary! {
    /// How a renewal ended.
    pub enum RenewalOutcome {
        Renewed = "renewed",
        /// The vendor said no: the grant has run out.
        Expired = "expired",
        /// The vendor said no: the grant was taken back.
        Revoked = "revoked",
        /// One was cut off, and its grant is lost; the access record lasted on.
        CutOff = "cut_off",
        /// It did not get through, or the client is not set up right; it is tried again.
        Failed = "failed",
    }
}

/// A connection's renewals as they stand.
#[derive(Clone, Debug)]
pub struct Renewal {
    pub due_at: Option<DateTime<Utc>>,
    pub lease_until: Option<DateTime<Utc>>,
    pub begun_at: Option<DateTime<Utc>>,
    pub failed_at: Option<DateTime<Utc>>,
    /// The last one that went well.
    pub renewed_at: Option<DateTime<Utc>>,
    /// In a row.
    pub failures: u32,
    pub outcome: Option<RenewalOutcome>,
    /// Who asked for the connection to be given up, as JSON.
    pub closing: Option<String>,
    /// How many have ended.
    pub generation: i64,
}

impl Renewal {
    /// Until when no other renewal is to be begun, since the last one failed a moment ago, or the vendor allows no more:
    /// `rest` is the shortest time from one that went well to the next.
    #[must_use]
    pub fn too_soon(&self, now: DateTime<Utc>, rest: TimeDelta) -> Option<DateTime<Utc>> {
        let until = if self.begun_at.is_some() {
            // It was cut off, and what is left of it could not be found out a moment ago.
            self.due_at
        } else {
            let failed = self.failed_at.map(|failed| failed + PAUSE_AFTER_FAILURE);
            failed.max(self.renewed_at.map(|renewed| renewed + rest))
        };
        until.filter(|until| *until > now)
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = renewals)]
struct Row {
    due_at: Option<At>,
    lease_until: Option<At>,
    begun_at: Option<At>,
    failed_at: Option<At>,
    renewed_at: Option<At>,
    failures: i32,
    outcome: Option<String>,
    closing: Option<String>,
    generation: i64,
}

impl Row {
    fn read(self) -> Result<Renewal> {
        Ok(Renewal {
            due_at: self.due_at.map(DateTime::from),
            lease_until: self.lease_until.map(DateTime::from),
            begun_at: self.begun_at.map(DateTime::from),
            failed_at: self.failed_at.map(DateTime::from),
            renewed_at: self.renewed_at.map(DateTime::from),
            failures: u32::try_from(self.failures).unwrap_or_default(),
            outcome: word_or_none(self.outcome.as_deref(), RenewalOutcome::parse)?,
            closing: self.closing,
            generation: self.generation,
        })
    }
}

#[derive(Insertable)]
#[diesel(table_name = renewals)]
struct NewRow<'a> {
    connection_id: i64,
    site_id: i64,
    due_at: Option<At>,
    failures: i32,
    generation: i64,
    connector_slug: &'a str,
}

/// The right to renew a connection's credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub token: i64,
    /// How many had failed in a row.
    pub failures: u32,
    /// The last one was cut off, and its refresh token may be used up.
    pub after_cut_off: bool,
    /// How many renewals had ended when it was taken.
    pub generation: i64,
    /// When the vendor may first have been called for it.
    pub begun_at: DateTime<Utc>,
    /// From somebody who was cut off while it was under way.
    pub taken_over: bool,
}

/// What came of the wish to renew.
#[derive(Clone, Copy, Debug)]
pub enum Begun {
    /// The caller renews.
    Lease(Lease),
    /// A renewal was cut off at this time, and the caller finds out what is left of the grant.
    CutOff(Lease, DateTime<Utc>),
    /// Somebody else's has ended meanwhile, and so it did.
    Ended(Option<RenewalOutcome>),
    /// Somebody else renews, until then at the latest.
    Held { until: DateTime<Utc>, generation: i64 },
    /// The last one was a moment ago, and failed, or the vendor allows no more: not again before this time.
    TooSoon { until: DateTime<Utc>, outcome: Option<RenewalOutcome> },
    /// The connection is being given up.
    Closing,
    /// There is no such connection, or it has nothing to renew.
    Nothing,
}

/// Makes the row of a new connection.
pub(super) async fn insert(
    conn: &mut Conn,
    site: SiteId,
    connection: ConnectionId,
    connector_slug: &str,
    due_at: Option<DateTime<Utc>>,
) -> Result<()> {
    let row = NewRow {
        connection_id: connection.0,
        site_id: site.get(),
        due_at: due_at.map(At),
        failures: 0,
        generation: 0,
        connector_slug,
    };
    both!(conn, diesel::insert_into(renewals::table).values(row).execute(conn).await)?;
    Ok(())
}

/// A connection's renewals.
pub async fn find(db: &Db, site: SiteId, connection: ConnectionId) -> Result<Option<Renewal>> {
    let conn = &mut db.reader().await?;
    read(conn, site, connection).await
}

pub(super) async fn read(conn: &mut Conn, site: SiteId, connection: ConnectionId) -> Result<Option<Renewal>> {
    let row: Option<Row> = both!(
        conn,
        renewals::table
            .filter(renewals::connection_id.eq(connection.0))
            .filter(renewals::site_id.eq(site.get()))
            .select(Row::as_select())
            .get_result(conn)
            .await
            .optional()
    )?;
    row.map(Row::read).transpose()
}

/// Asks for the right to renew, unless a renewal has ended since there had been `generation` of them; `rest` is the
/// shortest time from one renewal that went well to the next.
pub async fn begin(
    db: &Db,
    site: SiteId,
    connection: ConnectionId,
    generation: i64,
    now: DateTime<Utc>,
    lease_until: DateTime<Utc>,
    rest: TimeDelta,
) -> Result<Begun> {
    transaction!(db, conn => {
        // The connection's row is what all that touch its renewals lock.
        let Some(_row) = lock(conn, site, connection, false).await? else { return Ok(Begun::Nothing) };
        let Some(renewal) = read(conn, site, connection).await? else { return Ok(Begun::Nothing) };
        if renewal.closing.is_some() {
            return Ok(Begun::Closing);
        }
        if renewal.generation != generation {
            return Ok(Begun::Ended(renewal.outcome));
        }
        if let Some(until) = renewal.lease_until.filter(|until| *until > now) {
            return Ok(Begun::Held { until, generation: renewal.generation });
        }
        if let Some(until) = renewal.too_soon(now, rest) {
            return Ok(Begun::TooSoon { until, outcome: renewal.outcome });
        }
        let begun_at = renewal.begun_at.unwrap_or(now);
        let lease = Lease {
            token: db.random_number(),
            failures: renewal.failures,
            after_cut_off: renewal.outcome == Some(RenewalOutcome::CutOff),
            generation: renewal.generation,
            begun_at,
            taken_over: renewal.begun_at.is_some(),
        };
        both!(
            conn,
            diesel::update(renewals::table)
                .filter(renewals::connection_id.eq(connection.0))
                .set((
                    renewals::lease_token.eq(Some(lease.token)),
                    renewals::lease_until.eq(Some(At(lease_until))),
                    renewals::begun_at.eq(Some(At(begun_at))),
                    // Should this process be cut off, somebody looks after it then.
                    renewals::due_at.eq(Some(At(lease_until))),
                ))
                .execute(conn)
                .await
        )?;
        Ok(match renewal.begun_at {
            Some(begun) => Begun::CutOff(lease, begun),
            None => Begun::Lease(lease),
        })
    })
}

/// Whether the renewal of this lease may still be settled: nobody else has ended one since. A lease that has run out
/// does not matter then: what it brought must not be lost.
pub(super) async fn is_current(conn: &mut Conn, site: SiteId, connection: ConnectionId, lease: Lease) -> Result<bool> {
    Ok(read(conn, site, connection).await?.is_some_and(|renewal| renewal.generation == lease.generation))
}

/// Ends a renewal, in the transaction that stores what it brought. The connection's row is locked.
pub(super) async fn end(
    conn: &mut Conn,
    connection: ConnectionId,
    now: DateTime<Utc>,
    outcome: RenewalOutcome,
    due_at: Option<DateTime<Utc>>,
) -> Result<()> {
    let none: Option<At> = None;
    let ended = (
        renewals::lease_token.eq(None::<i64>),
        renewals::lease_until.eq(none),
        renewals::begun_at.eq(none),
        renewals::due_at.eq(due_at.map(At)),
        renewals::outcome.eq(Some(outcome.as_str())),
        renewals::generation.eq(renewals::generation + 1_i64),
    );
    let row = renewals::table.filter(renewals::connection_id.eq(connection.0));
    if outcome == RenewalOutcome::Renewed {
        let well = (renewals::failed_at.eq(none), renewals::failures.eq(0), renewals::renewed_at.eq(Some(At(now))));
        both!(conn, diesel::update(row).set((ended, well)).execute(conn).await)?;
    } else {
        let badly = (renewals::failed_at.eq(Some(At(now))), renewals::failures.eq(renewals::failures + 1));
        both!(conn, diesel::update(row).set((ended, badly)).execute(conn).await)?;
    }
    Ok(())
}

/// Puts off what is to be found out about a renewal that was cut off.
pub async fn postpone(
    db: &Db,
    site: SiteId,
    connection: ConnectionId,
    lease: Lease,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<()> {
    let conn = &mut db.writer().await?;
    both!(
        conn,
        diesel::update(renewals::table)
            .filter(renewals::connection_id.eq(connection.0))
            .filter(renewals::site_id.eq(site.get()))
            .filter(renewals::lease_token.eq(Some(lease.token)))
            .set((renewals::lease_until.eq(Some(At(now))), renewals::due_at.eq(Some(At(until)))))
            .execute(conn)
            .await
    )?;
    Ok(())
}

/// Gives a lease back without a renewal: the vendor was not called. It is due again then. One that was taken over stays
/// open: what it had begun is still to be found out.
pub async fn release(
    db: &Db,
    site: SiteId,
    connection: ConnectionId,
    lease: Lease,
    due_at: DateTime<Utc>,
) -> Result<()> {
    let conn = &mut db.writer().await?;
    let none: Option<At> = None;
    both!(
        conn,
        diesel::update(renewals::table)
            .filter(renewals::connection_id.eq(connection.0))
            .filter(renewals::site_id.eq(site.get()))
            .filter(renewals::lease_token.eq(Some(lease.token)))
            .set((
                renewals::lease_token.eq(None::<i64>),
                renewals::lease_until.eq(none),
                renewals::begun_at.eq(lease.taken_over.then_some(At(lease.begun_at))),
                renewals::due_at.eq(Some(At(due_at))),
            ))
            .execute(conn)
            .await
    )?;
    Ok(())
}
