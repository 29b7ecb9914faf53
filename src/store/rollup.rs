//! Attempts by the hour: what statistics and usage are read from, kept by every settlement.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Text},
};
use diesel_async::RunQueryDsl;

use super::{
    database::{Conn, Db},
    error::Result,
    fragment::Statement,
    moment::{At, Moment},
    rows::{count, word},
    transaction::{both, rows},
};
use crate::domain::{
    delivery::DeliveryOutcome,
    id::{ConnectionId, SiteId},
    statistics::{Cell, ModuleUsage, NO_LATENCY, Span, class_of, hour_of},
};

const INSERT: &str = "INSERT INTO delivery_rollups AS known (site_id, connection_id, hour, module, outcome, latency, \
                      entries, events, last_event_at) ";

/// Adds to what is there of the same hour.
fn adding(insert: Statement) -> Statement {
    insert
        .sql(
            " ON CONFLICT (connection_id, hour, module, outcome, latency) DO UPDATE SET \
             entries = known.entries + excluded.entries, events = known.events + excluded.events, last_event_at = ",
        )
        .each("max", "greatest")
        .sql("(known.last_event_at, excluded.last_event_at)")
}

/// One attempt.
pub(super) struct NewAttempt<'a> {
    pub connection: i64,
    pub module: &'a str,
    /// Whether it is the first of its event.
    pub first: bool,
    pub accepted_at: At,
    pub outcome: DeliveryOutcome,
    pub latency_ms: Option<u32>,
    pub attempted_at: DateTime<Utc>,
}

/// Counts an attempt in a transaction that has locked its connection.
pub(super) async fn add(conn: &mut Conn, site: SiteId, attempt: NewAttempt<'_>) -> Result<()> {
    let insert = Statement::new(INSERT)
        .sql("VALUES (")
        .integer(site.get())
        .sql(", ")
        .integer(attempt.connection)
        .sql(", ")
        .integer(hour_of(attempt.attempted_at))
        .sql(", ")
        .text(attempt.module)
        .sql(", ")
        .text(attempt.outcome.as_str())
        .sql(", ")
        .integer(attempt.latency_ms.map_or(NO_LATENCY, class_of))
        .sql(", 1, ")
        .integer(attempt.first.into())
        .sql(", ")
        .moment(attempt.accepted_at.0)
        .sql(")");
    let insert = adding(insert);
    both!(conn, insert.execute(conn).await)?;
    Ok(())
}

/// Counts locked deliveries that end now without a call; before their rows say so.
pub(super) async fn add_ended(conn: &mut Conn, site: SiteId, now: DateTime<Utc>, ids: &[i64]) -> Result<()> {
    let insert = Statement::new(INSERT)
        .sql("SELECT site_id, connection_id, ")
        .integer(hour_of(now))
        .sql(", module, ")
        .text(DeliveryOutcome::Failed.as_str())
        .sql(", ")
        .integer(NO_LATENCY)
        .sql(
            ", count(*), sum(CASE WHEN attempts = 0 THEN 1 ELSE 0 END), max(accepted_at) FROM deliveries \
             WHERE site_id = ",
        )
        .integer(site.get())
        .sql(" AND ")
        .any_integer("id", ids.to_vec())
        // In the order in which all take their locks.
        .sql(" GROUP BY site_id, connection_id, module ORDER BY connection_id, module");
    let insert = adding(insert);
    both!(conn, insert.execute(conn).await)?;
    Ok(())
}

#[derive(QueryableByName)]
struct CellRow {
    #[diesel(sql_type = BigInt)]
    connection_id: i64,
    #[diesel(sql_type = BigInt)]
    part: i64,
    #[diesel(sql_type = Text)]
    outcome: String,
    #[diesel(sql_type = BigInt)]
    latency: i64,
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// The attempts of these connections in these hours.
pub async fn cells(db: &Db, site: SiteId, ids: &[ConnectionId], span: Span) -> Result<Vec<(ConnectionId, Cell)>> {
    let Span { from, hours, parts } = span;
    let query = Statement::new(format!(
        "SELECT connection_id, (hour - {from}) * {parts} / {hours} AS part, outcome, latency, \
         CAST(sum(entries) AS BIGINT) AS number FROM delivery_rollups WHERE site_id = "
    ))
    .integer(site.get())
    .sql(format!(" AND hour >= {from} AND hour < {} AND ", from + hours))
    .any_integer("connection_id", ids.iter().map(|id| id.0).collect())
    .sql(" GROUP BY 1, 2, 3, 4");
    let conn = &mut db.reader().await?;
    let found: Vec<CellRow> = rows!(conn, query)?;
    let cell = |row: CellRow| {
        let outcome = word(&row.outcome, DeliveryOutcome::parse)?;
        let cell = Cell { part: row.part, outcome, class: row.latency, attempts: count(row.number)? };
        Ok((ConnectionId(row.connection_id), cell))
    };
    found.into_iter().map(cell).collect()
}

#[derive(QueryableByName)]
struct UsageRow {
    #[diesel(sql_type = BigInt)]
    connection_id: i64,
    #[diesel(sql_type = Text)]
    module: String,
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = Moment)]
    last_event_at: At,
}

/// Which modules have sent events through these connections that were first attempted since this hour.
pub async fn usage(db: &Db, site: SiteId, ids: &[ConnectionId], from: i64) -> Result<Vec<(ConnectionId, ModuleUsage)>> {
    let query = Statement::new(
        "SELECT connection_id, module, CAST(sum(events) AS BIGINT) AS number, max(last_event_at) AS last_event_at \
         FROM delivery_rollups WHERE events > 0 AND site_id = ",
    )
    .integer(site.get())
    .sql(" AND hour >= ")
    .integer(from)
    .sql(" AND ")
    .any_integer("connection_id", ids.iter().map(|id| id.0).collect())
    .sql(" GROUP BY connection_id, module ORDER BY connection_id, module");
    let conn = &mut db.reader().await?;
    let found: Vec<UsageRow> = rows!(conn, query)?;
    let usage = |row: UsageRow| {
        let usage = ModuleUsage { module: row.module, events: count(row.number)?, last_event_at: row.last_event_at.0 };
        Ok((ConnectionId(row.connection_id), usage))
    };
    found.into_iter().map(usage).collect()
}

/// Removes what lies before this hour; says how many rows.
pub async fn purge(db: &Db, site: SiteId, before: i64, limit: u32) -> Result<u64> {
    let key = "connection_id, hour, module, outcome, latency";
    let gone = Statement::new(format!(
        "DELETE FROM delivery_rollups WHERE ({key}) IN (SELECT {key} FROM delivery_rollups WHERE site_id = "
    ))
    .integer(site.get())
    .sql(" AND hour < ")
    .integer(before)
    .sql(format!(" ORDER BY hour LIMIT {limit})"));
    let conn = &mut db.writer().await?;
    Ok(both!(conn, gone.execute(conn).await)? as u64)
}
