//! What a list can be narrowed down to, and in which orders it comes.

use chrono::{DateTime, Utc};

use super::{
    activity::ActivityAction,
    connection::ConnectionState,
    delivery::{DeliveryFailure, DeliveryOutcome},
    id::{ConnectionId, OperatorId},
    page::Place,
    vocabulary::vocabulary,
};

vocabulary! {
    /// The direction of an order. Nulls come last in both.
    pub enum OrderDirection {
        Asc = "asc",
        Desc = "desc",
    }
}

vocabulary! {
    /// The orders of the list of connections.
    pub enum ConnectionOrderField {
        /// By the folded name.
        DisplayName = "display_name",
        /// By the connector's folded name.
        Connector = "connector",
        /// By the spelling of the state.
        State = "state",
        /// By the granted scopes, joined.
        Scopes = "scopes",
        LastDeliveryAt = "last_delivery_at",
        OperatorOfRecord = "operator_of_record",
        CreatedAt = "created_at",
        UpdatedAt = "updated_at",
    }
}

vocabulary! {
    /// The orders of the delivery log.
    pub enum DeliveryOrderField {
        AttemptedAt = "attempted_at",
        OriginatingModule = "originating_module",
        Outcome = "outcome",
        VendorResponseCode = "vendor_response_code",
        Latency = "latency",
    }
}

/// An order: by which field, in which direction. The id decides between equals, in the same direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order<F> {
    pub field: F,
    pub direction: OrderDirection,
}

/// A connector that can take an event, and the scopes that a connection by OAuth needs for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepting {
    pub connector_slug: String,
    pub scopes: Vec<String>,
}

/// Which connections. `None` and empty scopes mean no restriction; `Some` of an empty list finds nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionFilter {
    pub states: Option<Vec<ConnectionState>>,
    pub connector_slugs: Option<Vec<String>>,
    /// Only connections that hold all of these.
    pub scopes_granted: Vec<String>,
    /// Only those of one of these connectors that hold the scopes named with it, or are not by OAuth.
    pub accepting: Option<Vec<Accepting>>,
    pub operator_of_record: Option<OperatorId>,
    /// Anywhere in the display name, the connector's name or the vendor account's id or name; folded by the store.
    pub search: Option<String>,
}

/// Which rows of the delivery log. `None` means no restriction; `Some` of an empty list finds nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    pub connections: Option<Vec<ConnectionId>>,
    pub outcomes: Option<Vec<DeliveryOutcome>>,
    pub failures: Option<Vec<DeliveryFailure>>,
    pub modules: Option<Vec<String>>,
    pub event_types: Option<Vec<String>>,
    /// Exactly this event identifier.
    pub event_identifier: Option<String>,
    /// Anywhere in the event identifier; folded by the store.
    pub search: Option<String>,
    /// Inclusive.
    pub attempted_from: Option<DateTime<Utc>>,
    /// Exclusive.
    pub attempted_until: Option<DateTime<Utc>>,
}

/// Which rows of the activity log. `None` means no restriction; `Some` of an empty list finds nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActivityFilter {
    pub actions: Option<Vec<ActivityAction>>,
    pub operator: Option<OperatorId>,
    pub connections: Option<Vec<ConnectionId>>,
    /// Inclusive.
    pub from: Option<DateTime<Utc>>,
    /// Exclusive.
    pub until: Option<DateTime<Utc>>,
}

/// A row, and its place in the order in which it was listed.
#[derive(Clone, Debug)]
pub struct Placed<T> {
    pub row: T,
    pub place: Place,
}
