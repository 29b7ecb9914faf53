//! Tests of credentials that nobody asks for: when each is due.
//!
//! Whoever takes one moves its time on, to the end of a lease, and only if it is still as it was found: so one process
//! has it, and another one gets it where that process has died.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{BoolExpressionMethods as _, ExpressionMethods as _, Insertable, OptionalExtension as _, QueryDsl as _};
use diesel_async::RunQueryDsl;

use super::{
    database::{Conn, Db},
    error::Result,
    moment::At,
    schema::{checks, connections},
    transaction::both,
};
use crate::domain::{
    connection::ConnectionState,
    connector::AuthFlow,
    id::{ConnectionId, SiteId},
};

/// How soon after it was made a connection is tested for the first time: half a day, and up to half a day more, so that
/// what was made together is not tested together.
const FIRST: TimeDelta = TimeDelta::hours(12);
/// How soon a connection is probed that has been put into error.
const FIRST_PROBE: TimeDelta = TimeDelta::minutes(1);

#[derive(Insertable)]
#[diesel(table_name = checks)]
struct NewRow {
    connection_id: i64,
    site_id: i64,
    due_at: At,
    failures: i32,
}

/// A test that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    pub site: SiteId,
    pub connection: ConnectionId,
    /// Probes in a row that did not pass.
    pub failures: u32,
    /// When it is due; once it is taken, until when it is the taker's.
    pub due_at: DateTime<Utc>,
}

/// Makes the row of a new connection, unless its test sends a message.
pub(super) async fn insert(
    conn: &mut Conn,
    db: &Db,
    site: SiteId,
    connection: ConnectionId,
    flow: AuthFlow,
    now: DateTime<Utc>,
) -> Result<()> {
    if flow == AuthFlow::SignedToken {
        return Ok(());
    }
    let later = TimeDelta::seconds(db.random_number().rem_euclid(FIRST.num_seconds()));
    let due_at = At(now + FIRST + later);
    let row = NewRow { connection_id: connection.0, site_id: site.get(), due_at, failures: 0 };
    both!(conn, diesel::insert_into(checks::table).values(row).execute(conn).await)?;
    Ok(())
}

/// Has a connection probed that has just been put into error. Its row is locked.
pub(super) async fn probe(conn: &mut Conn, site: SiteId, connection: ConnectionId, now: DateTime<Utc>) -> Result<()> {
    let due_at = At(now + FIRST_PROBE);
    let row = NewRow { connection_id: connection.0, site_id: site.get(), due_at, failures: 0 };
    both!(
        conn,
        diesel::insert_into(checks::table)
            .values(row)
            .on_conflict(checks::connection_id)
            .do_update()
            .set((checks::due_at.eq(due_at), checks::failures.eq(0)))
            .execute(conn)
            .await
    )?;
    Ok(())
}

/// Tests of all sites that are due, the longest due first.
pub async fn due(db: &Db, now: DateTime<Utc>, limit: u32) -> Result<Vec<Check>> {
    let conn = &mut db.reader().await?;
    let rows: Vec<(i64, i64, i32, At)> = both!(
        conn,
        checks::table
            .filter(checks::due_at.le(At(now)))
            .order((checks::due_at.asc(), checks::connection_id.asc()))
            .limit(i64::from(limit))
            .select((checks::site_id, checks::connection_id, checks::failures, checks::due_at))
            .load(conn)
            .await
    )?;
    let read = |(site, connection, failures, due_at): (i64, i64, i32, At)| Check {
        site: SiteId::from_claimed_row(site),
        connection: ConnectionId(connection),
        failures: u32::try_from(failures).unwrap_or_default(),
        due_at: due_at.0,
    };
    Ok(rows.into_iter().map(read).collect())
}

/// When the next test will be due.
pub async fn next_due(db: &Db) -> Result<Option<DateTime<Utc>>> {
    let conn = &mut db.reader().await?;
    let row: Option<At> = both!(
        conn,
        checks::table.order(checks::due_at.asc()).limit(1).select(checks::due_at).get_result(conn).await.optional()
    )?;
    Ok(row.map(DateTime::from))
}

/// Takes a test that is due; `None` where somebody else has.
pub async fn take(db: &Db, check: Check, until: DateTime<Utc>) -> Result<Option<Check>> {
    let conn = &mut db.writer().await?;
    let taken = both!(conn, diesel::update(as_it_was(check)).set(checks::due_at.eq(At(until))).execute(conn).await)?;
    Ok((taken > 0).then_some(Check { due_at: until, ..check }))
}

/// Says when a connection is to be tested again, or that it is not. Nothing happens where the test is not the taker's
/// any more.
pub async fn settle(db: &Db, taken: Check, next: Option<(DateTime<Utc>, u32)>) -> Result<()> {
    let conn = &mut db.writer().await?;
    match next {
        Some((due_at, failures)) => {
            let failures = i32::try_from(failures).unwrap_or(i32::MAX);
            let set = (checks::due_at.eq(At(due_at)), checks::failures.eq(failures));
            both!(conn, diesel::update(as_it_was(taken)).set(set).execute(conn).await)?;
        }
        None => {
            both!(conn, diesel::delete(as_it_was(taken)).execute(conn).await)?;
        }
    }
    Ok(())
}

#[diesel::dsl::auto_type]
fn as_it_was(check: Check) -> _ {
    let (connection, site, due_at): (i64, i64, At) = (check.connection.0, check.site.get(), At(check.due_at));
    checks::table
        .filter(checks::connection_id.eq(connection).and(checks::site_id.eq(site)).and(checks::due_at.eq(due_at)))
}

/// Whether the platform may find the way back from error for a connection.
pub async fn is_probed(db: &Db, site: SiteId, connection: ConnectionId) -> Result<bool> {
    let conn = &mut db.reader().await?;
    let probed: i64 = both!(
        conn,
        connections::table
            .filter(connections::id.eq(connection.0))
            .filter(connections::site_id.eq(site.get()))
            .filter(connections::state.eq(ConnectionState::Error.as_str()))
            .filter(connections::probe.eq(true))
            .count()
            .get_result(conn)
            .await
    )?;
    Ok(probed > 0)
}
