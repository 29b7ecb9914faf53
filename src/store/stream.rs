//! A site's stream of events: numbered without gaps, in commit order.
//!
//! The site's counter is one row. Every transaction that has events to tell bumps it last, by as many
//! as it has, and holds the row's lock until it commits: so numbers come in commit order, and one
//! that is rolled back leaves no gap.

use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, Queryable, Selectable, SelectableHelper as _,
};
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};

use super::{
    database::{Conn, Db},
    error::{Result, StoreError},
    fragment::{Condition, Limited, Statement},
    moment::At,
    rows::{Number, word, word_or_none},
    schema::{stream_counters, stream_events},
    transaction::{both, rows},
};
use crate::domain::{
    connection::{ConnectionChange, ConnectionState, StateChangeCause},
    event::{EventBody, StreamEvent},
    id::{ActivityId, ConnectionId, EntryId, SiteId},
};

const CONNECTION: &str = "connection";
const DELIVERY_LOGGED: &str = "delivery_logged";
const ACTIVITY_LOGGED: &str = "activity_logged";
const ROLES_CHANGED: &str = "roles_changed";

/// The number of the site's newest event; 0 where there is none yet.
pub async fn position(db: &Db, site: SiteId) -> Result<i64> {
    let conn = &mut db.reader().await?;
    let number: Option<i64> = both!(
        conn,
        stream_counters::table.find(site.get()).select(stream_counters::number).get_result(conn).await.optional()
    )?;
    Ok(number.unwrap_or(0))
}

/// The number of the newest event of each of these sites; a site without events is left out.
pub async fn positions(db: &Db, sites: &[SiteId]) -> Result<Vec<(SiteId, i64)>> {
    let wanted =
        Condition::new("").any_integer("stream_counters.site_id", sites.iter().map(|site| site.get()).collect());
    let conn = &mut db.reader().await?;
    let rows: Vec<(i64, i64)> =
        rows!(conn, stream_counters::table.filter(wanted).select((stream_counters::site_id, stream_counters::number)))?;
    // Only numbers that the caller handed in come back, so no site is made here that it did not know.
    Ok(sites
        .iter()
        .filter_map(|site| rows.iter().find(|(id, _)| *id == site.get()).map(|(_, number)| (*site, *number)))
        .collect())
}

/// The site's events after `number`, in order, at most `limit`.
pub async fn list_after(db: &Db, site: SiteId, number: i64, limit: u32) -> Result<Vec<StreamEvent>> {
    let conn = &mut db.reader().await?;
    let rows: Vec<EventRow> = rows!(
        conn,
        Limited {
            query: stream_events::table
                .filter(stream_events::site_id.eq(site.get()))
                .filter(stream_events::number.gt(number))
                .order(stream_events::number.asc())
                .select(EventRow::as_select()),
            limit,
        }
    )?;
    rows.into_iter().map(StreamEvent::try_from).collect()
}

/// Appends events to the site's stream; the last thing that a transaction does.
pub(super) async fn append(
    conn: &mut Conn,
    db: &Db,
    site: SiteId,
    now: DateTime<Utc>,
    events: &[EventBody],
) -> Result<()> {
    let Ok(count @ 1..) = i64::try_from(events.len()) else { return Ok(()) };
    let rows =
        Value::Array((1..).zip(events).map(|(place, body)| event_json(place, db.random_number(), body)).collect());
    match conn {
        Conn::Sqlite(conn) => {
            let bumped: Number = bump(site, count).get_result(conn).await?;
            let insert =
                Statement::new(INSERT).sql("SELECT ").integer(site.get()).sql(", ").integer(bumped.number - count);
            insert
                .sql(" + place, check_mark, ")
                .moment(now)
                .sql(REST)
                .rows("event", &COLUMNS, &rows)
                .execute(conn)
                .await?;
        }
        Conn::Postgres(conn) => {
            let insert = Statement::new("WITH bumped AS (").append(bump(site, count)).sql(") ").sql(INSERT);
            let insert = insert.sql("SELECT ").integer(site.get()).sql(", bumped.number - ").integer(count);
            let insert = insert.sql(" + place, check_mark, ").moment(now).sql(REST).sql("bumped, ");
            insert.rows("event", &COLUMNS, &rows).execute(conn).await?;
        }
    }
    Ok(())
}

fn bump(site: SiteId, count: i64) -> Statement {
    Statement::new("INSERT INTO stream_counters (site_id, number) VALUES (")
        .integer(site.get())
        .sql(", ")
        .integer(count)
        .sql(
            ") ON CONFLICT (site_id) DO UPDATE SET number = stream_counters.number + excluded.number \
             RETURNING number",
        )
}

const INSERT: &str = "INSERT INTO stream_events (site_id, number, check_mark, occurred_at, kind, connection_id, \
                      connector_slug, change, previous_state, state, cause, reason, entry_id) ";
const REST: &str =
    ", kind, connection_id, connector_slug, change, previous_state, state, cause, reason, entry_id FROM ";
const COLUMNS: [(&str, &str); 11] = [
    ("place", "bigint"),
    ("check_mark", "bigint"),
    ("kind", "text"),
    ("connection_id", "bigint"),
    ("connector_slug", "text"),
    ("change", "text"),
    ("previous_state", "text"),
    ("state", "text"),
    ("cause", "text"),
    ("reason", "text"),
    ("entry_id", "bigint"),
];

fn event_json(place: i64, check_mark: i64, body: &EventBody) -> Value {
    match body {
        EventBody::Connection { connection, connector_slug, change, previous_state, state, cause, reason } => json!({
            "place": place,
            "check_mark": check_mark,
            "kind": CONNECTION,
            "connection_id": connection.0,
            "connector_slug": connector_slug,
            "change": change.as_str(),
            "previous_state": previous_state.map(ConnectionState::as_str),
            "state": state.map(ConnectionState::as_str),
            "cause": cause.as_str(),
            "reason": reason,
        }),
        EventBody::DeliveryLogged { entry } => {
            json!({ "place": place, "check_mark": check_mark, "kind": DELIVERY_LOGGED, "entry_id": entry.0 })
        }
        EventBody::ActivityLogged { entry } => {
            json!({ "place": place, "check_mark": check_mark, "kind": ACTIVITY_LOGGED, "entry_id": entry.0 })
        }
        EventBody::RolesChanged => json!({ "place": place, "check_mark": check_mark, "kind": ROLES_CHANGED }),
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = stream_events)]
struct EventRow {
    number: i64,
    check_mark: i64,
    occurred_at: At,
    kind: String,
    connection_id: Option<i64>,
    connector_slug: Option<String>,
    change: Option<String>,
    previous_state: Option<String>,
    state: Option<String>,
    cause: Option<String>,
    reason: Option<String>,
    entry_id: Option<i64>,
}

impl TryFrom<EventRow> for StreamEvent {
    type Error = StoreError;

    fn try_from(row: EventRow) -> Result<Self> {
        let missing = || StoreError::Corrupt(format!("event {} lacks a part of its kind", row.number));
        let body = match row.kind.as_str() {
            CONNECTION => EventBody::Connection {
                connection: row.connection_id.map(ConnectionId).ok_or_else(missing)?,
                connector_slug: row.connector_slug.clone().ok_or_else(missing)?,
                change: word(row.change.as_deref().unwrap_or_default(), ConnectionChange::parse)?,
                previous_state: word_or_none(row.previous_state.as_deref(), ConnectionState::parse)?,
                state: word_or_none(row.state.as_deref(), ConnectionState::parse)?,
                cause: word(row.cause.as_deref().unwrap_or_default(), StateChangeCause::parse)?,
                reason: row.reason.clone(),
            },
            DELIVERY_LOGGED => EventBody::DeliveryLogged { entry: row.entry_id.map(EntryId).ok_or_else(missing)? },
            ACTIVITY_LOGGED => EventBody::ActivityLogged { entry: row.entry_id.map(ActivityId).ok_or_else(missing)? },
            ROLES_CHANGED => EventBody::RolesChanged,
            other => return Err(StoreError::Corrupt(format!("`{other}` is no kind of event"))),
        };
        Ok(Self { number: row.number, check: row.check_mark, occurred_at: row.occurred_at.0, body })
    }
}
