//! Giving a connection up: the intent is written beside its renewals, under a lease as theirs, before the vendor is told.

use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods as _, OptionalExtension as _, QueryDsl as _};
use diesel_async::RunQueryDsl;

use super::{
    connection::lock,
    database::{Conn, Db},
    error::Result,
    fragment::Condition,
    in_place,
    moment::At,
    renewal::read,
    schema::renewals,
    transaction::{both, rows, transaction},
};
use crate::domain::id::{ConnectionId, SiteId};

/// What came of the wish to disconnect.
#[derive(Clone, Copy, Debug)]
pub enum Closing {
    /// The caller does it: from now on nobody renews, claims or dispatches.
    Begun,
    /// A renewal, or another disconnect, is under way until then at the latest.
    Held(DateTime<Utc>),
    /// There is no such connection, or it has nothing to renew.
    Nothing,
}

/// Writes down that a connection is being given up, under a lease as that of a renewal.
pub async fn close(
    db: &Db,
    site: SiteId,
    connection: ConnectionId,
    now: DateTime<Utc>,
    lease_until: DateTime<Utc>,
    intent: &str,
) -> Result<Closing> {
    transaction!(db, conn => {
        let Some(_row) = lock(conn, site, connection, true).await? else { return Ok(Closing::Nothing) };
        let Some(renewal) = read(conn, site, connection).await? else { return Ok(Closing::Nothing) };
        if let Some(until) = renewal.lease_until.filter(|until| *until > now) {
            return Ok(Closing::Held(until));
        }
        both!(
            conn,
            diesel::update(renewals::table)
                .filter(renewals::connection_id.eq(connection.0))
                .set((
                    renewals::lease_token.eq(Some(db.random_number())),
                    renewals::lease_until.eq(Some(At(lease_until))),
                    renewals::due_at.eq(Some(At(lease_until))),
                    renewals::closing.eq(Some(intent)),
                    renewals::closing_since.eq(Some(At(now))),
                ))
                .execute(conn)
                .await
        )?;
        Ok(Closing::Begun)
    })
}

/// Takes a disconnect back, in the transaction that says why. The connection's row is locked.
pub(super) async fn reopen(conn: &mut Conn, connection: ConnectionId, due_at: Option<DateTime<Utc>>) -> Result<()> {
    let none: Option<At> = None;
    both!(
        conn,
        diesel::update(renewals::table)
            .filter(renewals::connection_id.eq(connection.0))
            .set((
                renewals::lease_token.eq(None::<i64>),
                renewals::lease_until.eq(none),
                renewals::due_at.eq(due_at.map(At)),
                renewals::closing.eq(None::<String>),
                renewals::closing_since.eq(none),
            ))
            .execute(conn)
            .await
    )?;
    Ok(())
}

/// Those of these connections of the site that are being given up.
pub async fn list(db: &Db, site: SiteId, ids: &[ConnectionId]) -> Result<Vec<ConnectionId>> {
    let wanted = Condition::new("renewals.closing_since IS NOT NULL AND renewals.site_id = ")
        .integer(site.get())
        .and("")
        .any_integer("renewals.connection_id", ids.iter().map(|id| id.0).collect());
    let conn = &mut db.reader().await?;
    let found: Vec<i64> =
        in_place::brief(async { rows!(conn, renewals::table.filter(wanted).select(renewals::connection_id)) }).await?;
    Ok(found.into_iter().map(ConnectionId).collect())
}

/// Whether a connection is being given up.
pub(super) async fn is_closing(conn: &mut Conn, connection: ConnectionId) -> Result<bool> {
    let since: Option<Option<At>> = both!(
        conn,
        renewals::table
            .filter(renewals::connection_id.eq(connection.0))
            .select(renewals::closing_since)
            .get_result(conn)
            .await
            .optional()
    )?;
    Ok(since.flatten().is_some())
}
