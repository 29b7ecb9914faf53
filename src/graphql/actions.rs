//! What the viewer can do with a connection.

use async_graphql::SimpleObject;

use super::enums::{Capability, ConnectionAction};
use crate::domain::action::Availability;

/// Whether the viewer can do something with a connection.
#[derive(SimpleObject)]
pub struct ActionAvailability {
    action: ConnectionAction,
    available: bool,
    /// Held back by these, which the viewer's role lacks.
    missing_capabilities: Vec<Capability>,
    /// Held back by the connection's state or connector, or by a setting, in words; null otherwise.
    reason: Option<String>,
}

impl From<Availability> for ActionAvailability {
    fn from(said: Availability) -> Self {
        Self {
            action: said.action.into(),
            available: said.is_available(),
            missing_capabilities: said.missing.iter().map(Capability::from).collect(),
            reason: said.reason,
        }
    }
}
