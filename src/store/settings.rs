//! A site's settings.

use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, QueryableByName,
    sql_types::{Nullable, Text},
};
use diesel_async::RunQueryDsl;

use super::{
    activity::{self, NewActivity},
    database::{Conn, Db},
    error::Result,
    fragment::Statement,
    in_place,
    moment::At,
    role,
    rows::{from_json, json},
    schema::{site_settings, sites},
    stream,
    transaction::{both, locked, rows, transaction},
};
use crate::domain::{capability::Capabilities, event::EventBody, id::SiteId, settings::Settings};

/// The site's settings; the defaults where it has none of its own.
pub async fn find(db: &Db, site: SiteId) -> Result<Settings> {
    let conn = &mut db.reader().await?;
    read(conn, site).await
}

async fn read(conn: &mut Conn, site: SiteId) -> Result<Settings> {
    let stored: Option<String> = both!(
        conn,
        site_settings::table.find(site.get()).select(site_settings::settings).get_result(conn).await.optional()
    )?;
    stored.map_or_else(|| Ok(Settings::default()), |text| from_json(&text))
}

/// The site's settings, which nobody changes until the transaction ends.
pub(super) async fn lock(conn: &mut Conn, site: SiteId) -> Result<Settings> {
    let _: Option<i64> = locked!(conn, sites::table.find(site.get()).select(sites::site_id), for_share)?;
    read(conn, site).await
}

/// What a request goes by: the site's own roles, in no order, and its settings.
#[derive(Clone, Debug)]
pub struct Terms {
    pub roles: Vec<(String, Capabilities)>,
    pub settings: Settings,
}

#[derive(QueryableByName)]
struct Term {
    /// A role's; null for the settings.
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
    #[diesel(sql_type = Text)]
    value: String,
}

/// Reads the site's own roles and its settings, in one statement.
pub async fn terms(db: &Db, site: SiteId) -> Result<Terms> {
    let query = Statement::new("SELECT name, capabilities AS value FROM roles WHERE site_id = ")
        .integer(site.get())
        .sql(" UNION ALL SELECT NULL, settings FROM site_settings WHERE site_id = ")
        .integer(site.get());
    let conn = &mut db.reader().await?;
    let found: Vec<Term> = in_place::brief(async { rows!(conn, query) }).await?;
    let mut terms = Terms { roles: Vec::new(), settings: Settings::default() };
    for Term { name, value } in found {
        match name {
            Some(name) => terms.roles.push((name, role::capabilities(&value)?)),
            None => terms.settings = from_json(&value)?,
        }
    }
    Ok(terms)
}

/// What becomes of a site's settings.
pub struct Changed {
    pub settings: Settings,
    /// The connectors whose families are switched off by them; all others are on.
    pub switched_off: Vec<String>,
    pub activity: NewActivity,
}

/// Changes the site's settings to what `decide` makes of them; nothing is written where it gives nothing. Gives the
/// settings as they are then.
pub async fn change(
    db: &Db,
    site: SiteId,
    now: DateTime<Utc>,
    decide: impl Fn(&Settings) -> Option<Changed> + Send + Sync,
) -> Result<Settings> {
    transaction!(db, conn => {
        // Nobody else changes them until the transaction ends.
        let _: Option<i64> = locked!(conn, sites::table.find(site.get()).select(sites::site_id), for_update)?;
        let old = read(conn, site).await?;
        let Some(Changed { settings, switched_off, activity }) = decide(&old) else { return Ok(old) };
        store(conn, site, now, &settings).await?;
        switch(conn, site, now, &switched_off).await?;
        let entry = activity::write(conn, site, now, &activity).await?;
        stream::append(conn, db, site, now, &[EventBody::ActivityLogged { entry: entry.id }]).await?;
        Ok(settings)
    })
}

async fn store(conn: &mut Conn, site: SiteId, now: DateTime<Utc>, settings: &Settings) -> Result<()> {
    let text = json(settings);
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

/// Marks the site's connections by these connectors as switched off, and all others as on.
async fn switch(conn: &mut Conn, site: SiteId, now: DateTime<Utc>, off: &[String]) -> Result<()> {
    let update = Statement::new("UPDATE connections SET switched_off_at = CASE WHEN ")
        .any_text("connector_slug", off)
        .sql(" THEN ")
        .moment(now)
        .sql(" END WHERE site_id = ")
        .integer(site.get())
        .sql(" AND (")
        .any_text("connector_slug", off)
        .sql(") <> (switched_off_at IS NOT NULL)");
    both!(conn, update.execute(conn).await)?;
    Ok(())
}
