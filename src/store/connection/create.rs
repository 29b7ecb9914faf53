//! A new connection: its record, credential, first step, activity and events, in one transaction.

use chrono::{DateTime, Utc};
use diesel::{Insertable, SelectableHelper as _};
use diesel_async::RunQueryDsl;

use super::row::ConnectionRow;
use crate::{
    domain::{
        connection::{Connection, ConnectionChange, ConnectionState, StateChangeCause},
        connector::{AuthFlow, ConnectorFamily},
        event::EventBody,
        id::{AuthorizationId, ConnectionId, OperatorId, SiteId},
        test_report::TestReport,
    },
    store::{
        activity::{self, NewActivity},
        authorization, check,
        credential::{self, Seal, SealedCredential},
        database::{Conn, Db},
        error::{Result, StoreError},
        fragment::Statement,
        history::{self, NewStep},
        moment::At,
        offer, renewal,
        rows::{folded, joined, json, storable, storable_or_none, test_to_json},
        schema::connections,
        settings, stream,
        transaction::{both, transaction},
    },
};

/// A connection whose test call has passed.
#[derive(Clone, Debug)]
pub struct NewConnection {
    pub connector_slug: String,
    /// By which lists order and search it.
    pub connector_name: String,
    pub display_name: String,
    pub family: ConnectorFamily,
    pub auth_flow: AuthFlow,
    pub vendor_account_id: Option<String>,
    pub vendor_account_name: Option<String>,
    /// In any order.
    pub scopes_granted: Vec<String>,
    pub configuration: Vec<(String, String)>,
    pub destination_label: Option<String>,
    pub ordered_delivery: bool,
    pub expires_at: Option<DateTime<Utc>>,
    pub test: TestReport,
    pub operator: OperatorId,
    /// The token of the operator's offer that this uses up.
    pub consume_offer: Option<String>,
    /// The authorization that this ends; it can be renewed then.
    pub authorization: Option<AuthorizationId>,
    /// When its credential is to be renewed.
    pub renew_at: Option<DateTime<Utc>>,
    /// Whether its grant can be renewed; `None` where it has none.
    pub refreshable: Option<bool>,
}

#[derive(Clone, Insertable)]
#[diesel(table_name = connections)]
struct NewRow {
    id: Option<i64>,
    site_id: i64,
    connector_slug: String,
    connector_name_folded: String,
    display_name: String,
    display_name_folded: String,
    state: &'static str,
    state_changed_at: At,
    probe: bool,
    auth_flow: &'static str,
    vendor_account_id: Option<String>,
    vendor_account_id_folded: Option<String>,
    vendor_account_name: Option<String>,
    vendor_account_name_folded: Option<String>,
    scopes_granted: String,
    scopes_joined: String,
    configuration: String,
    destination_label: Option<String>,
    ordered_delivery: bool,
    expires_at: Option<At>,
    last_test: String,
    failed_in_row: i32,
    operator_of_record: i64,
    created_at: At,
    updated_at: At,
    refreshable: Option<bool>,
    switched_off_at: Option<At>,
}

impl NewRow {
    fn new(site: SiteId, now: DateTime<Utc>, new: &NewConnection, scopes: &[String]) -> Self {
        Self {
            id: None,
            site_id: site.get(),
            connector_slug: new.connector_slug.clone(),
            connector_name_folded: folded(&new.connector_name),
            display_name: storable(&new.display_name),
            display_name_folded: folded(&new.display_name),
            state: ConnectionState::Active.as_str(),
            state_changed_at: At(now),
            probe: false,
            auth_flow: new.auth_flow.as_str(),
            vendor_account_id: storable_or_none(new.vendor_account_id.as_deref()),
            vendor_account_id_folded: new.vendor_account_id.as_deref().map(folded),
            vendor_account_name: storable_or_none(new.vendor_account_name.as_deref()),
            vendor_account_name_folded: new.vendor_account_name.as_deref().map(folded),
            scopes_granted: json(&scopes),
            scopes_joined: joined(scopes),
            configuration: json(&new.configuration),
            destination_label: storable_or_none(new.destination_label.as_deref()),
            ordered_delivery: new.ordered_delivery,
            expires_at: new.expires_at.map(At),
            last_test: test_to_json(&new.test),
            failed_in_row: 0,
            operator_of_record: new.operator.0,
            created_at: At(now),
            updated_at: At(now),
            refreshable: new.refreshable,
            switched_off_at: None,
        }
    }
}

/// Stores a new connection, active. `seal` is asked once its id is known.
///
/// # Errors
/// [`StoreError::OfferGone`] where the offer that it uses up is not there any more,
/// [`StoreError::AuthorizationEnded`] where its authorization has ended already,
/// [`StoreError::Aborted`] where `seal` failed. Nothing is written then.
pub async fn insert(
    db: &Db,
    site: SiteId,
    now: DateTime<Utc>,
    new: NewConnection,
    seal: Seal,
    activity: NewActivity,
) -> Result<Connection> {
    let mut scopes = new.scopes_granted.clone();
    scopes.sort_unstable();
    scopes.dedup();
    let mut row = NewRow::new(site, now, &new, &scopes);
    // Sealing happens once, for one id. Where the transaction has to run again, it takes that id again.
    let mut seal = Some(seal);
    let mut sealed: Vec<SealedCredential> = Vec::new();
    transaction!(db, conn => {
        if let Some(token) = &new.consume_offer
            && !offer::consume(conn, site, new.operator, token).await?
        {
            return Err(StoreError::OfferGone);
        }
        // Its family may have been switched off since it was begun: nobody changes the settings until this has ended.
        let settings = settings::lock(conn, site).await?;
        row.switched_off_at = (!settings.is_enabled(new.family)).then_some(At(now));
        let stored: ConnectionRow = both!(
            conn,
            diesel::insert_into(connections::table)
                .values(row.clone())
                .returning(ConnectionRow::as_returning())
                .get_result(conn)
                .await
        )?;
        let id = stored.id();
        if let Some(seal) = seal.take() {
            row.id = Some(id.0);
            sealed = seal(id).map_err(StoreError::Aborted)?;
        }
        credential::write(conn, site, id, &sealed).await?;
        write_scopes(conn, site, id, &scopes).await?;
        check::insert(conn, db, site, id, new.auth_flow, now).await?;
        if let Some(authorization) = new.authorization {
            renewal::insert(conn, site, id, &stored.connector_slug, new.renew_at).await?;
            if !authorization::succeed(conn, site, authorization, now, id, &new.test, None).await? {
                return Err(StoreError::AuthorizationEnded);
            }
        }
        let first = NewStep {
            previous_state: None,
            state: ConnectionState::Active,
            cause: StateChangeCause::Test,
            reason: None,
        };
        history::write(conn, site, id, now, &first).await?;
        let entry = activity::write(conn, site, now, &stored.activity(&activity)).await?;
        let created = EventBody::Connection {
            connection: id,
            connector_slug: stored.connector_slug.clone(),
            change: ConnectionChange::Created,
            previous_state: None,
            state: Some(ConnectionState::Active),
            cause: StateChangeCause::Test,
            reason: None,
        };
        stream::append(conn, db, site, now, &[created, EventBody::ActivityLogged { entry: entry.id }]).await?;
        Connection::try_from(stored)
    })
}

/// Writes the scopes of a connection that has none yet, a row each.
pub(super) async fn write_scopes(conn: &mut Conn, site: SiteId, id: ConnectionId, scopes: &[String]) -> Result<()> {
    if scopes.is_empty() {
        return Ok(());
    }
    let rows = scopes.iter().map(|scope| serde_json::json!({ "scope": scope })).collect();
    let insert = Statement::new("INSERT INTO connection_scopes (connection_id, site_id, scope) SELECT ")
        .integer(id.0)
        .sql(", ")
        .integer(site.get())
        .sql(", scope FROM ")
        .rows("granted", &[("scope", "text")], &serde_json::Value::Array(rows));
    both!(conn, insert.execute(conn).await)?;
    Ok(())
}
