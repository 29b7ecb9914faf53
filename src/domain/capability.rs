//! What a role may do: capabilities, sets of them, and the roles that ship with the product.

use super::{fold::fold, vocabulary::vocabulary};

vocabulary! {
    /// A right that a field of the API can require.
    pub enum Capability {
        ListConnections = "list_connections",
        BrowseLibrary = "browse_library",
        CreateConnection = "create_connection",
        EditScopes = "edit_scopes",
        RefreshCredentials = "refresh_credentials",
        TestConnection = "test_connection",
        PauseResume = "pause_resume",
        Disconnect = "disconnect",
        BrowseDeliveryLog = "browse_delivery_log",
        RetryDelivery = "retry_delivery",
        /// On top of the action's own capability, for every credential action on a payment connector.
        ManagePaymentCredentials = "manage_payment_credentials",
        BrowseActivityLog = "browse_activity_log",
        DispatchEvents = "dispatch_events",
        ManageRoles = "manage_roles",
        ManageSettings = "manage_settings",
    }
}

/// A set of capabilities.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub struct Capabilities(u32);

impl Capabilities {
    /// No capability at all: what a role that does not exist gives.
    pub const NONE: Self = Self(0);

    /// The set of these capabilities.
    #[must_use]
    pub const fn of(list: &[Capability]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < list.len() {
            bits |= 1 << list[i] as u32;
            i += 1;
        }
        Self(bits)
    }

    /// Whether the set holds this capability.
    #[must_use]
    pub const fn has(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u32) != 0
    }

    /// The capabilities of the set, in the order of declaration.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.iter().copied().filter(move |c| self.has(*c))
    }

    /// Those of `needed` that this set lacks.
    #[must_use]
    pub const fn missing(self, needed: Self) -> Self {
        Self(needed.0 & !self.0)
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Every capability of either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A role that ships with the product; a site's own role of the same name overrides it.
#[derive(Clone, Copy, Debug)]
pub struct BuiltInRole {
    /// The name as tokens carry it; names match without regard to case.
    pub name: &'static str,
    /// What it may do unless the site overrides it.
    pub capabilities: Capabilities,
}

use Capability as C;

/// What modules' tokens carry.
const MODULE_ROLE: &str = "Module";

/// The roles that ship with the product: three for operators, one for modules.
pub const BUILT_IN_ROLES: [BuiltInRole; 4] = [
    BuiltInRole { name: "Administrator", capabilities: Capabilities::of(C::ALL) },
    BuiltInRole {
        name: "Editor",
        capabilities: Capabilities::of(&[
            C::ListConnections,
            C::BrowseLibrary,
            C::TestConnection,
            C::PauseResume,
            C::BrowseDeliveryLog,
            C::RetryDelivery,
            C::BrowseActivityLog,
        ]),
    },
    BuiltInRole {
        name: "Viewer",
        capabilities: Capabilities::of(&[C::ListConnections, C::BrowseLibrary, C::BrowseDeliveryLog]),
    },
    BuiltInRole {
        name: MODULE_ROLE,
        capabilities: Capabilities::of(&[C::ListConnections, C::BrowseLibrary, C::DispatchEvents]),
    },
];

/// The built-in role of this name, in whatever case.
fn built_in(folded: &str) -> Option<&'static BuiltInRole> {
    BUILT_IN_ROLES.iter().find(|role| role.name.to_ascii_lowercase() == folded)
}

/// Whether a role of this name ships with the product.
#[must_use]
pub fn is_built_in(name: &str) -> bool {
    built_in(&fold(name)).is_some()
}

/// Whether two names are of one role.
#[must_use]
pub fn is_same_role(a: &str, b: &str) -> bool {
    fold(a) == fold(b)
}

/// What a role of this name may do, the site's own roles first; an unknown role may do nothing.
#[must_use]
pub fn resolve_role<'a>(name: &str, overrides: impl IntoIterator<Item = (&'a str, Capabilities)>) -> Capabilities {
    let folded = fold(name);
    overrides
        .into_iter()
        .find(|(own, _)| fold(own) == folded)
        .map(|(_, capabilities)| capabilities)
        .or_else(|| built_in(&folded).map(|role| role.capabilities))
        .unwrap_or(Capabilities::NONE)
}

/// A role as a site has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Role {
    pub name: String,
    /// Ships with the product; what it may do can be overridden.
    pub built_in: bool,
    pub capabilities: Capabilities,
}

/// All roles of a site: the built-in ones in their order, with what the site has made of them, then its own.
#[must_use]
pub fn roles(own: &[(String, Capabilities)]) -> Vec<Role> {
    let shipped = BUILT_IN_ROLES.iter().map(|role| Role {
        name: role.name.to_owned(),
        built_in: true,
        capabilities: resolve_role(role.name, own.iter().map(|(name, capabilities)| (name.as_str(), *capabilities))),
    });
    let made = own.iter().filter(|(name, _)| !is_built_in(name));
    shipped
        .chain(made.map(|(name, capabilities)| Role {
            name: name.clone(),
            built_in: false,
            capabilities: *capabilities,
        }))
        .collect()
}

/// Whether operators can still change the roles of a site: some role but the modules' holds `MANAGE_ROLES`.
#[must_use]
pub fn can_be_managed(roles: &[Role]) -> bool {
    roles.iter().any(|role| role.name != MODULE_ROLE && role.capabilities.has(Capability::ManageRoles))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_administrator_has_credential_authority() {
        let credential =
            [C::CreateConnection, C::EditScopes, C::RefreshCredentials, C::Disconnect, C::ManagePaymentCredentials];
        for role in &BUILT_IN_ROLES {
            for capability in credential {
                assert_eq!(
                    role.capabilities.has(capability),
                    role.name == "Administrator",
                    "{} {capability}",
                    role.name
                );
            }
        }
    }

    #[test]
    fn the_log_can_be_investigated_without_credential_authority() {
        assert!(resolve_role("VIEWER", []).has(C::BrowseDeliveryLog));
        assert!(resolve_role("editor", []).has(C::RetryDelivery));
    }

    #[test]
    fn a_sites_own_role_wins_and_an_unknown_one_may_do_nothing() {
        let own = Capabilities::of(&[C::ManageRoles]);
        assert_eq!(resolve_role("Viewer", [("viewer", own)]), own);
        assert!(resolve_role("Auditor", [("viewer", own)]).is_empty());
    }

    #[test]
    fn names_of_roles_match_in_whatever_form() {
        let own = Capabilities::of(&[C::ManageRoles]);
        assert_eq!(resolve_role("E\u{301}DITEUR", [("éditeur", own)]), own);
        assert!(is_built_in("ADMINISTRATOR") && !is_built_in("Auditor"));
    }

    #[test]
    fn a_site_has_the_shipped_roles_and_its_own() {
        let own =
            [("viewer".to_owned(), Capabilities::NONE), ("Auditor".to_owned(), Capabilities::of(&[C::ManageRoles]))];
        let all = roles(&own);
        let names: Vec<_> = all.iter().map(|role| (role.name.as_str(), role.built_in)).collect();
        let shipped = [("Administrator", true), ("Editor", true), ("Viewer", true), ("Module", true)];
        assert_eq!(names, [&shipped[..], &[("Auditor", false)]].concat());
        assert!(all[2].capabilities.is_empty() && all[4].capabilities.has(C::ManageRoles));
    }

    #[test]
    fn roles_can_be_managed_while_an_operators_role_may() {
        let none = ("Administrator".to_owned(), Capabilities::NONE);
        let some = |name: &str| (name.to_owned(), Capabilities::of(&[C::ManageRoles]));
        assert!(can_be_managed(&roles(&[])));
        assert!(!can_be_managed(&roles(std::slice::from_ref(&none))));
        assert!(!can_be_managed(&roles(&[none.clone(), some("module")])));
        assert!(can_be_managed(&roles(&[none, some("Auditor")])));
    }

    #[test]
    fn missing_names_what_is_not_held() {
        let held = Capabilities::of(&[C::TestConnection]);
        let needed = Capabilities::of(&[C::TestConnection, C::Disconnect]);
        assert_eq!(held.missing(needed).iter().collect::<Vec<_>>(), vec![C::Disconnect]);
        assert_eq!(Capabilities::of(C::ALL).iter().count(), C::ALL.len());
    }
}
