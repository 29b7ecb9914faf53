//! The events of a site's stream. Numbers run without gaps and in commit order.

use chrono::{DateTime, Utc};

use super::{
    connection::{ConnectionChange, ConnectionState, StateChangeCause},
    id::{ActivityId, ConnectionId, EntryId},
};

/// What one event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventBody {
    /// A connection was created, changed or removed.
    Connection {
        connection: ConnectionId,
        /// The connector's slug, so that filters work when the record is gone.
        connector_slug: String,
        change: ConnectionChange,
        /// `None` for the creation.
        previous_state: Option<ConnectionState>,
        /// `None` for the removal.
        state: Option<ConnectionState>,
        cause: StateChangeCause,
        reason: Option<String>,
    },
    /// A row came to the delivery log.
    DeliveryLogged { entry: EntryId },
    /// A row came to the activity log.
    ActivityLogged { entry: ActivityId },
    /// What the site's roles may do is another now: whoever follows the stream is looked at again.
    RolesChanged,
}

/// One event at its place in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEvent {
    pub number: i64,
    /// A random mark of this row, so that a cursor from before a restored backup is noticed.
    pub check: i64,
    pub occurred_at: DateTime<Utc>,
    pub body: EventBody,
}
