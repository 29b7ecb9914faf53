//! Roles: what their holders may do.

use async_graphql::SimpleObject;

use super::enums::Capability;
use crate::domain;

/// A role, by whose name tokens say what their holders may do. Names match without regard to case.
#[derive(SimpleObject)]
pub struct Role {
    name: String,
    /// Ships with the product and cannot be deleted; its capabilities can still be overridden.
    built_in: bool,
    capabilities: Vec<Capability>,
}

impl From<domain::capability::Role> for Role {
    fn from(role: domain::capability::Role) -> Self {
        let capabilities = role.capabilities.iter().map(Capability::from).collect();
        Self { name: role.name, built_in: role.built_in, capabilities }
    }
}
