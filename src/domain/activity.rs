//! The activity log: who did what to which connection, and how it ended.

use chrono::{DateTime, Utc};

use super::{
    id::{ActivityId, ConnectionId, OperatorId},
    vocabulary::vocabulary,
};

vocabulary! {
    /// What was done.
    pub enum ActivityAction {
        ConnectionCreated = "connection_created",
        ConnectionRenamed = "connection_renamed",
        ConnectionConfigured = "connection_configured",
        ScopesEdited = "scopes_edited",
        CredentialsRefreshed = "credentials_refreshed",
        CredentialsRotated = "credentials_rotated",
        ConnectionReauthorized = "connection_reauthorized",
        ConnectionTested = "connection_tested",
        ConnectionPaused = "connection_paused",
        ConnectionResumed = "connection_resumed",
        ConnectionDisconnected = "connection_disconnected",
        DeliveryRetried = "delivery_retried",
        RoleSaved = "role_saved",
        RoleDeleted = "role_deleted",
        SettingsChanged = "settings_changed",
        SiteKeyRotated = "site_key_rotated",
    }
}

vocabulary! {
    /// How it ended: done, refused, or tried in vain.
    pub enum ActivityOutcome {
        Succeeded = "succeeded",
        Rejected = "rejected",
        Failed = "failed",
    }
}

/// A row of the activity log.
#[derive(Clone, Debug)]
pub struct ActivityEntry {
    pub id: ActivityId,
    pub action: ActivityAction,
    pub operator: Option<OperatorId>,
    pub module: Option<String>,
    /// This and the next two stay when the connection is gone.
    pub connection: Option<ConnectionId>,
    pub connection_name: Option<String>,
    pub connector_slug: Option<String>,
    pub outcome: ActivityOutcome,
    pub detail: Option<String>,
    pub occurred_at: DateTime<Utc>,
}
