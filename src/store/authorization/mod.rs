//! Browser authorizations: begun by an operator, ended by the vendor's callback.
//!
//! The link that begins one and the callback that ends it come without a token, so both are found across sites, by the
//! hash of what only the browser and the vendor know.

mod end;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, Insertable, OptionalExtension as _, QueryDsl as _, Queryable,
    Selectable, SelectableHelper as _,
};
use diesel_async::RunQueryDsl;

use super::{
    database::Db,
    error::Result,
    moment::At,
    rows::{from_json, json, storable, storable_or_none, test_from_json, word},
    schema::authorizations,
    transaction::{both, transaction},
};
use crate::domain::{
    authorization::{Authorization, AuthorizationPurpose, AuthorizationStep},
    id::{AuthorizationId, ConnectionId, OperatorId, SiteId},
};

pub(super) use self::end::succeed;
pub use self::end::{
    Rejection, Replaced, cut_off, is_open, purge, reject, settle_replaced, take, take_replaced, with_replaced,
};

/// How long one that has ended, or was never ended, can still be looked at.
const KEPT: TimeDelta = TimeDelta::hours(24);
/// How many of one operator's can be: whoever begins them in a loop pushes the own old ones out.
const KEPT_MAX: i64 = 200;

/// What is to be kept while an operator is on the way.
#[derive(Clone)]
pub struct NewAuthorization {
    pub token: String,
    pub operator: OperatorId,
    pub operator_name: Option<String>,
    pub role: String,
    pub purpose: AuthorizationPurpose,
    pub step: AuthorizationStep,
    pub connector_slug: String,
    pub display_name: Option<String>,
    pub connection: Option<ConnectionId>,
    pub scopes_requested: Vec<String>,
    pub return_to: Option<String>,
    pub ticket_hash: String,
    pub ticket_until: DateTime<Utc>,
    pub state_hash: String,
    pub key_version: i32,
    pub sealed: Vec<u8>,
    pub expires_at: DateTime<Utc>,
}

/// An authorization with what is sealed of it.
#[derive(Clone)]
pub struct StoredAuthorization {
    pub site: SiteId,
    pub authorization: Authorization,
    pub browser_hash: Option<String>,
    pub sealed: Vec<u8>,
}

#[derive(Clone, Insertable)]
#[diesel(table_name = authorizations)]
struct NewRow {
    site_id: i64,
    token: String,
    operator_id: i64,
    operator_name: Option<String>,
    role: String,
    purpose: &'static str,
    status: &'static str,
    connector_slug: String,
    display_name: Option<String>,
    connection_id: Option<i64>,
    scopes_requested: String,
    return_to: Option<String>,
    ticket_hash: String,
    ticket_until: At,
    state_hash: String,
    key_version: i32,
    sealed: Vec<u8>,
    created_at: At,
    changed_at: At,
    expires_at: At,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = authorizations)]
struct Row {
    id: i64,
    site_id: i64,
    token: String,
    operator_id: i64,
    operator_name: Option<String>,
    role: String,
    purpose: String,
    status: String,
    connector_slug: String,
    display_name: Option<String>,
    connection_id: Option<i64>,
    scopes_requested: String,
    return_to: Option<String>,
    ticket_until: At,
    browser_hash: Option<String>,
    sealed: Vec<u8>,
    test: Option<String>,
    error: Option<String>,
    expires_at: At,
}

impl Row {
    fn read(self) -> Result<StoredAuthorization> {
        Ok(StoredAuthorization {
            site: SiteId::from_claimed_row(self.site_id),
            authorization: Authorization {
                id: AuthorizationId(self.id),
                token: self.token,
                operator: OperatorId(self.operator_id),
                operator_name: self.operator_name,
                role: self.role,
                purpose: word(&self.purpose, AuthorizationPurpose::parse)?,
                step: word(&self.status, AuthorizationStep::parse)?,
                connector_slug: self.connector_slug,
                display_name: self.display_name,
                connection: self.connection_id.map(ConnectionId),
                scopes_requested: from_json(&self.scopes_requested)?,
                return_to: self.return_to,
                ticket_until: self.ticket_until.0,
                started: self.browser_hash.is_some(),
                test: self.test.as_deref().map(test_from_json).transpose()?,
                error: self.error,
                expires_at: self.expires_at.0,
            },
            browser_hash: self.browser_hash,
            sealed: self.sealed,
        })
    }
}

/// Keeps an authorization that begins.
pub async fn insert(db: &Db, site: SiteId, now: DateTime<Utc>, new: NewAuthorization) -> Result<AuthorizationId> {
    let row = NewRow {
        site_id: site.get(),
        token: new.token,
        operator_id: new.operator.0,
        operator_name: storable_or_none(new.operator_name.as_deref()),
        role: storable(&new.role),
        purpose: new.purpose.as_str(),
        status: new.step.as_str(),
        connector_slug: new.connector_slug,
        display_name: storable_or_none(new.display_name.as_deref()),
        connection_id: new.connection.map(|id| id.0),
        scopes_requested: json(&new.scopes_requested),
        return_to: storable_or_none(new.return_to.as_deref()),
        ticket_hash: new.ticket_hash,
        ticket_until: At(new.ticket_until),
        state_hash: new.state_hash,
        key_version: new.key_version,
        sealed: new.sealed,
        created_at: At(now),
        changed_at: At(now),
        expires_at: At(new.expires_at),
    };
    transaction!(db, conn => {
        let own = authorizations::table
            .filter(authorizations::site_id.eq(site.get()))
            .filter(authorizations::operator_id.eq(new.operator.0));
        let query = own.order(authorizations::expires_at.desc()).offset(KEPT_MAX).limit(1);
        let beyond: Option<At> =
            both!(conn, query.select(authorizations::expires_at).get_result(conn).await.optional())?;
        if let Some(beyond) = beyond {
            let old = own.filter(authorizations::expires_at.le(beyond)).filter(
                authorizations::status
                    .eq_any([AuthorizationStep::Succeeded.as_str(), AuthorizationStep::Rejected.as_str()])
                    // But for what a vendor is still to be told of.
                    .and(authorizations::sealed.eq(Vec::<u8>::new()))
                    .or(authorizations::status
                        .eq(AuthorizationStep::Pending.as_str())
                        .and(authorizations::expires_at.le(At(now)))),
            );
            both!(conn, diesel::delete(old).execute(conn).await)?;
        }
        let insert = diesel::insert_into(authorizations::table).values(row.clone()).returning(authorizations::id);
        let id: i64 = both!(conn, insert.get_result(conn).await)?;
        Ok(AuthorizationId(id))
    })
}

/// How many of the operator's authorizations wait for their end.
pub async fn count_open(db: &Db, site: SiteId, operator: OperatorId, now: DateTime<Utc>) -> Result<i64> {
    let conn = &mut db.reader().await?;
    Ok(both!(
        conn,
        authorizations::table
            .filter(authorizations::site_id.eq(site.get()))
            .filter(authorizations::operator_id.eq(operator.0))
            .filter(
                authorizations::status
                    .eq_any([AuthorizationStep::Pending.as_str(), AuthorizationStep::Exchanging.as_str()]),
            )
            .filter(authorizations::expires_at.gt(At(now)))
            .count()
            .get_result(conn)
            .await
    )?)
}

#[diesel::dsl::auto_type]
fn one(site: SiteId, id: AuthorizationId) -> _ {
    let (id, site): (i64, i64) = (id.0, site.get());
    authorizations::table.filter(authorizations::id.eq(id)).filter(authorizations::site_id.eq(site))
}

/// The operator's own authorization of this name.
pub async fn find(db: &Db, site: SiteId, operator: OperatorId, token: &str) -> Result<Option<StoredAuthorization>> {
    let conn = &mut db.reader().await?;
    let row: Option<Row> = both!(
        conn,
        authorizations::table
            .filter(authorizations::site_id.eq(site.get()))
            .filter(authorizations::token.eq(token))
            .filter(authorizations::operator_id.eq(operator.0))
            .select(Row::as_select())
            .get_result(conn)
            .await
            .optional()
    )?;
    row.map(Row::read).transpose()
}

/// The authorization that a link begins.
pub async fn find_by_ticket(db: &Db, hash: &str) -> Result<Option<StoredAuthorization>> {
    let conn = &mut db.reader().await?;
    let row: Option<Row> = both!(
        conn,
        authorizations::table
            .filter(authorizations::ticket_hash.eq(hash))
            .select(Row::as_select())
            .get_result(conn)
            .await
            .optional()
    )?;
    row.map(Row::read).transpose()
}

/// The authorization that a callback ends.
pub async fn find_by_state(db: &Db, hash: &str) -> Result<Option<StoredAuthorization>> {
    let conn = &mut db.reader().await?;
    let row: Option<Row> = both!(
        conn,
        authorizations::table
            .filter(authorizations::state_hash.eq(hash))
            .select(Row::as_select())
            .get_result(conn)
            .await
            .optional()
    )?;
    row.map(Row::read).transpose()
}

/// Binds an authorization to the browser that has opened its link; false where another has, or it is too late.
pub async fn bind(db: &Db, site: SiteId, id: AuthorizationId, browser_hash: &str, now: DateTime<Utc>) -> Result<bool> {
    let conn = &mut db.writer().await?;
    let bound = both!(
        conn,
        diesel::update(one(site, id))
            .filter(authorizations::status.eq(AuthorizationStep::Pending.as_str()))
            .filter(authorizations::browser_hash.is_null())
            .filter(authorizations::ticket_until.gt(At(now)))
            .set((authorizations::browser_hash.eq(browser_hash), authorizations::changed_at.eq(At(now))))
            .execute(conn)
            .await
    )?;
    Ok(bound == 1)
}
