//! The list of a site's connections, in eight orders.

use diesel::{
    QueryDsl as _, SelectableHelper as _,
    sql_types::{Nullable, Text},
};
use diesel_async::RunQueryDsl;

use super::row::ShownRow;
use crate::{
    domain::{
        connection::Connection,
        connector::AuthFlow,
        fold::like_pattern,
        id::SiteId,
        page::{Page, PageRequest, Place, SortKey},
        query::{ConnectionFilter, ConnectionOrderField, Order, OrderDirection, Placed},
    },
    store::{
        database::Db,
        error::Result,
        fragment::{Condition, Fragment, Limited},
        in_place,
        keyset::{self, KeyKind, KeySql, Keyset},
        schema::connections,
        transaction::{both, rows},
    },
};

/// A page of the site's connections.
pub async fn list(
    db: &Db,
    site: SiteId,
    filter: &ConnectionFilter,
    order: Order<ConnectionOrderField>,
    request: &PageRequest<Place>,
) -> Result<Page<Placed<Connection>>> {
    let keyset = Keyset { key: Some(key_sql(order)), id: "connections.id", direction: order.direction };
    let wanted = keyset.within(matching(site, filter), request)?;
    let conn = &mut db.reader().await?;
    let read = async {
        rows!(
            conn,
            Limited {
                query: connections::table
                    .filter(wanted)
                    .order(keyset.order(request.backwards))
                    .select((ShownRow::as_select(), folded_key(order.field))),
                limit: keyset::rows_to_read(request),
            }
        )
    };
    // What a filter leaves out may be most of what there is.
    let unfiltered = *filter == ConnectionFilter::default();
    let rows: Vec<(ShownRow, Option<String>)> = if unfiltered { in_place::brief(read).await } else { read.await }?;
    keyset::page(rows, request, |(row, folded)| {
        let place = Place { key: sort_key(order.field, &row, folded), id: row.id };
        Ok(Placed { row: row.try_into()?, place })
    })
}

/// How many of the site's connections match.
pub async fn count(db: &Db, site: SiteId, filter: &ConnectionFilter) -> Result<i64> {
    let wanted = matching(site, filter);
    let conn = &mut db.reader().await?;
    Ok(both!(conn, connections::table.filter(wanted).count().get_result(conn).await)?)
}

fn key_sql(order: Order<ConnectionOrderField>) -> KeySql {
    match order.field {
        ConnectionOrderField::DisplayName => KeySql::column("connections.display_name_folded", KeyKind::Text),
        ConnectionOrderField::Connector => KeySql::column("connections.connector_name_folded", KeyKind::Text),
        ConnectionOrderField::State => KeySql::column("connections.state", KeyKind::Text),
        ConnectionOrderField::Scopes => KeySql::column("connections.scopes_joined", KeyKind::Text),
        ConnectionOrderField::LastDeliveryAt => match order.direction {
            OrderDirection::Asc => KeySql::nullable(
                ("coalesce(connections.last_delivery_at, 9223372036854775807)", "9223372036854775807"),
                ("coalesce(connections.last_delivery_at, 'infinity'::timestamptz)", "'infinity'::timestamptz"),
                KeyKind::Moment,
            ),
            OrderDirection::Desc => KeySql::nullable(
                ("coalesce(connections.last_delivery_at, -9223372036854775807)", "-9223372036854775807"),
                ("coalesce(connections.last_delivery_at, '-infinity'::timestamptz)", "'-infinity'::timestamptz"),
                KeyKind::Moment,
            ),
        },
        ConnectionOrderField::OperatorOfRecord => KeySql::column("connections.operator_of_record", KeyKind::Number),
        ConnectionOrderField::CreatedAt => KeySql::column("connections.created_at", KeyKind::Moment),
        ConnectionOrderField::UpdatedAt => KeySql::column("connections.updated_at", KeyKind::Moment),
    }
}

/// What an order sorts by where no reading shows it.
fn folded_key(field: ConnectionOrderField) -> Fragment<Nullable<Text>> {
    Fragment::new(match field {
        ConnectionOrderField::DisplayName => "connections.display_name_folded",
        ConnectionOrderField::Connector => "connections.connector_name_folded",
        ConnectionOrderField::Scopes => "connections.scopes_joined",
        _ => "CAST(NULL AS text)",
    })
}

fn sort_key(field: ConnectionOrderField, row: &ShownRow, folded: Option<String>) -> SortKey {
    match field {
        ConnectionOrderField::DisplayName | ConnectionOrderField::Connector | ConnectionOrderField::Scopes => {
            SortKey::Text(folded.unwrap_or_default())
        }
        ConnectionOrderField::State => SortKey::Text(row.state.clone()),
        ConnectionOrderField::LastDeliveryAt => {
            row.last_delivery_at.map_or(SortKey::Null, |at| SortKey::Number(at.0.timestamp_micros()))
        }
        ConnectionOrderField::OperatorOfRecord => SortKey::Number(row.operator_of_record),
        ConnectionOrderField::CreatedAt => SortKey::Number(row.created_at.0.timestamp_micros()),
        ConnectionOrderField::UpdatedAt => SortKey::Number(row.updated_at.0.timestamp_micros()),
    }
}

/// The condition of a filter, the site's own connections only.
fn matching(site: SiteId, filter: &ConnectionFilter) -> Condition {
    let mut wanted = Condition::new("connections.site_id = ").integer(site.get());
    if let Some(states) = &filter.states {
        let states: Vec<_> = states.iter().map(|state| state.as_str().to_owned()).collect();
        wanted = wanted.and("").any_text("connections.state", &states);
    }
    if let Some(slugs) = &filter.connector_slugs {
        wanted = wanted.and("").any_text("connections.connector_slug", slugs);
    }
    for scope in &filter.scopes_granted {
        wanted = holds(wanted.and(""), scope);
    }
    if let Some(accepting) = &filter.accepting {
        wanted = wanted.and("(1 = 0");
        for connector in accepting {
            wanted = wanted.sql(" OR (connections.connector_slug = ").text(&connector.connector_slug);
            if !connector.scopes.is_empty() {
                // Only a grant has scopes (`Connection::lacks`).
                wanted = wanted.and("(connections.auth_flow <> ").text(AuthFlow::Oauth.as_str()).sql(" OR (1 = 1");
                for scope in &connector.scopes {
                    wanted = holds(wanted.and(""), scope);
                }
                wanted = wanted.sql("))");
            }
            wanted = wanted.sql(")");
        }
        wanted = wanted.sql(")");
    }
    if let Some(operator) = filter.operator_of_record {
        wanted = wanted.and("connections.operator_of_record = ").integer(operator.0);
    }
    if let Some(search) = &filter.search {
        let pattern = like_pattern(search);
        let columns = [
            "connections.display_name_folded",
            "connections.connector_name_folded",
            "connections.vendor_account_id_folded",
            "connections.vendor_account_name_folded",
        ];
        for (i, column) in columns.into_iter().enumerate() {
            wanted = wanted.sql(if i == 0 { " AND (" } else { " OR " });
            wanted = wanted.sql(column).sql(" LIKE ").text(&pattern).sql(r" ESCAPE '\'");
        }
        wanted = wanted.sql(")");
    }
    wanted
}

fn holds(wanted: Condition, scope: &str) -> Condition {
    wanted
        .sql("EXISTS (SELECT 1 FROM connection_scopes AS held WHERE held.connection_id = connections.id AND held.scope = ")
        .text(scope)
        .sql(")")
}
