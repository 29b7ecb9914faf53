//! What an operator changes about a connection: its name, its settings, its credential.

use chrono::{DateTime, Utc};

use super::{
    observe::apply,
    row::{ConnectionRow, lock, save},
};
use crate::{
    domain::{
        connection::{Connection, ConnectionChange, StateChangeCause},
        event::EventBody,
        id::{ConnectionId, SiteId},
        state::Observation,
        test_report::TestReport,
    },
    store::{
        activity::{self, NewActivity},
        credential::{self, SealedCredential},
        database::Db,
        error::{Result, StoreError},
        moment::At,
        rows::{folded, json, storable, storable_or_none},
        stream,
        transaction::transaction,
    },
};

/// Gives a connection another name; `None` where the site has no such connection.
pub async fn rename(
    db: &Db,
    site: SiteId,
    id: ConnectionId,
    now: DateTime<Utc>,
    name: &str,
    activity: NewActivity,
) -> Result<Option<Connection>> {
    transaction!(db, conn => {
        let Some(mut row) = lock(conn, site, id, false).await? else { return Ok(None) };
        row.display_name = storable(name);
        row.display_name_folded = folded(name);
        row.updated_at = At(now);
        save(conn, &row).await?;
        let entry = activity::write(conn, site, now, &row.activity(&activity)).await?;
        let events = [updated(&row)?, EventBody::ActivityLogged { entry: entry.id }];
        stream::append(conn, db, site, now, &events).await?;
        Connection::try_from(row).map(Some)
    })
}

/// What is to be changed; `None` leaves a setting as it is.
#[derive(Clone, Default)]
pub struct Configured {
    pub configuration: Option<Vec<(String, String)>>,
    pub destination_label: Option<Option<String>>,
    /// Parts of the credential that are replaced or added.
    pub sealed: Vec<SealedCredential>,
    /// A part of the credential as it was read: nothing is written where it has changed since.
    pub replaces: Option<SealedCredential>,
    pub ordered_delivery: Option<bool>,
    /// The test of the new settings; it is also observed.
    pub test: Option<TestReport>,
}

/// Changes a connection's settings or its credential; `None` where the site has no such connection.
///
/// # Errors
/// [`StoreError::CredentialChanged`]; nothing is written then.
pub async fn configure(
    db: &Db,
    site: SiteId,
    id: ConnectionId,
    now: DateTime<Utc>,
    configured: Configured,
    activity: NewActivity,
) -> Result<Option<Connection>> {
    transaction!(db, conn => {
        let Some(mut row) = lock(conn, site, id, false).await? else { return Ok(None) };
        if let Some(part) = &configured.replaces
            && !credential::is_current(conn, site, id, part).await?
        {
            return Err(StoreError::CredentialChanged);
        }
        if let Some(configuration) = &configured.configuration {
            row.configuration = json(configuration);
        }
        if let Some(label) = &configured.destination_label {
            row.destination_label = storable_or_none(label.as_deref());
        }
        if let Some(ordered) = configured.ordered_delivery {
            row.ordered_delivery = ordered;
        }
        row.updated_at = At(now);
        let change = match &configured.test {
            Some(test) => {
                let observation = Observation::Tested { outcome: test.outcome, refreshable: false };
                Some(apply(&mut row, now, observation, test.detail.as_deref(), Some(test), false)?)
            }
            None => None,
        };
        save(conn, &row).await?;
        credential::write(conn, site, id, &configured.sealed).await?;
        let mut events = vec![updated(&row)?];
        if let Some(change) = change {
            events.extend(change.write(conn, site, now, &row).await?);
        }
        let entry = activity::write(conn, site, now, &row.activity(&activity)).await?;
        events.push(EventBody::ActivityLogged { entry: entry.id });
        stream::append(conn, db, site, now, &events).await?;
        Connection::try_from(row).map(Some)
    })
}

pub(super) fn updated(row: &ConnectionRow) -> Result<EventBody> {
    let state = row.state()?;
    Ok(EventBody::Connection {
        connection: row.id(),
        connector_slug: row.connector_slug.clone(),
        change: ConnectionChange::Updated,
        previous_state: Some(state),
        state: Some(state),
        cause: StateChangeCause::Operator,
        reason: None,
    })
}
