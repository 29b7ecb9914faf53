//! What a caller can do with a connection now, and what stands in the way. One function decides; the mutations refuse by
//! what it says.

use super::{
    capability::{Capabilities, Capability},
    connection::ConnectionState,
    connector::{AuthFlow, ConnectorFamily},
    settings::Settings,
    vocabulary::vocabulary,
};

vocabulary! {
    /// Something that is done with a connection.
    pub enum ConnectionAction {
        Rename = "rename",
        Configure = "configure",
        EditScopes = "edit_scopes",
        Refresh = "refresh",
        Rotate = "rotate",
        Reauthorize = "reauthorize",
        Test = "test",
        Pause = "pause",
        Resume = "resume",
        Disconnect = "disconnect",
        /// Handing over an event that is not to be held.
        Dispatch = "dispatch",
    }
}

use ConnectionAction as A;

/// What is known of a connection.
#[derive(Clone, Debug)]
pub struct Situation<'a> {
    pub connector_slug: &'a str,
    pub state: ConnectionState,
    pub flow: AuthFlow,
    /// Whether its grant can be renewed, where that is known.
    pub refreshable: Option<bool>,
    /// It is being disconnected.
    pub closing: bool,
    /// `None` where the connector has left the library.
    pub connector: Option<Offer<'a>>,
}

/// What a connector offers to connections.
#[derive(Clone, Debug)]
pub struct Offer<'a> {
    pub name: &'a str,
    pub family: ConnectorFamily,
    /// By the connection's own flow; `None` where the connector does not offer that any more.
    pub flow: Option<FlowOffer<'a>>,
    pub takes_events: bool,
    /// Of some event at least the connection has been granted every scope that it needs.
    pub scopes_suffice: bool,
}

/// What a flow offers to connections.
#[derive(Clone, Copy, Debug)]
pub struct FlowOffer<'a> {
    pub refreshable: bool,
    pub scopes_editable: bool,
    /// The OAuth app that the flow needs and that nobody has registered.
    pub missing_app: Option<&'a str>,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    pub capabilities: Capabilities,
    /// An operator, and no module.
    pub is_operator: bool,
    pub settings: &'a Settings,
}

/// Whether an action can be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Availability {
    pub action: ConnectionAction,
    /// Capabilities that it needs and the caller has not.
    pub missing: Capabilities,
    /// What besides stands in the way, in words for an operator.
    pub reason: Option<String>,
}

impl Availability {
    /// Whether nothing stands in the way.
    #[must_use]
    pub const fn is_available(&self) -> bool {
        self.missing.is_empty() && self.reason.is_none()
    }
}

/// Says whether this caller can take an action on this connection now.
#[must_use]
pub fn availability(action: ConnectionAction, situation: &Situation<'_>, asker: Asker<'_>) -> Availability {
    let needed = needed(action, situation, asker.settings);
    Availability { action, missing: asker.capabilities.missing(needed), reason: obstacle(action, situation, asker) }
}

/// The capability that the action's own field requires.
#[must_use]
pub const fn own_capability(action: ConnectionAction) -> Capability {
    match action {
        A::Rename | A::Configure | A::Reauthorize => Capability::CreateConnection,
        A::EditScopes => Capability::EditScopes,
        A::Refresh | A::Rotate => Capability::RefreshCredentials,
        A::Test => Capability::TestConnection,
        A::Pause | A::Resume => Capability::PauseResume,
        A::Disconnect => Capability::Disconnect,
        A::Dispatch => Capability::DispatchEvents,
    }
}

fn needed(action: ConnectionAction, situation: &Situation<'_>, settings: &Settings) -> Capabilities {
    let own = Capabilities::of(&[own_capability(action)]);
    if !matches!(action, A::Configure | A::EditScopes | A::Refresh | A::Rotate | A::Reauthorize | A::Disconnect) {
        return own;
    }
    let extra = match &situation.connector {
        Some(offer) => settings.extra_capabilities(offer.family),
        // A record whose connector has left the library must be removable all the same; its family is not known any
        // more, so the tightest rule holds.
        None => ConnectorFamily::ALL
            .iter()
            .fold(Capabilities::NONE, |all, family| all.union(settings.extra_capabilities(*family))),
    };
    own.union(extra)
}

fn obstacle(action: ConnectionAction, situation: &Situation<'_>, asker: Asker<'_>) -> Option<String> {
    if matches!(action, A::Rename | A::Pause | A::Disconnect) {
        return None;
    }
    let Some(offer) = &situation.connector else {
        return Some(format!("the connector {} is not in the library any more", situation.connector_slug));
    };
    if situation.closing && !matches!(action, A::Configure | A::Test) {
        return Some("this connection is being disconnected".to_owned());
    }
    let flow = || offer.flow.ok_or_else(|| format!("{} does not connect by {} any more", offer.name, situation.flow));
    match action {
        A::Rename | A::Pause | A::Disconnect | A::Test => None,
        A::Configure => flow().err(),
        A::EditScopes => flow().map_or_else(Some, |flow| {
            if situation.flow == AuthFlow::Oauth && flow.scopes_editable {
                return no_consent(offer, flow, asker);
            }
            Some(format!(
                "the scopes of this connection cannot be edited: {} does not offer it for {}",
                offer.name, situation.flow
            ))
        }),
        A::Reauthorize => {
            if situation.flow != AuthFlow::Oauth {
                return Some("this connection is not by OAuth: give it another key by rotateCredentials".to_owned());
            }
            flow().map_or_else(Some, |flow| no_consent(offer, flow, asker))
        }
        A::Refresh => flow().map_or_else(Some, |flow| {
            if situation.flow == AuthFlow::Oauth && situation.refreshable.unwrap_or(flow.refreshable) {
                return no_app(offer, flow);
            }
            let why = if situation.flow == AuthFlow::Oauth && flow.refreshable {
                format!("{} has given no refresh token", offer.name)
            } else {
                format!("{} has no call for it", offer.name)
            };
            Some(format!("the credential of this connection cannot be refreshed: {why}"))
        }),
        A::Rotate => match situation.flow {
            AuthFlow::Oauth => Some(
                "an OAuth connection has no key to rotate: get it a fresh grant by reauthorizeConnection".to_owned(),
            ),
            AuthFlow::ApiKey | AuthFlow::Basic | AuthFlow::SignedToken => flow().err(),
        },
        A::Resume => (situation.state != ConnectionState::Paused).then(|| cannot_resume(situation.state)),
        A::Dispatch => family_off(offer.name, offer.family, asker.settings)
            .or_else(|| (!offer.takes_events).then(|| format!("{} takes no events", offer.name)))
            .or_else(|| {
                (!offer.scopes_suffice)
                    .then(|| "the connection has not been granted the scopes that any of its events needs".to_owned())
            })
            .or_else(|| not_active(situation.state)),
    }
}

/// Why a connection in this state is not resumed, and what brings it back.
#[must_use]
pub fn cannot_resume(state: ConnectionState) -> String {
    let instead = match state {
        ConnectionState::Active | ConnectionState::Paused => "",
        ConnectionState::Error => ": a test that passes brings it back",
        ConnectionState::AuthExpired | ConnectionState::AuthRevoked => ": give it a fresh grant or another key",
    };
    format!("only a paused connection can be resumed; this one is {state}{instead}")
}

/// Why no event is taken for a connector of this family.
#[must_use]
pub fn family_off(name: &str, family: ConnectorFamily, settings: &Settings) -> Option<String> {
    (!settings.is_enabled(family))
        .then(|| format!("{name} takes no events: this site's settings have switched its family ({family}) off"))
}

/// Why no event is taken in this state that is not to be held.
#[must_use]
pub fn not_active(state: ConnectionState) -> Option<String> {
    (state != ConnectionState::Active).then(|| format!("the connection is {state}"))
}

/// Why nobody can be sent to the vendor for consent.
fn no_consent(offer: &Offer<'_>, flow: FlowOffer<'_>, asker: Asker<'_>) -> Option<String> {
    no_app(offer, flow)
        .or_else(|| (!asker.is_operator).then(|| "a vendor is asked by an operator, not by a module".to_owned()))
}

fn no_app(offer: &Offer<'_>, flow: FlowOffer<'_>) -> Option<String> {
    flow.missing_app.map(|app| {
        format!(
            "{} cannot be connected yet: the gateway's operator has registered no OAuth app for it \
             (GATEWAY_OAUTH_APPS has no [{app}])",
            offer.name
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::settings::FamilyOverride;

    const SCOPED: FlowOffer<'static> = FlowOffer { refreshable: true, scopes_editable: true, missing_app: None };

    fn situation(flow: AuthFlow) -> Situation<'static> {
        let offer = Offer {
            name: "A vendor",
            family: ConnectorFamily::Crm,
            flow: Some(SCOPED),
            takes_events: true,
            scopes_suffice: true,
        };
        Situation {
            connector_slug: "a-vendor",
            state: ConnectionState::Active,
            flow,
            refreshable: None,
            closing: false,
            connector: Some(offer),
        }
    }

    fn available(situation: &Situation<'_>, settings: &Settings) -> Vec<&'static str> {
        let asker = Asker { capabilities: Capabilities::of(Capability::ALL), is_operator: true, settings };
        let all = A::ALL.iter().filter(|action| availability(**action, situation, asker).is_available());
        all.map(|action| action.as_str()).collect()
    }

    #[test]
    fn what_can_be_done_follows_from_flow_state_and_connector() {
        let settings = Settings::default();
        let mut oauth = situation(AuthFlow::Oauth);
        let always = ["rename", "configure", "edit_scopes", "refresh", "reauthorize", "test", "pause", "disconnect"];
        assert_eq!(available(&oauth, &settings), [&always[..], &["dispatch"]].concat());
        oauth.refreshable = Some(false);
        assert!(!available(&oauth, &settings).contains(&"refresh"));
        oauth.closing = true;
        assert_eq!(available(&oauth, &settings), ["rename", "configure", "test", "pause", "disconnect"]);
        oauth.connector = None;
        assert_eq!(available(&oauth, &settings), ["rename", "pause", "disconnect"]);

        let mut key = situation(AuthFlow::ApiKey);
        let always = ["rename", "configure", "rotate", "test", "pause"];
        assert_eq!(available(&key, &settings), [&always[..], &["disconnect", "dispatch"]].concat());
        key.state = ConnectionState::Paused;
        assert_eq!(available(&key, &settings), [&always[..], &["resume", "disconnect"]].concat());
        if let Some(offer) = &mut key.connector {
            offer.flow = None;
        }
        assert_eq!(available(&key, &settings), ["rename", "test", "pause", "resume", "disconnect"]);
    }

    #[test]
    fn a_family_asks_for_more_and_can_be_off() {
        let crm = |extra: &[Capability], enabled| Settings {
            family_overrides: vec![FamilyOverride {
                family: ConnectorFamily::Crm,
                extra_capabilities: Capabilities::of(extra),
                enabled,
            }],
            ..Settings::default()
        };
        let key = situation(AuthFlow::ApiKey);
        let settings = crm(&[Capability::ManageRoles], false);
        let own = Capabilities::of(&[Capability::CreateConnection, Capability::DispatchEvents]);
        let asker = Asker { capabilities: own, is_operator: true, settings: &settings };
        let missing = |action, situation: &Situation<'_>| {
            availability(action, situation, asker).missing.iter().collect::<Vec<_>>()
        };
        assert_eq!(missing(A::Rename, &key), []);
        assert_eq!(missing(A::Configure, &key), [Capability::ManageRoles]);
        assert_eq!(missing(A::Disconnect, &key), [Capability::Disconnect, Capability::ManageRoles]);
        let dispatch = availability(A::Dispatch, &key, asker);
        assert!(dispatch.missing.is_empty() && dispatch.reason.is_some_and(|why| why.contains("(crm) off")));
        let gone = Situation { connector: None, ..key };
        assert_eq!(
            missing(A::Disconnect, &gone),
            [Capability::Disconnect, Capability::ManagePaymentCredentials, Capability::ManageRoles]
        );
    }

    #[test]
    fn a_module_is_sent_to_no_vendor() {
        let settings = Settings::default();
        let asker = Asker { capabilities: Capabilities::of(Capability::ALL), is_operator: false, settings: &settings };
        let oauth = situation(AuthFlow::Oauth);
        assert!(availability(A::Reauthorize, &oauth, asker).reason.is_some());
        assert!(availability(A::EditScopes, &oauth, asker).reason.is_some());
        assert!(availability(A::Refresh, &oauth, asker).is_available());
    }

    #[test]
    fn an_app_that_nobody_has_registered_is_named() {
        let settings = Settings::default();
        let asker = Asker { capabilities: Capabilities::of(Capability::ALL), is_operator: true, settings: &settings };
        let mut oauth = situation(AuthFlow::Oauth);
        if let Some(offer) = &mut oauth.connector {
            offer.flow = Some(FlowOffer { missing_app: Some("theirs"), ..SCOPED });
        }
        for action in [A::EditScopes, A::Refresh, A::Reauthorize] {
            let why = availability(action, &oauth, asker).reason;
            assert!(why.is_some_and(|why| why.contains("[theirs]")), "{action}");
        }
        assert!(availability(A::Test, &oauth, asker).is_available());
    }
}
