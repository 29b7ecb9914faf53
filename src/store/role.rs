//! A site's own roles, which override the built-in ones of the same name.

use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods as _, OptionalExtension as _, QueryDsl as _};
use diesel_async::RunQueryDsl;

use super::{
    activity::{self, NewActivity},
    database::{Conn, Db},
    error::Result,
    in_place,
    moment::At,
    rows::{folded, from_json, json, storable},
    schema::{roles, sites},
    stream,
    transaction::{both, locked, rows, transaction},
};
use crate::domain::{
    capability::{self, Capabilities, Capability},
    event::EventBody,
    id::SiteId,
};

/// How many roles of its own a site has at most.
pub const ROLES_MAX: usize = 100;

/// The site's own roles, by name.
pub async fn list(db: &Db, site: SiteId) -> Result<Vec<(String, Capabilities)>> {
    let conn = &mut db.reader().await?;
    in_place::brief(read(conn, site)).await
}

async fn read(conn: &mut Conn, site: SiteId) -> Result<Vec<(String, Capabilities)>> {
    let rows: Vec<(String, String)> = rows!(
        conn,
        roles::table
            .filter(roles::site_id.eq(site.get()))
            .order(roles::name_folded.asc())
            .select((roles::name, roles::capabilities))
    )?;
    rows.into_iter().map(|(name, stored)| Ok((name, capabilities(&stored)?))).collect()
}

/// Reads stored capabilities. One that this release does not know is left out: a newer release may have written it.
pub(super) fn capabilities(stored: &str) -> Result<Capabilities> {
    let words: Vec<String> = from_json(stored)?;
    let known: Vec<Capability> = words.iter().filter_map(|word| Capability::parse(word)).collect();
    Ok(Capabilities::of(&known))
}

/// How a change of a site's roles ended. But for `Changed`, everything is as it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoleChange {
    Changed,
    /// The site has no such role.
    Unknown,
    /// No operator could change roles any more.
    LastManager,
    /// The site has [`ROLES_MAX`] roles.
    TooMany,
}

/// Stores a role; names match without regard to case, and the newest spelling stays.
pub async fn save(
    db: &Db,
    site: SiteId,
    now: DateTime<Utc>,
    name: &str,
    capabilities: Capabilities,
    activity: NewActivity,
) -> Result<RoleChange> {
    let words = json(&capabilities.iter().map(Capability::as_str).collect::<Vec<_>>());
    let name = &storable(name);
    transaction!(db, conn => {
        let mut own = lock(conn, site).await?;
        own.retain(|(known, _)| folded(known) != folded(name));
        if own.len() >= ROLES_MAX {
            return Ok(RoleChange::TooMany);
        }
        own.push((name.clone(), capabilities));
        if !capability::can_be_managed(&capability::roles(&own)) {
            return Ok(RoleChange::LastManager);
        }
        both!(
            conn,
            diesel::insert_into(roles::table)
                .values((
                    roles::site_id.eq(site.get()),
                    roles::name_folded.eq(folded(name)),
                    roles::name.eq(name),
                    roles::capabilities.eq(&words),
                    roles::updated_at.eq(At(now)),
                ))
                .on_conflict((roles::site_id, roles::name_folded))
                .do_update()
                .set((roles::name.eq(name), roles::capabilities.eq(&words), roles::updated_at.eq(At(now))))
                .execute(conn)
                .await
        )?;
        changed(conn, db, site, now, &activity).await
    })
}

/// Removes one of the site's own roles.
pub async fn delete(
    db: &Db,
    site: SiteId,
    now: DateTime<Utc>,
    name: &str,
    activity: NewActivity,
) -> Result<RoleChange> {
    let name = folded(name);
    transaction!(db, conn => {
        let mut own = lock(conn, site).await?;
        let before = own.len();
        own.retain(|(known, _)| folded(known) != name);
        if own.len() == before {
            return Ok(RoleChange::Unknown);
        }
        if !capability::can_be_managed(&capability::roles(&own)) {
            return Ok(RoleChange::LastManager);
        }
        both!(
            conn,
            diesel::delete(roles::table.find((site.get(), &name))).execute(conn).await
        )?;
        changed(conn, db, site, now, &activity).await
    })
}

/// The site's own roles, which nobody else changes until the transaction ends.
async fn lock(conn: &mut Conn, site: SiteId) -> Result<Vec<(String, Capabilities)>> {
    let _: Option<i64> = locked!(conn, sites::table.find(site.get()).select(sites::site_id), for_update)?;
    read(conn, site).await
}

async fn changed(
    conn: &mut Conn,
    db: &Db,
    site: SiteId,
    now: DateTime<Utc>,
    activity: &NewActivity,
) -> Result<RoleChange> {
    let entry = activity::write(conn, site, now, activity).await?;
    stream::append(conn, db, site, now, &[EventBody::ActivityLogged { entry: entry.id }, EventBody::RolesChanged])
        .await?;
    Ok(RoleChange::Changed)
}
