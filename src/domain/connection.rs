//! Connection records: a connector type and a sealed credential, of one site.

use chrono::{DateTime, Utc};

use super::{
    connector::AuthFlow,
    encoded::Encoded,
    id::{ConnectionId, HistoryId, OperatorId},
    test_report::TestReport,
    vocabulary::vocabulary,
};

/// The longest display name, in characters.
pub const DISPLAY_NAME_MAX: usize = 120;

vocabulary! {
    /// Observed state: see [`super::state`] for how it moves.
    pub enum ConnectionState {
        Active = "active",
        Paused = "paused",
        AuthExpired = "auth_expired",
        AuthRevoked = "auth_revoked",
        Error = "error",
    }
}

vocabulary! {
    /// What brought a state about.
    pub enum StateChangeCause {
        Operator = "operator",
        Test = "test",
        Refresh = "refresh",
        Delivery = "delivery",
    }
}

vocabulary! {
    /// What a stream event says about a connection.
    pub enum ConnectionChange {
        Created = "created",
        StateChanged = "state_changed",
        /// Name, scopes or configuration; not tests or deliveries.
        Updated = "updated",
        Removed = "removed",
    }
}

/// A connection as it is stored, without its credential.
#[derive(Clone, Debug)]
pub struct Connection {
    pub id: ConnectionId,
    pub connector_slug: String,
    pub display_name: String,
    pub state: ConnectionState,
    /// Why the state is what it is, in words for an operator; `None` while active.
    pub state_reason: Option<String>,
    pub state_changed_at: DateTime<Utc>,
    pub auth_flow: AuthFlow,
    pub vendor_account_id: Option<String>,
    pub vendor_account_name: Option<String>,
    /// Sorted, without repeats.
    pub scopes_granted: Vec<String>,
    /// The settings that are no secret, in the order of the manifest's fields.
    pub configuration: Encoded<Vec<(String, String)>>,
    pub destination_label: Option<String>,
    /// One at a time, in the order of acceptance.
    pub ordered_delivery: bool,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_test: Option<Encoded<TestReport>>,
    pub last_delivery_at: Option<DateTime<Utc>>,
    pub operator_of_record: OperatorId,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Whether its grant can be renewed; `None` where it has none, or where that was not noted with it.
    pub refreshable: Option<bool>,
}

impl Connection {
    /// Which of these scopes it would need for an event, and has not. Nobody grants scopes to a key: what it may do,
    /// its vendor says.
    pub fn lacks<'a>(&self, scopes: &'a [String]) -> impl Iterator<Item = &'a String> {
        let granted = (self.auth_flow == AuthFlow::Oauth).then_some(&self.scopes_granted);
        scopes.iter().filter(move |scope| granted.is_some_and(|granted| !granted.contains(scope)))
    }
}

/// One step of a connection's life.
#[derive(Clone, Debug)]
pub struct StateHistoryEntry {
    pub id: HistoryId,
    pub connection: ConnectionId,
    pub state: ConnectionState,
    /// `None` for the creation.
    pub previous_state: Option<ConnectionState>,
    pub cause: StateChangeCause,
    pub reason: Option<String>,
    pub occurred_at: DateTime<Utc>,
}
