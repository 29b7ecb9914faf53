//! Removing a connection: its record, credential, scopes and history go; what its deliveries and
//! activities say of it stays.

use chrono::{DateTime, Utc};
use diesel::ExpressionMethods as _;
use diesel_async::RunQueryDsl;

use super::row::lock;
use crate::{
    domain::{
        connection::{Connection, ConnectionChange, StateChangeCause},
        event::EventBody,
        id::{ConnectionId, SiteId},
    },
    store::{
        activity::{self, NewActivity},
        closing,
        database::Db,
        delivery,
        error::Result,
        schema::connections,
        stream,
        transaction::{both, transaction},
    },
};

/// How many queued deliveries a removal cancels itself; the worker clears what is left.
const CANCELLED_AT_ONCE: u32 = 500;

/// A removal.
#[derive(Clone, Debug)]
pub struct Removed {
    /// As it was.
    pub connection: Connection,
    /// How many queued deliveries were cancelled with it.
    pub cancelled: u64,
}

/// Removes a connection; `None` where the site has no such connection. Deliveries that a worker has
/// in hand settle by themselves.
pub async fn remove(
    db: &Db,
    site: SiteId,
    id: ConnectionId,
    now: DateTime<Utc>,
    activity: NewActivity,
) -> Result<Option<Removed>> {
    transaction!(db, conn => {
        let Some(row) = lock(conn, site, id, true).await? else { return Ok(None) };
        // Scopes, credential and history go with it: foreign keys say so.
        both!(
            conn,
            diesel::delete(connections::table)
                .filter(connections::id.eq(id.0))
                .filter(connections::site_id.eq(site.get()))
                .execute(conn)
                .await
        )?;
        let queued = delivery::queued_of(conn, site, id, now, CANCELLED_AT_ONCE).await?;
        let entries = delivery::end(conn, site, now, &queued, delivery::Ending::ConnectionRemoved).await?;
        let mut events = vec![EventBody::Connection {
            connection: id,
            connector_slug: row.connector_slug.clone(),
            change: ConnectionChange::Removed,
            previous_state: Some(row.state()?),
            state: None,
            cause: StateChangeCause::Operator,
            reason: None,
        }];
        events.extend(entries.iter().map(|entry| EventBody::DeliveryLogged { entry: *entry }));
        let entry = activity::write(conn, site, now, &row.activity(&activity)).await?;
        events.push(EventBody::ActivityLogged { entry: entry.id });
        stream::append(conn, db, site, now, &events).await?;
        Ok(Some(Removed { connection: Connection::try_from(row)?, cancelled: entries.len() as u64 }))
    })
}

/// Keeps a connection that was to be removed, since its vendor could not be told; says so in the activity log.
pub async fn reopen(
    db: &Db,
    site: SiteId,
    id: ConnectionId,
    now: DateTime<Utc>,
    renew_at: Option<DateTime<Utc>>,
    activity: NewActivity,
) -> Result<()> {
    transaction!(db, conn => {
        let Some(row) = lock(conn, site, id, false).await? else { return Ok(()) };
        closing::reopen(conn, id, renew_at).await?;
        let entry = activity::write(conn, site, now, &row.activity(&activity)).await?;
        stream::append(conn, db, site, now, &[EventBody::ActivityLogged { entry: entry.id }]).await?;
        Ok(())
    })
}
