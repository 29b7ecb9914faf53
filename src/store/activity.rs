//! The activity log: rows that are only ever added.

use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods as _, Insertable, OptionalExtension as _, QueryDsl as _, Queryable, Selectable,
    SelectableHelper as _,
};
use diesel_async::RunQueryDsl;

use super::{
    database::{Conn, Db},
    error::{Result, StoreError},
    fragment::{Condition, Limited},
    keyset::{self, Keyset},
    moment::At,
    rows::{storable_or_none, word},
    schema::activity_entries,
    stream,
    transaction::{both, rows, transaction},
};
use crate::domain::{
    activity::{ActivityAction, ActivityEntry, ActivityOutcome},
    event::EventBody,
    id::{ActivityId, ConnectionId, OperatorId, SiteId},
    page::{Page, PageRequest, Place, SortKey},
    principal::Actor,
    query::{ActivityFilter, OrderDirection, Placed},
};

/// A connection as its activity entries keep it when it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionRef {
    pub id: ConnectionId,
    pub name: String,
    pub slug: String,
}

/// What is to be written to the activity log.
#[derive(Clone, Debug)]
pub struct NewActivity {
    pub action: ActivityAction,
    /// `None` where the platform itself acts.
    pub actor: Option<Actor>,
    /// Filled in by the functions that know the connection anyway, where it is left out.
    pub connection: Option<ConnectionRef>,
    pub outcome: ActivityOutcome,
    pub detail: Option<String>,
}

#[derive(Insertable)]
#[diesel(table_name = activity_entries)]
struct NewRow {
    site_id: i64,
    action: &'static str,
    operator_id: Option<i64>,
    module: Option<String>,
    connection_id: Option<i64>,
    connection_name: Option<String>,
    connector_slug: Option<String>,
    outcome: &'static str,
    detail: Option<String>,
    occurred_at: At,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = activity_entries)]
struct Row {
    id: i64,
    action: String,
    operator_id: Option<i64>,
    module: Option<String>,
    connection_id: Option<i64>,
    connection_name: Option<String>,
    connector_slug: Option<String>,
    outcome: String,
    detail: Option<String>,
    occurred_at: At,
}

impl TryFrom<Row> for ActivityEntry {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: ActivityId(row.id),
            action: word(&row.action, ActivityAction::parse)?,
            operator: row.operator_id.map(OperatorId),
            module: row.module,
            connection: row.connection_id.map(ConnectionId),
            connection_name: row.connection_name,
            connector_slug: row.connector_slug,
            outcome: word(&row.outcome, ActivityOutcome::parse)?,
            detail: row.detail,
            occurred_at: row.occurred_at.0,
        })
    }
}

/// Writes an entry, and tells the site's stream.
pub async fn insert(db: &Db, site: SiteId, now: DateTime<Utc>, activity: NewActivity) -> Result<ActivityEntry> {
    transaction!(db, conn => {
        let entry = write(conn, site, now, &activity).await?;
        stream::append(conn, db, site, now, &[EventBody::ActivityLogged { entry: entry.id }]).await?;
        Ok(entry)
    })
}

/// Writes an entry in a transaction; its event is the caller's to append.
pub(super) async fn write(
    conn: &mut Conn,
    site: SiteId,
    now: DateTime<Utc>,
    activity: &NewActivity,
) -> Result<ActivityEntry> {
    let new = NewRow {
        site_id: site.get(),
        action: activity.action.as_str(),
        operator_id: activity.actor.as_ref().and_then(Actor::operator_id).map(|id| id.0),
        module: storable_or_none(activity.actor.as_ref().and_then(Actor::module)),
        connection_id: activity.connection.as_ref().map(|connection| connection.id.0),
        connection_name: activity.connection.as_ref().map(|connection| connection.name.clone()),
        connector_slug: activity.connection.as_ref().map(|connection| connection.slug.clone()),
        outcome: activity.outcome.as_str(),
        detail: storable_or_none(activity.detail.as_deref()),
        occurred_at: At(now),
    };
    let row: Row = both!(
        conn,
        diesel::insert_into(activity_entries::table).values(new).returning(Row::as_returning()).get_result(conn).await
    )?;
    row.try_into()
}

/// One entry of the site.
pub async fn find(db: &Db, site: SiteId, id: ActivityId) -> Result<Option<ActivityEntry>> {
    let conn = &mut db.reader().await?;
    let row: Option<Row> = both!(
        conn,
        activity_entries::table
            .filter(activity_entries::id.eq(id.0))
            .filter(activity_entries::site_id.eq(site.get()))
            .select(Row::as_select())
            .get_result(conn)
            .await
            .optional()
    )?;
    row.map(TryInto::try_into).transpose()
}

/// Those of these entries that the site has, in no order.
pub async fn list_by_ids(db: &Db, site: SiteId, ids: &[ActivityId]) -> Result<Vec<ActivityEntry>> {
    let wanted = of_site(site).and("").any_integer("activity_entries.id", ids.iter().map(|id| id.0).collect());
    let conn = &mut db.reader().await?;
    let rows: Vec<Row> = rows!(conn, activity_entries::table.filter(wanted).select(Row::as_select()))?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// A page of the site's log, newest first. A place is told by the id alone.
pub async fn list(
    db: &Db,
    site: SiteId,
    filter: &ActivityFilter,
    request: &PageRequest<Place>,
) -> Result<Page<Placed<ActivityEntry>>> {
    let order = Keyset { key: None, id: "activity_entries.id", direction: OrderDirection::Desc };
    let wanted = order.within(matching(site, filter), request)?;
    let conn = &mut db.reader().await?;
    let rows: Vec<Row> = rows!(
        conn,
        Limited {
            query: activity_entries::table
                .filter(wanted)
                .order(order.order(request.backwards))
                .select(Row::as_select()),
            limit: keyset::rows_to_read(request),
        }
    )?;
    keyset::page(rows, request, |row| {
        let place = Place { key: SortKey::Null, id: row.id };
        Ok(Placed { row: row.try_into()?, place })
    })
}

fn of_site(site: SiteId) -> Condition {
    Condition::new("activity_entries.site_id = ").integer(site.get())
}

fn matching(site: SiteId, filter: &ActivityFilter) -> Condition {
    let mut wanted = of_site(site);
    if let Some(actions) = &filter.actions {
        let actions: Vec<_> = actions.iter().map(|action| action.as_str().to_owned()).collect();
        wanted = wanted.and("").any_text("activity_entries.action", &actions);
    }
    if let Some(operator) = filter.operator {
        wanted = wanted.and("activity_entries.operator_id = ").integer(operator.0);
    }
    if let Some(connections) = &filter.connections {
        let connections = connections.iter().map(|id| id.0).collect();
        wanted = wanted.and("").any_integer("activity_entries.connection_id", connections);
    }
    if let Some(from) = filter.from {
        wanted = wanted.and("activity_entries.occurred_at >= ").moment(from);
    }
    if let Some(until) = filter.until {
        wanted = wanted.and("activity_entries.occurred_at < ").moment(until);
    }
    wanted
}
