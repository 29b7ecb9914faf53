//! A site's settings.

use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods as _, OptionalExtension as _, QueryDsl as _};
use diesel_async::RunQueryDsl;

use super::{
    database::Db,
    error::Result,
    moment::At,
    rows::{from_json, json},
    schema::site_settings,
    transaction::both,
};
use crate::domain::{id::SiteId, settings::Settings};

/// The site's settings; the defaults where it has none of its own.
pub async fn find(db: &Db, site: SiteId) -> Result<Settings> {
    let conn = &mut db.reader().await?;
    let stored: Option<String> = both!(
        conn,
        site_settings::table.find(site.get()).select(site_settings::settings).get_result(conn).await.optional()
    )?;
    stored.map_or_else(|| Ok(Settings::default()), |text| from_json(&text))
}

/// Stores the site's settings.
pub async fn save(db: &Db, site: SiteId, now: DateTime<Utc>, settings: &Settings) -> Result<()> {
    let text = json(settings);
    let conn = &mut db.writer().await?;
    both!(
        conn,
        diesel::insert_into(site_settings::table)
            .values((
                site_settings::site_id.eq(site.get()),
                site_settings::settings.eq(&text),
                site_settings::updated_at.eq(At(now)),
            ))
            .on_conflict(site_settings::site_id)
            .do_update()
            .set((site_settings::settings.eq(&text), site_settings::updated_at.eq(At(now))))
            .execute(conn)
            .await
    )?;
    Ok(())
}
