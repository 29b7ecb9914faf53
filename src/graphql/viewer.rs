//! Who is asking.

use async_graphql::{Description, Object};

use super::{
    enums::{Capability, PrincipalKind},
    scope::SharedScope,
};
use crate::domain::{id::OperatorId, principal::Actor};

/// An operator of a site, or a dependent module.
#[derive(Description)]
pub struct Viewer(pub(super) SharedScope);

#[Object(use_type_description)]
impl Viewer {
    async fn kind(&self) -> PrincipalKind {
        self.0.acting.caller.principal.actor.kind().into()
    }

    /// Null for a module.
    async fn operator(&self) -> Option<Operator> {
        match &self.0.acting.caller.principal.actor {
            Actor::Operator { id, name } => Some(Operator { id: *id, name: name.clone() }),
            Actor::Module { .. } => None,
        }
    }

    /// The module's name (forms, notifications, posts, ...); null for an operator.
    async fn module(&self) -> Option<&str> {
        self.0.acting.caller.principal.actor.module()
    }

    /// The role as the token names it.
    async fn role(&self) -> &str {
        &self.0.acting.caller.principal.role
    }

    /// The platform's number of the site.
    async fn site_id(&self) -> i32 {
        number(self.0.site().get())
    }

    /// What the role may do now.
    async fn capabilities(&self) -> Vec<Capability> {
        self.0.acting.capabilities.iter().map(Capability::from).collect()
    }
}

/// A person of a site.
#[derive(Description)]
pub struct Operator {
    pub(super) id: OperatorId,
    pub(super) name: Option<String>,
}

#[Object(use_type_description)]
impl Operator {
    /// The platform's user id.
    async fn id(&self) -> i32 {
        number(self.id.0)
    }

    /// As the operator's token last gave it.
    async fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

/// Numbers of sites and operators fit: tokens with greater ones are refused.
fn number(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
