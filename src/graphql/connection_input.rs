//! How lists of connections are narrowed down and ordered.

use async_graphql::InputObject;

use super::{
    enums::{ConnectionOrderField, ConnectionState, ConnectorFamily, OrderDirection, all},
    scope::SharedScope,
};
use crate::domain::{
    connector as words,
    id::OperatorId,
    query::{self, Accepting, Order},
};

/// Which connections. A field that is left out restricts nothing.
#[derive(InputObject, Default)]
pub struct ConnectionFilter {
    states: Option<Vec<ConnectionState>>,
    families: Option<Vec<ConnectorFamily>>,
    connector_slugs: Option<Vec<String>>,
    /// Only connections that hold all of these.
    scopes_granted: Option<Vec<String>>,
    /// Only those whose connector has the operation and whose scopes suffice: with states [ACTIVE], a module's picker.
    accepts_event_type: Option<String>,
    operator_of_record: Option<i32>,
    /// Matches the display name, the connector's name and the vendor account, case-insensitively.
    search: Option<String>,
}

/// An order of connections.
#[derive(InputObject)]
pub struct ConnectionOrder {
    field: ConnectionOrderField,
    #[graphql(default_with = "OrderDirection::Asc")]
    direction: OrderDirection,
}

/// The filter in the store's words: families and event types become connectors.
pub(super) fn filter(scope: &SharedScope, filter: ConnectionFilter) -> query::ConnectionFilter {
    query::ConnectionFilter {
        states: all(filter.states),
        connector_slugs: slugs(scope, filter.families, filter.connector_slugs),
        scopes_granted: filter.scopes_granted.unwrap_or_default(),
        accepting: filter.accepts_event_type.map(|event_type| {
            // What is switched off takes none now; a stream follows those too, for when they are back.
            let mut all = accepting(scope, &event_type);
            all.retain(|one| takes_events(scope, &one.connector_slug));
            all
        }),
        operator_of_record: filter.operator_of_record.map(|id| OperatorId(id.into())),
        search: filter.search,
    }
}

/// The order; by creation, the newest first, where none is given.
pub(super) fn order(order: Option<ConnectionOrder>) -> Order<query::ConnectionOrderField> {
    match order {
        Some(order) => Order { field: order.field.into(), direction: order.direction.into() },
        None => Order { field: query::ConnectionOrderField::CreatedAt, direction: query::OrderDirection::Desc },
    }
}

/// The connectors of these families and slugs; none where neither is given.
pub(super) fn slugs(
    scope: &SharedScope,
    families: Option<Vec<ConnectorFamily>>,
    slugs: Option<Vec<String>>,
) -> Option<Vec<String>> {
    let Some(families) = all::<_, words::ConnectorFamily>(families) else { return slugs };
    let of_families = scope.gateway.library().list().iter().filter(|connector| families.contains(&connector.family));
    let of_families = of_families.map(|connector| connector.slug.clone());
    Some(match slugs {
        Some(slugs) => of_families.filter(|slug| slugs.contains(slug)).collect(),
        None => of_families.collect(),
    })
}

fn takes_events(scope: &SharedScope, slug: &str) -> bool {
    let connector = scope.gateway.library().get(slug);
    connector.is_some_and(|connector| scope.acting.settings.is_enabled(connector.family))
}

/// The connectors that take this event, with the scopes that a connection by OAuth needs for it.
pub(super) fn accepting(scope: &SharedScope, event_type: &str) -> Vec<Accepting> {
    let connectors = scope.gateway.library().list().iter();
    connectors
        .filter_map(|connector| {
            let operation = connector.operation(event_type)?;
            Some(Accepting { connector_slug: connector.slug.clone(), scopes: operation.required_scopes.clone() })
        })
        .collect()
}
