//! What becomes of a connection when its OAuth grant does: renewed, refused, or given anew.

use chrono::{DateTime, Utc};
use diesel::ExpressionMethods as _;
use diesel_async::RunQueryDsl;

use super::{
    change::updated,
    create::write_scopes,
    observe::{Observed, apply},
    row::{ConnectionRow, lock, save},
};
use crate::{
    domain::{
        connection::Connection,
        event::EventBody,
        id::{AuthorizationId, ConnectionId, SiteId},
        state::Observation,
        test_report::TestReport,
    },
    store::{
        activity::{self, NewActivity},
        authorization::{self, Replaced},
        closing,
        credential::{self, SealedCredential},
        database::{Conn, Db},
        error::{Result, StoreError},
        moment::At,
        renewal::{self, Lease, RenewalOutcome},
        rows::{joined, json},
        schema::{connection_scopes, connections},
        stream,
        transaction::{both, transaction},
    },
};

/// A grant as it is kept.
#[derive(Clone)]
pub struct Granted {
    /// The whole credential, or the parts of it that change.
    pub sealed: Vec<SealedCredential>,
    /// In any order.
    pub scopes: Vec<String>,
    pub expires_at: Option<DateTime<Utc>>,
    pub renew_at: Option<DateTime<Utc>>,
    /// Whether it can be renewed.
    pub refreshable: bool,
}

/// A fresh grant of a connection that had one before.
#[derive(Clone)]
pub struct Regranted {
    /// What it ends.
    pub authorization: AuthorizationId,
    pub granted: Granted,
    /// The grant before, where the vendor is to have it back.
    pub replaced: Option<Replaced>,
    pub test: TestReport,
    pub activity: NewActivity,
}

/// Stores a fresh grant that an operator has given for a connection, and ends its authorization; `None` where the site
/// has no such connection, or it is being given up.
///
/// # Errors
/// [`StoreError::AuthorizationEnded`]; nothing is written then.
pub async fn regrant(
    db: &Db,
    site: SiteId,
    id: ConnectionId,
    now: DateTime<Utc>,
    regranted: Regranted,
) -> Result<Option<Connection>> {
    let Regranted { authorization, granted, replaced, test, activity: entry } = regranted;
    transaction!(db, conn => {
        let Some(mut row) = lock(conn, site, id, false).await? else { return Ok(None) };
        if closing::is_closing(conn, id).await? {
            return Ok(None);
        }
        let change = apply(&mut row, now, Observation::Reauthorized, None, Some(&test), false)?;
        row.updated_at = At(now);
        save(conn, &row).await?;
        keep(conn, site, &mut row, &granted).await?;
        renewal::end(conn, id, now, RenewalOutcome::Renewed, granted.renew_at).await?;
        if !authorization::succeed(conn, site, authorization, now, id, &test, replaced.as_ref()).await? {
            return Err(StoreError::AuthorizationEnded);
        }
        let mut events = vec![updated(&row)?];
        events.extend(change.write(conn, site, now, &row).await?);
        let entry = activity::write(conn, site, now, &row.activity(&entry)).await?;
        events.push(EventBody::ActivityLogged { entry: entry.id });
        stream::append(conn, db, site, now, &events).await?;
        Connection::try_from(row).map(Some)
    })
}

/// How a renewal ended.
#[derive(Clone)]
pub struct Settled {
    pub outcome: RenewalOutcome,
    /// What it brought.
    pub granted: Option<Granted>,
    /// What is learnt about the connection by it.
    pub observation: Option<Observation>,
    /// In words for an operator.
    pub reason: Option<String>,
    /// When the next is due, where this one brought nothing.
    pub renew_at: Option<DateTime<Utc>>,
    pub activity: NewActivity,
}

/// Ends a renewal: what it brought, what follows for the state, and the lease, in one transaction. `None` where the
/// connection is gone, or somebody else has ended a renewal of it since the lease was taken.
pub async fn settle_renewal(
    db: &Db,
    site: SiteId,
    id: ConnectionId,
    now: DateTime<Utc>,
    lease: Lease,
    settled: Settled,
) -> Result<Option<Observed>> {
    transaction!(db, conn => {
        let Some(mut row) = lock(conn, site, id, false).await? else { return Ok(None) };
        if !renewal::is_current(conn, site, id, lease).await? {
            return Ok(None);
        }
        let previous = row.state()?;
        let renewed = settled.outcome == RenewalOutcome::Renewed;
        let change = match settled.observation {
            Some(observation) => {
                Some(apply(&mut row, now, observation, settled.reason.as_deref(), None, true)?)
            }
            None => None,
        };
        if renewed {
            row.updated_at = At(now);
        }
        save(conn, &row).await?;
        let mut events = Vec::new();
        let mut renew_at = settled.renew_at;
        if let Some(granted) = &settled.granted {
            let scopes = row.scopes_granted.clone();
            keep(conn, site, &mut row, granted).await?;
            if row.scopes_granted != scopes {
                events.push(updated(&row)?);
            }
            renew_at = granted.renew_at;
        }
        renewal::end(conn, id, now, settled.outcome, renew_at).await?;
        let decision = change.as_ref().map_or(crate::domain::state::Decision::Keep, |change| change.decision);
        if let Some(change) = change {
            events.extend(change.write(conn, site, now, &row).await?);
        }
        let entry = activity::write(conn, site, now, &row.activity(&settled.activity)).await?;
        events.push(EventBody::ActivityLogged { entry: entry.id });
        stream::append(conn, db, site, now, &events).await?;
        Ok(Some(Observed { connection: Connection::try_from(row)?, decision, previous }))
    })
}

/// Writes a grant to the credential and the record, whose row is locked.
async fn keep(conn: &mut Conn, site: SiteId, row: &mut ConnectionRow, granted: &Granted) -> Result<()> {
    let id = row.id();
    let mut scopes = granted.scopes.clone();
    scopes.sort_unstable();
    scopes.dedup();
    credential::write(conn, site, id, &granted.sealed).await?;
    let changed = row.scopes_granted != json(&scopes);
    row.scopes_granted = json(&scopes);
    row.expires_at = granted.expires_at.map(At);
    row.refreshable = Some(granted.refreshable);
    let set = (
        connections::scopes_granted.eq(&row.scopes_granted),
        connections::scopes_joined.eq(joined(&scopes)),
        connections::expires_at.eq(row.expires_at),
        connections::refreshable.eq(row.refreshable),
    );
    both!(
        conn,
        diesel::update(connections::table)
            .filter(connections::id.eq(id.0))
            .filter(connections::site_id.eq(site.get()))
            .set(set)
            .execute(conn)
            .await
    )?;
    if changed {
        both!(
            conn,
            diesel::delete(connection_scopes::table)
                .filter(connection_scopes::connection_id.eq(id.0))
                .execute(conn)
                .await
        )?;
        write_scopes(conn, site, id, &scopes).await?;
    }
    Ok(())
}
