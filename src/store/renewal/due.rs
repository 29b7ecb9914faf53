//! Which renewals are due: asked vendor by vendor, so that a crowd of one vendor's stands in nobody else's way.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{BoolExpressionMethods as _, ExpressionMethods as _, QueryDsl as _, QueryableByName};
use diesel_async::RunQueryDsl;

use crate::{
    domain::id::{ConnectionId, SiteId},
    store::{
        database::Db,
        error::Result,
        fragment::Statement,
        moment::{At, Moment},
        rows::Number,
        schema::renewals,
        transaction::both,
    },
};

/// The shortest time from one renewal to one that is made ahead of its time.
const REST: TimeDelta = TimeDelta::minutes(1);

/// The renewals of one connector, of all sites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Front {
    pub connector_slug: String,
    /// When the first is due, or the lease of one will have run out.
    pub due_at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = diesel::sql_types::Text)]
    slug: String,
    #[diesel(sql_type = Moment)]
    due_at: At,
}

/// Each connector that has something to renew.
pub async fn fronts(db: &Db) -> Result<Vec<Front>> {
    let query = Statement::new(
        "WITH RECURSIVE slugs (slug) AS (\
         SELECT min(connector_slug) FROM renewals WHERE due_at IS NOT NULL UNION ALL \
         SELECT (SELECT min(r.connector_slug) FROM renewals AS r WHERE r.due_at IS NOT NULL AND r.connector_slug > slugs.slug) \
         FROM slugs WHERE slugs.slug IS NOT NULL) \
         SELECT slugs.slug AS slug, (SELECT r.due_at FROM renewals AS r WHERE r.connector_slug = slugs.slug \
         AND r.due_at IS NOT NULL ORDER BY r.due_at LIMIT 1) AS due_at FROM slugs WHERE slugs.slug IS NOT NULL",
    );
    let conn = &mut db.reader().await?;
    let rows: Vec<Row> = both!(conn, query.load(conn).await)?;
    Ok(rows.into_iter().map(|row| Front { connector_slug: row.slug, due_at: row.due_at.0 }).collect())
}

/// Connections of all sites whose renewal is due by `until` and in nobody's hands, the longest due first. Before its
/// time only what is well is renewed, and not what has just been.
pub async fn due(
    db: &Db,
    connector_slug: &str,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<(SiteId, ConnectionId)>> {
    let conn = &mut db.reader().await?;
    let well = renewals::failures
        .eq(0)
        .and(renewals::begun_at.is_null())
        .and(renewals::renewed_at.is_null().or(renewals::renewed_at.le(Some(At(now - REST)))));
    let rows: Vec<(i64, i64)> = both!(
        conn,
        renewals::table
            .filter(renewals::connector_slug.eq(connector_slug))
            .filter(renewals::due_at.le(Some(At(until))))
            .filter(renewals::lease_until.is_null().or(renewals::lease_until.le(Some(At(now)))))
            .filter(renewals::due_at.le(Some(At(now))).or(well))
            .order((renewals::due_at.asc(), renewals::connection_id.asc()))
            .limit(i64::from(limit))
            .select((renewals::site_id, renewals::connection_id))
            .load(conn)
            .await
    )?;
    Ok(rows.into_iter().map(|(site, id)| (SiteId::from_claimed_row(site), ConnectionId(id))).collect())
}

/// How many renewals of a connector are due by then, counted up to a bound.
pub async fn count(db: &Db, connector_slug: &str, until: DateTime<Utc>, bound: u32) -> Result<u32> {
    let query = Statement::new(
        "SELECT count(*) AS number FROM (SELECT 1 FROM renewals WHERE due_at IS NOT NULL AND connector_slug = ",
    )
    .text(connector_slug)
    .sql(" AND due_at <= ")
    .moment(until)
    .sql(" LIMIT ")
    .sql(bound.to_string())
    .sql(") AS crowd");
    let conn = &mut db.reader().await?;
    let found: Number = both!(conn, query.get_result(conn).await)?;
    Ok(u32::try_from(found.number).unwrap_or(bound))
}
