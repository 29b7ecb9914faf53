//! Changing roles.

use async_graphql::{Context, InputObject, Object, SimpleObject};

use crate::{
    domain::capability::{Capabilities, Capability as Needs},
    graphql::{
        enums::Capability,
        guard::{Guarded, guarded_some, requires},
        role::Role,
        scope,
    },
};

#[derive(Default)]
pub struct Roles;

/// What a role may do from now on.
#[derive(InputObject)]
pub struct SaveRoleInput {
    /// At most 64 characters. A role of this name is changed; where there is none, it is made.
    name: String,
    /// All that it may do.
    capabilities: Vec<Capability>,
}

/// Which role is to be deleted.
#[derive(InputObject)]
pub struct DeleteRoleInput {
    name: String,
}

/// A role as it is now.
#[derive(SimpleObject)]
pub struct SaveRolePayload {
    role: Role,
}

/// The name of the role that is gone.
#[derive(SimpleObject)]
pub struct DeleteRolePayload {
    name: String,
}

#[Object]
impl Roles {
    /// Makes a role, or changes what one may do. It holds at once, in running subscriptions too. CONFLICT where no
    /// role but the modules' would hold `MANAGE_ROLES` any more; which operators hold a role, their tokens say.
    #[graphql(directive = requires::apply(Capability::ManageRoles))]
    async fn save_role(&self, context: &Context<'_>, input: SaveRoleInput) -> Guarded<SaveRolePayload> {
        let scope = scope::of(context);
        guarded_some(scope, Needs::ManageRoles, async {
            let capabilities: Vec<Needs> = input.capabilities.into_iter().map(Needs::from).collect();
            let saved = scope.gateway.save_role(&scope.acting, &input.name, Capabilities::of(&capabilities)).await?;
            Ok(SaveRolePayload { role: saved.into() })
        })
        .await
    }

    /// Deletes one of the site's own roles; whoever holds it may do nothing from then on.
    #[graphql(directive = requires::apply(Capability::ManageRoles))]
    async fn delete_role(&self, context: &Context<'_>, input: DeleteRoleInput) -> Guarded<DeleteRolePayload> {
        let scope = scope::of(context);
        guarded_some(scope, Needs::ManageRoles, async {
            Ok(DeleteRolePayload { name: scope.gateway.delete_role(&scope.acting, &input.name).await? })
        })
        .await
    }
}
