//! The site's delivery log, in five orders.

use diesel::{QueryDsl as _, SelectableHelper as _};
use diesel_async::RunQueryDsl;

use super::{Row, of_site, retryable};
use crate::{
    domain::{
        delivery::DeliveryEntry,
        fold::like_pattern,
        id::SiteId,
        page::{Page, PageRequest, Place, SortKey},
        query::{DeliveryFilter, DeliveryOrderField, Order, OrderDirection, Placed},
    },
    store::{
        database::Db,
        error::Result,
        fragment::{Condition, Limited, Statement},
        in_place,
        keyset::{self, KeyKind, KeySql, Keyset},
        rows::Number,
        schema::delivery_entries,
        transaction::{both, rows},
    },
};

/// A page of the site's delivery log.
pub async fn list(
    db: &Db,
    site: SiteId,
    filter: &DeliveryFilter,
    order: Order<DeliveryOrderField>,
    request: &PageRequest<Place>,
) -> Result<Page<Placed<DeliveryEntry>>> {
    let keyset = Keyset { key: Some(key_sql(order)), id: "delivery_entries.id", direction: order.direction };
    let wanted = keyset.within(matching(site, filter), request)?;
    let conn = &mut db.reader().await?;
    let read = async {
        rows!(
            conn,
            Limited {
                query: delivery_entries::table
                    .filter(wanted)
                    .order(keyset.order(request.backwards))
                    .select((Row::as_select(), retryable())),
                limit: keyset::rows_to_read(request),
            }
        )
    };
    // What a filter leaves out may be most of what there is.
    let unfiltered = *filter == DeliveryFilter::default();
    let rows: Vec<(Row, bool)> = if unfiltered { in_place::brief(read).await } else { read.await }?;
    keyset::page(rows, request, |(row, retryable)| {
        let place = Place { key: sort_key(order.field, &row), id: row.id };
        Ok(Placed { row: row.entry(retryable)?, place })
    })
}

/// How many entries match, counted up to `cap`, and whether there are more than that.
pub async fn count(db: &Db, site: SiteId, filter: &DeliveryFilter, cap: u32) -> Result<(u32, bool)> {
    let query = Statement::new("SELECT count(*) AS number FROM (SELECT 1 AS one FROM delivery_entries WHERE ")
        .append(matching(site, filter))
        .sql(format!(" LIMIT {}) AS counted", u64::from(cap) + 1));
    let conn = &mut db.reader().await?;
    let counted: Number = both!(conn, query.get_result(conn).await)?;
    Ok(u32::try_from(counted.number).ok().filter(|number| *number <= cap).map_or((cap, true), |number| (number, false)))
}

const fn nullable(asc: &'static str, last: &'static str) -> KeySql {
    KeySql::nullable((asc, last), (asc, last), KeyKind::Number)
}

fn key_sql(order: Order<DeliveryOrderField>) -> KeySql {
    match (order.field, order.direction) {
        (DeliveryOrderField::AttemptedAt, _) => KeySql::column("delivery_entries.attempted_at", KeyKind::Moment),
        (DeliveryOrderField::OriginatingModule, _) => KeySql::column("delivery_entries.module", KeyKind::Text),
        (DeliveryOrderField::Outcome, _) => KeySql::column("delivery_entries.outcome", KeyKind::Text),
        (DeliveryOrderField::VendorResponseCode, OrderDirection::Asc) => {
            nullable("coalesce(delivery_entries.vendor_response_code, 2147483647)", "2147483647")
        }
        (DeliveryOrderField::VendorResponseCode, OrderDirection::Desc) => {
            nullable("coalesce(delivery_entries.vendor_response_code, -1)", "-1")
        }
        (DeliveryOrderField::Latency, OrderDirection::Asc) => {
            nullable("coalesce(delivery_entries.latency_ms, 9223372036854775807)", "9223372036854775807")
        }
        (DeliveryOrderField::Latency, OrderDirection::Desc) => {
            nullable("coalesce(delivery_entries.latency_ms, -1)", "-1")
        }
    }
}

fn sort_key(field: DeliveryOrderField, row: &Row) -> SortKey {
    match field {
        DeliveryOrderField::AttemptedAt => SortKey::Number(row.attempted_at.0.timestamp_micros()),
        DeliveryOrderField::OriginatingModule => SortKey::Text(row.module.clone()),
        DeliveryOrderField::Outcome => SortKey::Text(row.outcome.clone()),
        DeliveryOrderField::VendorResponseCode => {
            row.vendor_response_code.map_or(SortKey::Null, |code| SortKey::Number(i64::from(code)))
        }
        DeliveryOrderField::Latency => row.latency_ms.map_or(SortKey::Null, SortKey::Number),
    }
}

/// The condition of a filter, the site's own entries only.
fn matching(site: SiteId, filter: &DeliveryFilter) -> Condition {
    let mut wanted = of_site(site);
    if let Some(connections) = &filter.connections {
        let connections = connections.iter().map(|id| id.0).collect();
        wanted = wanted.and("").any_integer("delivery_entries.connection_id", connections);
    }
    if let Some(outcomes) = &filter.outcomes {
        let outcomes: Vec<_> = outcomes.iter().map(|outcome| outcome.as_str().to_owned()).collect();
        wanted = wanted.and("").any_text("delivery_entries.outcome", &outcomes);
    }
    if let Some(failures) = &filter.failures {
        let failures: Vec<_> = failures.iter().map(|failure| failure.as_str().to_owned()).collect();
        wanted = wanted.and("").any_text("delivery_entries.failure", &failures);
    }
    if let Some(modules) = &filter.modules {
        wanted = wanted.and("").any_text("delivery_entries.module", modules);
    }
    if let Some(event_types) = &filter.event_types {
        wanted = wanted.and("").any_text("delivery_entries.event_type", event_types);
    }
    if let Some(identifier) = &filter.event_identifier {
        wanted = wanted.and("delivery_entries.event_identifier = ").text(identifier);
    }
    if let Some(search) = &filter.search {
        wanted = wanted.and("delivery_entries.event_identifier_folded LIKE ").text(&like_pattern(search));
        wanted = wanted.sql(r" ESCAPE '\'");
    }
    if let Some(from) = filter.attempted_from {
        wanted = wanted.and("delivery_entries.attempted_at >= ").moment(from);
    }
    if let Some(until) = filter.attempted_until {
        wanted = wanted.and("delivery_entries.attempted_at < ").moment(until);
    }
    wanted
}

/// The condition of a filter, only entries of which the delivery can be tried once more.
pub(in crate::store) fn retryable_matching(site: SiteId, filter: &DeliveryFilter) -> Condition {
    matching(site, filter).and(super::RETRYABLE)
}
