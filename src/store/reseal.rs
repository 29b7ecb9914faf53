//! Keys that take each other's place: a site's new one, and what older ones still seal, found and replaced batch by
//! batch; and the wrapping of sites' keys by another master key.

use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, QueryableByName,
    SelectableHelper as _,
    sql_types::{BigInt, Binary, Text},
};
use diesel_async::RunQueryDsl;

use super::{
    activity::{self, NewActivity},
    database::{Conn, Db},
    error::Result,
    fragment::Statement,
    rows::{Number, count},
    schema::{authorizations, credentials, deliveries, offers, site_keys, sites},
    site::{NewKey, SiteKeyRow},
    stream,
    transaction::{both, locked, transaction},
};
use crate::domain::{
    event::EventBody,
    id::{ConnectionId, SiteId},
};

/// The most payloads that are counted.
const COUNTED: u32 = 10_000;
/// How many numbers of deliveries are looked at in one statement.
const WINDOW: i64 = 2_000;

/// Where a sealed value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealedAt {
    Credential { connection: ConnectionId, name: String },
    Offer { token: String },
    Authorization { token: String },
}

/// A value that an older version of the site's key seals.
#[derive(Clone)]
pub struct OldSeal {
    pub at: SealedAt,
    pub blob: Vec<u8>,
}

/// The same value, sealed anew.
pub struct NewSeal {
    pub old: OldSeal,
    pub key_version: i32,
    pub blob: Vec<u8>,
}

/// The payload of a delivery that an older version of the site's key seals.
#[derive(Clone)]
pub struct OldPayload {
    pub delivery: i64,
    pub message_id: String,
    pub blob: Vec<u8>,
}

/// Gives a site another key, which seals from now on; false where somebody else has given it one meanwhile.
pub async fn add_key(
    db: &Db,
    site: SiteId,
    now: DateTime<Utc>,
    key: &SiteKeyRow,
    activity: NewActivity,
) -> Result<bool> {
    transaction!(db, conn => {
        let _: Option<i64> =
            locked!(conn, sites::table.find(site.get()).select(sites::site_id), for_update)?;
        let newest: Option<i32> = both!(
            conn,
            site_keys::table
                .filter(site_keys::site_id.eq(site.get()))
                .select(diesel::dsl::max(site_keys::version))
                .get_result(conn)
                .await
        )?;
        if newest.is_none_or(|newest| newest + 1 != key.version) {
            return Ok(false);
        }
        both!(
            conn,
            diesel::insert_into(site_keys::table).values(NewKey::of(site, key)).execute(conn).await
        )?;
        let entry = activity::write(conn, site, now, &activity).await?;
        stream::append(conn, db, site, now, &[EventBody::ActivityLogged { entry: entry.id }]).await?;
        Ok(true)
    })
}

/// Sites that have more than one key. For the worker.
pub async fn sites_with_old_keys(db: &Db) -> Result<Vec<SiteId>> {
    let query =
        Statement::new("SELECT site_id AS number FROM site_keys GROUP BY site_id HAVING count(*) > 1 ORDER BY site_id");
    let conn = &mut db.reader().await?;
    let rows: Vec<Number> = both!(conn, query.load(conn).await)?;
    Ok(rows.into_iter().map(|row| SiteId::from_claimed_row(row.number)).collect())
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Binary)]
    sealed: Vec<u8>,
}

/// Parts of credentials, offers and authorizations of the site that older versions than `newest` seal, after `after` in
/// an order of their own; at most `limit`.
pub async fn old_seals(
    db: &Db,
    site: SiteId,
    newest: i32,
    after: Option<&SealedAt>,
    limit: u32,
) -> Result<Vec<OldSeal>> {
    let (mut found, mut left) = (Vec::new(), limit);
    let rank = |at: &SealedAt| match at {
        SealedAt::Credential { .. } => 0,
        SealedAt::Offer { .. } => 1,
        SealedAt::Authorization { .. } => 2,
    };
    let begun = after.map_or(0, rank);
    let conn = &mut db.reader().await?;
    for kind in begun..3 {
        let query = match (kind, after.filter(|at| rank(at) == kind)) {
            (0, after) => {
                let (id, name) = match after {
                    Some(SealedAt::Credential { connection, name }) => (connection.0, name.as_str()),
                    _ => (0, ""),
                };
                of("SELECT connection_id AS id, name, sealed FROM credentials", site, newest)
                    .sql(" AND (connection_id, name) > (")
                    .integer(id)
                    .sql(", ")
                    .text(name)
                    .sql(format!(") ORDER BY connection_id, name LIMIT {left}"))
            }
            (1, after) => by_token("SELECT id, token AS name, sealed FROM offers", site, newest, after, left),
            (_, after) => by_token("SELECT id, token AS name, sealed FROM authorizations", site, newest, after, left),
        };
        let rows: Vec<Row> = both!(conn, query.load(conn).await)?;
        left = left.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        found.extend(rows.into_iter().map(|Row { id, name, sealed }| OldSeal {
            at: match kind {
                0 => SealedAt::Credential { connection: ConnectionId(id), name },
                1 => SealedAt::Offer { token: name },
                _ => SealedAt::Authorization { token: name },
            },
            blob: sealed,
        }));
        if left == 0 {
            break;
        }
    }
    Ok(found)
}

fn of(select: &'static str, site: SiteId, newest: i32) -> Statement {
    Statement::new(select)
        .sql(" WHERE site_id = ")
        .integer(site.get())
        .sql(" AND key_version < ")
        .integer(newest.into())
        .each(" AND length(sealed) > 0", " AND octet_length(sealed) > 0")
}

fn by_token(select: &'static str, site: SiteId, newest: i32, after: Option<&SealedAt>, limit: u32) -> Statement {
    let token = match after {
        Some(SealedAt::Offer { token } | SealedAt::Authorization { token }) => token.as_str(),
        _ => "",
    };
    of(select, site, newest).sql(" AND token > ").text(token).sql(format!(" ORDER BY token LIMIT {limit}"))
}

/// Puts values that were sealed anew in the place of those that they were made of; one that is another by now stays.
pub async fn replace_seals(db: &Db, site: SiteId, anew: &[NewSeal]) -> Result<()> {
    transaction!(db, conn => {
        for seal in anew {
            replace(conn, site, seal).await?;
        }
        Ok(())
    })
}

async fn replace(conn: &mut Conn, site: SiteId, seal: &NewSeal) -> Result<()> {
    macro_rules! put {
        ($table:ident, $conn:ident, $($which:expr),+) => {
            both!(
                $conn,
                diesel::update($table::table)
                    $(.filter($which))+
                    .filter($table::site_id.eq(site.get()))
                    .filter($table::sealed.eq(&seal.old.blob))
                    .set(($table::sealed.eq(&seal.blob), $table::key_version.eq(seal.key_version)))
                    .execute($conn)
                    .await
            )?
        };
    }
    match &seal.old.at {
        SealedAt::Credential { connection, name } => {
            put!(credentials, conn, credentials::connection_id.eq(connection.0), credentials::name.eq(name))
        }
        SealedAt::Offer { token } => put!(offers, conn, offers::token.eq(token)),
        SealedAt::Authorization { token } => put!(authorizations, conn, authorizations::token.eq(token)),
    };
    Ok(())
}

/// Payloads that another version than `newest` seals, of the site's deliveries after the number `after`; at most `limit`.
/// With them the number up to which all are found; `None` at the end.
pub async fn old_payloads(
    db: &Db,
    site: SiteId,
    newest: i32,
    after: i64,
    limit: u32,
) -> Result<(Vec<OldPayload>, Option<i64>)> {
    let conn = &mut db.reader().await?;
    let next = Statement::new("SELECT coalesce(min(id), 0) AS number FROM deliveries WHERE id > ").integer(after);
    let next: Number = both!(conn, next.get_result(conn).await)?;
    if next.number == 0 {
        return Ok((Vec::new(), None));
    }
    let end = next.number + WINDOW;
    let query = Statement::new("SELECT id, message_id AS name, payload AS sealed FROM deliveries WHERE id >= ")
        .integer(next.number)
        .sql(" AND id < ")
        .integer(end)
        .append(of_site(site))
        .append(sealed_by_another(newest))
        .sql(format!(" ORDER BY id LIMIT {limit}"));
    let rows: Vec<Row> = both!(conn, query.load(conn).await)?;
    let full = rows.len() == limit as usize;
    let to = rows.last().filter(|_| full).map_or(end - 1, |row| row.id);
    let found = rows.into_iter().map(|row| OldPayload { delivery: row.id, message_id: row.name, blob: row.sealed });
    Ok((found.collect(), Some(to)))
}

/// So said, SQLite goes by the numbers of the rows, and not by the site's whole index.
fn of_site(site: SiteId) -> Statement {
    Statement::new(" AND ").each("+site_id", "site_id").sql(" = ").integer(site.get())
}

/// The version stands in the four bytes behind the first one of a payload.
fn sealed_by_another(newest: i32) -> Statement {
    Statement::new(" AND payload IS NOT NULL AND ")
        .each("hex(substr(payload, 2, 4))", "upper(encode(substr(payload, 2, 4), 'hex'))")
        .sql(" <> ")
        .text(&format!("{newest:08X}"))
}

/// Puts payloads that were sealed anew in the place of those that they were made of, and notes for the newest key how
/// far this has come.
pub async fn replace_payloads(
    db: &Db,
    site: SiteId,
    newest: i32,
    anew: &[(OldPayload, Vec<u8>)],
    done_to: Option<i64>,
) -> Result<()> {
    transaction!(db, conn => {
        for (old, blob) in anew {
            both!(
                conn,
                diesel::update(deliveries::table)
                    .filter(deliveries::id.eq(old.delivery))
                    .filter(deliveries::site_id.eq(site.get()))
                    .filter(deliveries::payload.eq(Some(&old.blob)))
                    .set(deliveries::payload.eq(Some(blob)))
                    .execute(conn)
                    .await
            )?;
        }
        both!(
            conn,
            diesel::update(site_keys::table.find((site.get(), newest)))
                .set(site_keys::payloads_done_to.eq(done_to))
                .execute(conn)
                .await
        )?;
        Ok(())
    })
}

/// How many values older versions than `newest` seal; payloads after the delivery `after` (`None`: no payload), and of
/// those at most 10,000.
pub async fn count_old(db: &Db, site: SiteId, newest: i32, after: Option<i64>) -> Result<u64> {
    let counted = |select| of(select, site, newest);
    let mut query = Statement::new("SELECT (")
        .append(counted("SELECT count(*) FROM credentials"))
        .sql(") + (")
        .append(counted("SELECT count(*) FROM offers"))
        .sql(") + (")
        .append(counted("SELECT count(*) FROM authorizations"))
        .sql(")");
    if let Some(after) = after {
        query = query
            .sql(" + (SELECT count(*) FROM (SELECT 1 AS one FROM deliveries WHERE id > ")
            .integer(after)
            .append(of_site(site))
            .append(sealed_by_another(newest))
            .sql(format!(" LIMIT {COUNTED}) AS payloads)"));
    }
    let conn = &mut db.reader().await?;
    let found: Number = both!(conn, query.sql(" AS number").get_result(conn).await)?;
    count(found.number)
}

/// Removes a site's keys older than `newest`: nothing is sealed with them any more.
pub async fn drop_old_keys(db: &Db, site: SiteId, newest: i32) -> Result<()> {
    let conn = &mut db.writer().await?;
    both!(
        conn,
        diesel::delete(site_keys::table)
            .filter(site_keys::site_id.eq(site.get()))
            .filter(site_keys::version.lt(newest))
            .execute(conn)
            .await
    )?;
    Ok(())
}

/// Keys of sites in the order of sites and versions, after one; at most `limit`. For the rewrapping at the start.
pub async fn all_keys(db: &Db, after: (i64, i32), limit: u32) -> Result<Vec<(SiteId, SiteKeyRow)>> {
    let conn = &mut db.reader().await?;
    let wanted = site_keys::site_id.gt(after.0).or(site_keys::site_id.eq(after.0).and(site_keys::version.gt(after.1)));
    let rows: Vec<(i64, SiteKeyRow)> = both!(
        conn,
        site_keys::table
            .filter(wanted)
            .order((site_keys::site_id.asc(), site_keys::version.asc()))
            .limit(limit.into())
            .select((site_keys::site_id, SiteKeyRow::as_select()))
            .load(conn)
            .await
    )?;
    Ok(rows.into_iter().map(|(site, row)| (SiteId::from_claimed_row(site), row)).collect())
}

/// Stores a key of a site as another master key wraps it.
pub async fn rewrap(db: &Db, site: SiteId, version: i32, master_key_id: &str, wrapped: &[u8]) -> Result<()> {
    let conn = &mut db.writer().await?;
    both!(
        conn,
        diesel::update(site_keys::table.find((site.get(), version)))
            .set((site_keys::master_key_id.eq(master_key_id), site_keys::wrapped.eq(wrapped)))
            .execute(conn)
            .await
    )?;
    Ok(())
}
