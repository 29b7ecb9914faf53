//! Browser authorizations: an operator is sent to the vendor, and comes back with a grant or without.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    id::{AuthorizationId, ConnectionId, OperatorId},
    test_report::TestReport,
    vocabulary::vocabulary,
};

/// How long the operator has for all of it.
pub const LIFETIME: TimeDelta = TimeDelta::minutes(10);
/// How long the link that begins it is good for.
pub const TICKET_LIFETIME: TimeDelta = TimeDelta::seconds(60);

vocabulary! {
    /// What an authorization is for.
    pub enum AuthorizationPurpose {
        Connect = "connect",
        EditScopes = "edit_scopes",
        Reauthorize = "reauthorize",
    }
}

vocabulary! {
    /// How far it has come.
    pub enum AuthorizationStatus {
        Pending = "pending",
        Succeeded = "succeeded",
        Rejected = "rejected",
        Expired = "expired",
    }
}

vocabulary! {
    /// How far it has come, as it is stored: that the exchange has begun is written before the vendor is called.
    pub enum AuthorizationStep {
        Pending = "pending",
        Exchanging = "exchanging",
        Succeeded = "succeeded",
        Rejected = "rejected",
    }
}

/// An authorization, without its secrets.
#[derive(Clone, Debug)]
pub struct Authorization {
    pub id: AuthorizationId,
    /// Names it to its operator, and to nobody else.
    pub token: String,
    pub operator: OperatorId,
    pub operator_name: Option<String>,
    /// The operator's role when it was begun.
    pub role: String,
    pub purpose: AuthorizationPurpose,
    pub step: AuthorizationStep,
    pub connector_slug: String,
    pub display_name: Option<String>,
    /// The connection that it is for, or that came of it.
    pub connection: Option<ConnectionId>,
    pub scopes_requested: Vec<String>,
    /// Where the browser goes in the end.
    pub return_to: Option<String>,
    pub ticket_until: DateTime<Utc>,
    /// Whether the link that begins it has been used.
    pub started: bool,
    pub test: Option<TestReport>,
    /// In words for an operator.
    pub error: Option<String>,
    pub expires_at: DateTime<Utc>,
}

impl Authorization {
    /// How far it has come by now.
    #[must_use]
    pub fn status(&self, now: DateTime<Utc>) -> AuthorizationStatus {
        match self.step {
            AuthorizationStep::Pending if self.expires_at <= now => AuthorizationStatus::Expired,
            AuthorizationStep::Pending | AuthorizationStep::Exchanging => AuthorizationStatus::Pending,
            AuthorizationStep::Succeeded => AuthorizationStatus::Succeeded,
            AuthorizationStep::Rejected => AuthorizationStatus::Rejected,
        }
    }

    /// Whether the link that begins it can still be used.
    #[must_use]
    pub fn can_start(&self, now: DateTime<Utc>) -> bool {
        self.step == AuthorizationStep::Pending && !self.started && now < self.ticket_until
    }
}
