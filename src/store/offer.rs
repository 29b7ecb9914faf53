//! Signing secrets that were shown once and wait to be registered with the vendor.

use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods as _, Insertable, OptionalExtension as _, QueryDsl as _, Queryable, Selectable,
    SelectableHelper as _,
};
use diesel_async::RunQueryDsl;

use super::{
    database::{Conn, Db},
    error::Result,
    moment::At,
    rows::storable_or_none,
    schema::offers,
    transaction::both,
};
use crate::domain::id::{OfferId, OperatorId, SiteId};

/// What is to be kept while an operator registers a signing secret.
#[derive(Clone)]
pub struct NewOffer {
    /// Names the offer to its operator.
    pub token: String,
    pub operator: OperatorId,
    pub connector_slug: String,
    pub display_name: Option<String>,
    pub key_version: i32,
    /// The secret and the fields that were given with it.
    pub sealed: Vec<u8>,
    pub expires_at: DateTime<Utc>,
}

/// A signing secret on offer.
#[derive(Clone)]
pub struct Offer {
    pub id: OfferId,
    pub token: String,
    pub operator: OperatorId,
    pub connector_slug: String,
    pub display_name: Option<String>,
    pub key_version: i32,
    pub sealed: Vec<u8>,
    pub expires_at: DateTime<Utc>,
}

#[derive(Insertable)]
#[diesel(table_name = offers)]
struct NewRow {
    site_id: i64,
    token: String,
    operator_id: i64,
    connector_slug: String,
    display_name: Option<String>,
    key_version: i32,
    sealed: Vec<u8>,
    created_at: At,
    expires_at: At,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = offers)]
struct Row {
    id: i64,
    token: String,
    operator_id: i64,
    connector_slug: String,
    display_name: Option<String>,
    key_version: i32,
    sealed: Vec<u8>,
    expires_at: At,
}

impl From<Row> for Offer {
    fn from(row: Row) -> Self {
        Self {
            id: OfferId(row.id),
            token: row.token,
            operator: OperatorId(row.operator_id),
            connector_slug: row.connector_slug,
            display_name: row.display_name,
            key_version: row.key_version,
            sealed: row.sealed,
            expires_at: row.expires_at.0,
        }
    }
}

/// Keeps an offer.
pub async fn insert(db: &Db, site: SiteId, now: DateTime<Utc>, offer: NewOffer) -> Result<OfferId> {
    let new = NewRow {
        site_id: site.get(),
        token: offer.token,
        operator_id: offer.operator.0,
        connector_slug: offer.connector_slug,
        display_name: storable_or_none(offer.display_name.as_deref()),
        key_version: offer.key_version,
        sealed: offer.sealed,
        created_at: At(now),
        expires_at: At(offer.expires_at),
    };
    let conn = &mut db.writer().await?;
    let id: i64 =
        both!(conn, diesel::insert_into(offers::table).values(new).returning(offers::id).get_result(conn).await)?;
    Ok(OfferId(id))
}

/// The operator's own offer of this name, unless it has run out.
pub async fn find(
    db: &Db,
    site: SiteId,
    operator: OperatorId,
    token: &str,
    now: DateTime<Utc>,
) -> Result<Option<Offer>> {
    let conn = &mut db.reader().await?;
    let row: Option<Row> = both!(
        conn,
        offers::table
            .filter(offers::site_id.eq(site.get()))
            .filter(offers::token.eq(token))
            .filter(offers::operator_id.eq(operator.0))
            .filter(offers::expires_at.gt(At(now)))
            .select(Row::as_select())
            .get_result(conn)
            .await
            .optional()
    )?;
    Ok(row.map(Offer::from))
}

/// Uses an offer up; false where it is not there any more.
pub(super) async fn consume(conn: &mut Conn, site: SiteId, operator: OperatorId, token: &str) -> Result<bool> {
    let gone = both!(
        conn,
        diesel::delete(
            offers::table
                .filter(offers::site_id.eq(site.get()))
                .filter(offers::token.eq(token))
                .filter(offers::operator_id.eq(operator.0))
        )
        .execute(conn)
        .await
    )?;
    Ok(gone == 1)
}

/// Removes the offers of all sites that have run out; says how many.
pub async fn purge_expired(db: &Db, now: DateTime<Utc>) -> Result<u64> {
    let conn = &mut db.writer().await?;
    let gone = both!(conn, diesel::delete(offers::table.filter(offers::expires_at.le(At(now)))).execute(conn).await)?;
    Ok(gone as u64)
}
