//! Sites and their data keys, which come here wrapped.

use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods as _, Insertable, QueryDsl as _, Queryable, Selectable, SelectableHelper as _};
use diesel_async::RunQueryDsl;

use super::{
    database::Db,
    error::Result,
    moment::At,
    schema::{site_keys, sites, stream_counters},
    transaction::{both, transaction},
};
use crate::domain::id::SiteId;

/// One version of a site's data key, wrapped by a master key.
#[derive(Clone, Queryable, Selectable)]
#[diesel(table_name = site_keys)]
pub struct SiteKeyRow {
    pub version: i32,
    /// Which master key wraps it.
    pub master_key_id: String,
    pub wrapped: Vec<u8>,
    #[diesel(deserialize_as = At)]
    pub created_at: DateTime<Utc>,
    /// Up to which delivery payloads have been sealed anew with it; `None` once all are.
    pub payloads_done_to: Option<i64>,
}

#[derive(Insertable)]
#[diesel(table_name = site_keys)]
pub(super) struct NewKey<'a> {
    site_id: i64,
    version: i32,
    master_key_id: &'a str,
    wrapped: &'a [u8],
    created_at: At,
}

impl<'a> NewKey<'a> {
    pub(super) fn of(site: SiteId, key: &'a SiteKeyRow) -> Self {
        Self {
            site_id: site.get(),
            version: key.version,
            master_key_id: &key.master_key_id,
            wrapped: &key.wrapped,
            created_at: At(key.created_at),
        }
    }
}

/// Sites after `after`, in the order of their numbers. For the worker, which has every site's rows to look after.
pub async fn list(db: &Db, after: Option<SiteId>, limit: u32) -> Result<Vec<SiteId>> {
    let conn = &mut db.reader().await?;
    let rows: Vec<i64> = both!(
        conn,
        sites::table
            .filter(sites::site_id.gt(after.map_or(0, SiteId::get)))
            .order(sites::site_id.asc())
            .limit(i64::from(limit))
            .select(sites::site_id)
            .load(conn)
            .await
    )?;
    Ok(rows.into_iter().map(SiteId::from_claimed_row).collect())
}

/// The versions of the site's key, oldest first; none where the site is not known yet.
pub async fn keys(db: &Db, site: SiteId) -> Result<Vec<SiteKeyRow>> {
    let conn = &mut db.reader().await?;
    Ok(both!(
        conn,
        site_keys::table
            .filter(site_keys::site_id.eq(site.get()))
            .order(site_keys::version.asc())
            .select(SiteKeyRow::as_select())
            .load(conn)
            .await
    )?)
}

/// The master keys, of all sites, that keys are wrapped by. For the check at the start.
pub async fn master_key_ids(db: &Db) -> Result<Vec<String>> {
    let conn = &mut db.reader().await?;
    Ok(both!(conn, site_keys::table.select(site_keys::master_key_id).distinct().load(conn).await)?)
}

/// Makes a site with its first key and an empty stream. Where another came first, its key stays: read
/// [`keys`] afterwards.
pub async fn create(db: &Db, site: SiteId, now: DateTime<Utc>, key: SiteKeyRow) -> Result<()> {
    transaction!(db, conn => {
        both!(
            conn,
            diesel::insert_into(sites::table)
                .values((sites::site_id.eq(site.get()), sites::created_at.eq(At(now))))
                .on_conflict_do_nothing()
                .execute(conn)
                .await
        )?;
        both!(
            conn,
            diesel::insert_into(site_keys::table)
                .values(NewKey::of(site, &key))
                .on_conflict_do_nothing()
                .execute(conn)
                .await
        )?;
        both!(
            conn,
            diesel::insert_into(stream_counters::table)
                .values((stream_counters::site_id.eq(site.get()), stream_counters::number.eq(0)))
                .on_conflict_do_nothing()
                .execute(conn)
                .await
        )?;
        Ok(())
    })
}
