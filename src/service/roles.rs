//! A site's roles: what each may do, read afresh for every operation and every event, so that a change holds at once.

use super::{
    gateway::{Gateway, activity},
    types::{Acting, Failure, OrInternal as _},
    validate,
};
use crate::{
    domain::{
        activity::{ActivityAction, ActivityOutcome},
        capability::{self, Capabilities, Capability, Role},
        id::SiteId,
    },
    store::{
        self, NewActivity,
        role::{ROLES_MAX, RoleChange},
    },
};

/// The longest name, in characters.
const NAME_MAX: usize = 64;
const LAST_MANAGER: &str = "no operator could change roles any more: some role but the modules' must hold MANAGE_ROLES";

impl Gateway {
    /// All roles of the site: the built-in ones as the site has made them, then its own.
    ///
    /// # Errors
    /// [`Failure::Internal`] where the database fails.
    pub async fn roles(&self, site: SiteId) -> Result<Vec<Role>, Failure> {
        let own = store::role::list(&self.db, site).await.or_internal("reading the site's roles")?;
        Ok(capability::roles(&own))
    }

    /// Makes a role, or changes what one may do; a built-in one's own capabilities hold no more then.
    ///
    /// # Errors
    /// [`Failure::BadInput`] for a bad name; [`Failure::Conflict`] where no operator could change roles afterwards;
    /// [`Failure::LimitExceeded`] where the site has too many.
    pub async fn save_role(&self, acting: &Acting, name: &str, capabilities: Capabilities) -> Result<Role, Failure> {
        let name = role_name(name)?;
        let words: Vec<&str> = capabilities.iter().map(Capability::as_str).collect();
        let may = if words.is_empty() { "nothing".to_owned() } else { words.join(", ") };
        let entry = |outcome, detail| activity(acting, ActivityAction::RoleSaved, None, outcome, Some(detail));
        let saved = entry(ActivityOutcome::Succeeded, format!("{name} may: {may}"));
        let change = store::role::save(&self.db, acting.site(), self.now(), &name, capabilities, saved)
            .await
            .or_internal("storing the role")?;
        let refused = entry(ActivityOutcome::Rejected, format!("{name}: {LAST_MANAGER}"));
        self.changed(acting, change, refused).await?;
        let found =
            self.roles(acting.site()).await?.into_iter().find(|role| capability::is_same_role(&role.name, &name));
        // Somebody else may have deleted it by now.
        Ok(found.unwrap_or(Role { name, built_in: false, capabilities }))
    }

    /// Removes one of the site's own roles; whoever holds it may do nothing from then on. Gives its name.
    ///
    /// # Errors
    /// [`Failure::NotFound`]; [`Failure::Conflict`] for a built-in role, and where no operator could change roles
    /// afterwards.
    pub async fn delete_role(&self, acting: &Acting, name: &str) -> Result<String, Failure> {
        let name = role_name(name)?;
        if capability::is_built_in(&name) {
            return Err(Failure::Conflict(format!(
                "{name} ships with the product and cannot be deleted; what it may do can be changed"
            )));
        }
        let entry = |outcome, detail| activity(acting, ActivityAction::RoleDeleted, None, outcome, Some(detail));
        let deleted = entry(ActivityOutcome::Succeeded, name.clone());
        let change = store::role::delete(&self.db, acting.site(), self.now(), &name, deleted)
            .await
            .or_internal("removing the role")?;
        let refused = entry(ActivityOutcome::Rejected, format!("{name}: {LAST_MANAGER}"));
        self.changed(acting, change, refused).await?;
        Ok(name)
    }

    async fn changed(&self, acting: &Acting, change: RoleChange, refused: NewActivity) -> Result<(), Failure> {
        match change {
            RoleChange::Changed => {
                self.committed(acting.site());
                Ok(())
            }
            RoleChange::Unknown => Err(Failure::NotFound("role")),
            RoleChange::TooMany => {
                Err(Failure::LimitExceeded(format!("the site has {ROLES_MAX} roles of its own; no more are taken")))
            }
            RoleChange::LastManager => {
                self.log_activity(acting.site(), refused).await?;
                Err(Failure::Conflict(LAST_MANAGER.to_owned()))
            }
        }
    }
}

fn role_name(name: &str) -> Result<String, Failure> {
    let name = name.trim();
    validate::text("name", name, NAME_MAX)?;
    Ok(name.to_owned())
}
