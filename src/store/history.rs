//! The steps of a connection's life. They go when the connection goes.

use chrono::{DateTime, Utc};
use diesel::{Insertable, QueryDsl as _, Queryable, Selectable, SelectableHelper as _};
use diesel_async::RunQueryDsl;

use super::{
    database::{Conn, Db},
    error::{Result, StoreError},
    fragment::{Condition, Limited},
    keyset::{self, Keyset},
    moment::At,
    rows::{word, word_or_none},
    schema::state_history,
    transaction::{both, rows},
};
use crate::domain::{
    connection::{ConnectionState, StateChangeCause, StateHistoryEntry},
    id::{ConnectionId, HistoryId, SiteId},
    page::{Page, PageRequest, Place, SortKey},
    query::{OrderDirection, Placed},
};

/// A step that is to be written.
#[derive(Clone, Debug)]
pub(super) struct NewStep {
    pub(super) previous_state: Option<ConnectionState>,
    pub(super) state: ConnectionState,
    pub(super) cause: StateChangeCause,
    pub(super) reason: Option<String>,
}

#[derive(Insertable)]
#[diesel(table_name = state_history)]
struct NewRow<'a> {
    site_id: i64,
    connection_id: i64,
    state: &'static str,
    previous_state: Option<&'static str>,
    cause: &'static str,
    reason: Option<&'a str>,
    occurred_at: At,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = state_history)]
struct Row {
    id: i64,
    connection_id: i64,
    state: String,
    previous_state: Option<String>,
    cause: String,
    reason: Option<String>,
    occurred_at: At,
}

impl TryFrom<Row> for StateHistoryEntry {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: HistoryId(row.id),
            connection: ConnectionId(row.connection_id),
            state: word(&row.state, ConnectionState::parse)?,
            previous_state: word_or_none(row.previous_state.as_deref(), ConnectionState::parse)?,
            cause: word(&row.cause, StateChangeCause::parse)?,
            reason: row.reason,
            occurred_at: row.occurred_at.0,
        })
    }
}

/// A page of a connection's steps, newest first. A place is told by the id alone.
pub async fn list(
    db: &Db,
    site: SiteId,
    connection: ConnectionId,
    request: &PageRequest<Place>,
) -> Result<Page<Placed<StateHistoryEntry>>> {
    let order = Keyset { key: None, id: "state_history.id", direction: OrderDirection::Desc };
    let of_connection = Condition::new("state_history.site_id = ")
        .integer(site.get())
        .and("state_history.connection_id = ")
        .integer(connection.0);
    let wanted = order.within(of_connection, request)?;
    let conn = &mut db.reader().await?;
    let rows: Vec<Row> = rows!(
        conn,
        Limited {
            query: state_history::table.filter(wanted).order(order.order(request.backwards)).select(Row::as_select()),
            limit: keyset::rows_to_read(request),
        }
    )?;
    keyset::page(rows, request, |row| {
        let place = Place { key: SortKey::Null, id: row.id };
        Ok(Placed { row: row.try_into()?, place })
    })
}

/// Writes a step in a transaction.
pub(super) async fn write(
    conn: &mut Conn,
    site: SiteId,
    connection: ConnectionId,
    now: DateTime<Utc>,
    step: &NewStep,
) -> Result<()> {
    both!(
        conn,
        diesel::insert_into(state_history::table)
            .values(NewRow {
                site_id: site.get(),
                connection_id: connection.0,
                state: step.state.as_str(),
                previous_state: step.previous_state.map(ConnectionState::as_str),
                cause: step.cause.as_str(),
                reason: step.reason.as_deref(),
                occurred_at: At(now),
            })
            .execute(conn)
            .await
    )?;
    Ok(())
}
