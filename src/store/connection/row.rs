//! A connection's row: what it is read into, locked as, and written back from.

use chrono::DateTime;
use diesel::{
    AsChangeset, ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, Queryable, Selectable,
    SelectableHelper as _,
};
use diesel_async::RunQueryDsl;

use crate::{
    domain::{
        connection::{Connection, ConnectionState},
        connector::AuthFlow,
        encoded::Encoded,
        id::{ConnectionId, OperatorId, SiteId},
    },
    store::{
        activity::{ConnectionRef, NewActivity},
        closing,
        database::Conn,
        error::{Result, StoreError},
        moment::At,
        rows::{from_json, test_from_json, word},
        schema::connections,
        transaction::{both, locked},
    },
};

/// A connection as it is read; its changing columns are written back by [`save`].
#[derive(Clone, Queryable, Selectable, AsChangeset)]
#[diesel(table_name = connections, treat_none_as_null = true)]
pub(in crate::store) struct ConnectionRow {
    #[diesel(skip_update)]
    pub(in crate::store) id: i64,
    #[diesel(skip_update)]
    pub(in crate::store) site_id: i64,
    #[diesel(skip_update)]
    pub(in crate::store) connector_slug: String,
    pub(in crate::store) display_name: String,
    pub(in crate::store) display_name_folded: String,
    pub(in crate::store) state: String,
    pub(in crate::store) state_reason: Option<String>,
    pub(in crate::store) state_changed_at: At,
    pub(in crate::store) probe: bool,
    #[diesel(skip_update)]
    pub(in crate::store) auth_flow: String,
    pub(in crate::store) vendor_account_id: Option<String>,
    pub(in crate::store) vendor_account_id_folded: Option<String>,
    pub(in crate::store) vendor_account_name: Option<String>,
    pub(in crate::store) vendor_account_name_folded: Option<String>,
    #[diesel(skip_update)]
    pub(in crate::store) scopes_granted: String,
    pub(in crate::store) configuration: String,
    pub(in crate::store) destination_label: Option<String>,
    pub(in crate::store) ordered_delivery: bool,
    #[diesel(skip_update)]
    pub(in crate::store) expires_at: Option<At>,
    pub(in crate::store) last_test: Option<String>,
    pub(in crate::store) last_delivery_at: Option<At>,
    /// Attempts in a row that failed in a way that speaks against the connection.
    pub(in crate::store) failed_in_row: i32,
    /// When the first of them was made.
    pub(in crate::store) failing_since: Option<At>,
    #[diesel(skip_update)]
    pub(in crate::store) operator_of_record: i64,
    #[diesel(skip_update)]
    pub(in crate::store) created_at: At,
    pub(in crate::store) updated_at: At,
    #[diesel(skip_update)]
    pub(in crate::store) switched_off_at: Option<At>,
    #[diesel(skip_update)]
    pub(in crate::store) refreshable: Option<bool>,
    /// Until when the vendor has asked for no event.
    pub(in crate::store) not_before: Option<At>,
}

/// The part of a connection's row that is shown: what readings read.
#[derive(Queryable, Selectable)]
#[diesel(table_name = connections)]
pub(in crate::store) struct ShownRow {
    pub(in crate::store) id: i64,
    pub(in crate::store) connector_slug: String,
    pub(in crate::store) display_name: String,
    pub(in crate::store) state: String,
    pub(in crate::store) state_reason: Option<String>,
    pub(in crate::store) state_changed_at: At,
    pub(in crate::store) auth_flow: String,
    pub(in crate::store) vendor_account_id: Option<String>,
    pub(in crate::store) vendor_account_name: Option<String>,
    pub(in crate::store) scopes_granted: String,
    pub(in crate::store) configuration: String,
    pub(in crate::store) destination_label: Option<String>,
    pub(in crate::store) ordered_delivery: bool,
    pub(in crate::store) expires_at: Option<At>,
    pub(in crate::store) last_test: Option<String>,
    pub(in crate::store) last_delivery_at: Option<At>,
    pub(in crate::store) operator_of_record: i64,
    pub(in crate::store) created_at: At,
    pub(in crate::store) updated_at: At,
    pub(in crate::store) refreshable: Option<bool>,
}

impl From<ConnectionRow> for ShownRow {
    fn from(row: ConnectionRow) -> Self {
        Self {
            id: row.id,
            connector_slug: row.connector_slug,
            display_name: row.display_name,
            state: row.state,
            state_reason: row.state_reason,
            state_changed_at: row.state_changed_at,
            auth_flow: row.auth_flow,
            vendor_account_id: row.vendor_account_id,
            vendor_account_name: row.vendor_account_name,
            scopes_granted: row.scopes_granted,
            configuration: row.configuration,
            destination_label: row.destination_label,
            ordered_delivery: row.ordered_delivery,
            expires_at: row.expires_at,
            last_test: row.last_test,
            last_delivery_at: row.last_delivery_at,
            operator_of_record: row.operator_of_record,
            created_at: row.created_at,
            updated_at: row.updated_at,
            refreshable: row.refreshable,
        }
    }
}

impl TryFrom<ConnectionRow> for Connection {
    type Error = StoreError;

    fn try_from(row: ConnectionRow) -> Result<Self> {
        ShownRow::from(row).try_into()
    }
}

impl TryFrom<ShownRow> for Connection {
    type Error = StoreError;

    fn try_from(row: ShownRow) -> Result<Self> {
        Ok(Self {
            id: ConnectionId(row.id),
            state: word(&row.state, ConnectionState::parse)?,
            connector_slug: row.connector_slug,
            display_name: row.display_name,
            state_reason: row.state_reason,
            state_changed_at: row.state_changed_at.0,
            auth_flow: word(&row.auth_flow, AuthFlow::parse)?,
            vendor_account_id: row.vendor_account_id,
            vendor_account_name: row.vendor_account_name,
            scopes_granted: from_json(&row.scopes_granted)?,
            configuration: Encoded::new(row.configuration, |text| from_json(text).ok()),
            destination_label: row.destination_label,
            ordered_delivery: row.ordered_delivery,
            expires_at: row.expires_at.map(DateTime::from),
            last_test: row.last_test.map(|text| Encoded::new(text, |text| test_from_json(text).ok())),
            last_delivery_at: row.last_delivery_at.map(DateTime::from),
            operator_of_record: OperatorId(row.operator_of_record),
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            refreshable: row.refreshable,
        })
    }
}

impl ConnectionRow {
    pub(in crate::store) fn id(&self) -> ConnectionId {
        ConnectionId(self.id)
    }

    pub(in crate::store) fn state(&self) -> Result<ConnectionState> {
        word(&self.state, ConnectionState::parse)
    }

    /// What is to be written to the activity log, with this connection where the caller named none.
    pub(in crate::store) fn activity(&self, activity: &NewActivity) -> NewActivity {
        let mut activity = activity.clone();
        activity.connection.get_or_insert_with(|| ConnectionRef {
            id: self.id(),
            name: self.display_name.clone(),
            slug: self.connector_slug.clone(),
        });
        activity
    }
}

/// Reads a connection for changing it: until the transaction ends nobody else changes it. `gone`: it is
/// about to be removed, so nobody may dispatch to it meanwhile either.
pub(in crate::store) async fn lock(
    conn: &mut Conn,
    site: SiteId,
    id: ConnectionId,
    gone: bool,
) -> Result<Option<ConnectionRow>> {
    Ok(if gone {
        locked!(conn, one(site, id).select(ConnectionRow::as_select()), for_update)?
    } else {
        locked!(conn, one(site, id).select(ConnectionRow::as_select()), for_no_key_update)?
    })
}

#[diesel::dsl::auto_type]
fn one(site: SiteId, id: ConnectionId) -> _ {
    let (id, site): (i64, i64) = (id.0, site.get());
    connections::table.filter(connections::id.eq(id)).filter(connections::site_id.eq(site))
}

/// Makes sure that a connection is there, is not being given up, and stays so until the transaction ends; gives its
/// state. Others may change it, but not remove it.
pub(in crate::store) async fn lock_for_dispatch(
    conn: &mut Conn,
    site: SiteId,
    id: ConnectionId,
) -> Result<Option<ConnectionState>> {
    let state: Option<String> = locked!(conn, one(site, id).select(connections::state), for_key_share)?;
    if closing::is_closing(conn, id).await? {
        return Ok(None);
    }
    state.map(|state| word(&state, ConnectionState::parse)).transpose()
}

/// Writes the changing columns back.
pub(in crate::store) async fn save(conn: &mut Conn, row: &ConnectionRow) -> Result<()> {
    both!(
        conn,
        diesel::update(connections::table)
            .filter(connections::id.eq(row.id))
            .filter(connections::site_id.eq(row.site_id))
            .set(row)
            .execute(conn)
            .await
    )?;
    Ok(())
}
