//! A site's own roles, which override the built-in ones of the same name.

use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::RunQueryDsl;

use super::{
    database::Db,
    error::Result,
    in_place,
    moment::At,
    rows::{folded, from_json, json, storable},
    schema::roles,
    transaction::{both, rows},
};
use crate::domain::{
    capability::{Capabilities, Capability},
    id::SiteId,
};

/// The site's own roles, by name.
///
/// A capability that this release does not know is left out: a newer release may have written it.
pub async fn list(db: &Db, site: SiteId) -> Result<Vec<(String, Capabilities)>> {
    let conn = &mut db.reader().await?;
    let read = async {
        rows!(
            conn,
            roles::table
                .filter(roles::site_id.eq(site.get()))
                .order(roles::name_folded.asc())
                .select((roles::name, roles::capabilities))
        )
    };
    let rows: Vec<(String, String)> = in_place::brief(read).await?;
    rows.into_iter()
        .map(|(name, capabilities)| {
            let words: Vec<String> = from_json(&capabilities)?;
            let known: Vec<Capability> = words.iter().filter_map(|word| Capability::parse(word)).collect();
            Ok((name, Capabilities::of(&known)))
        })
        .collect()
}

/// Stores a role; names match without regard to case, and the newest spelling stays.
pub async fn save(db: &Db, site: SiteId, now: DateTime<Utc>, name: &str, capabilities: Capabilities) -> Result<()> {
    let words = json(&capabilities.iter().map(Capability::as_str).collect::<Vec<_>>());
    let name = &storable(name);
    let conn = &mut db.writer().await?;
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
    Ok(())
}
