//! Who is asking.

use chrono::{DateTime, Utc};

use super::{
    id::{OperatorId, SiteId},
    vocabulary::vocabulary,
};

vocabulary! {
    /// The two kinds of callers.
    pub enum PrincipalKind {
        Operator = "operator",
        Module = "module",
    }
}

/// A person of a site, or a dependent part of the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A person, by the platform's user id, with the name that the token gave.
    Operator { id: OperatorId, name: Option<String> },
    /// A module, by its name: forms, notifications, posts, ...
    Module { name: String },
}

impl Actor {
    /// The kind of caller.
    #[must_use]
    pub const fn kind(&self) -> PrincipalKind {
        match self {
            Self::Operator { .. } => PrincipalKind::Operator,
            Self::Module { .. } => PrincipalKind::Module,
        }
    }

    /// The operator's id, where a person is asking.
    #[must_use]
    pub const fn operator_id(&self) -> Option<OperatorId> {
        match self {
            Self::Operator { id, .. } => Some(*id),
            Self::Module { .. } => None,
        }
    }

    /// The module's name, where a module is asking.
    #[must_use]
    pub fn module(&self) -> Option<&str> {
        match self {
            Self::Operator { .. } => None,
            Self::Module { name } => Some(name),
        }
    }
}

/// What a verified token says. The capabilities are not here: they are read afresh for each operation.
#[derive(Clone, Debug)]
pub struct Principal {
    pub site: SiteId,
    pub actor: Actor,
    /// The role as the token names it.
    pub role: String,
    /// From then on the token is worth nothing.
    pub expires_at: DateTime<Utc>,
}
