//! Sending an operator to a vendor: the authorization is written down, and its link handed over.

use oauth2::{PkceCodeChallenge, PkceCodeVerifier};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{
    connect::{display_name_or_default, operator_of, require_new},
    gateway::Gateway,
    oauth_client::{hash, oauth_of, random_text},
    types::{Acting, BeginOAuth, Failure, OrInternal as _, Sending},
    validate,
};
use crate::{
    connector::{Connector, Consent, GrantKind, Pkce, Values},
    domain::{
        action::ConnectionAction,
        authorization::{Authorization, AuthorizationPurpose, AuthorizationStep, LIFETIME, TICKET_LIFETIME},
        clock::random,
        connection::Connection,
        id::ConnectionId,
        principal::Actor,
        secret::{Secret, SecretBytes},
    },
    store::{
        self,
        authorization::{NewAuthorization, StoredAuthorization},
    },
    vault::Place,
};

/// The most scopes that one authorization asks for.
const SCOPES_MAX: usize = 200;

/// The most authorizations of one operator that wait for their end at a time.
const PENDING_MAX: i64 = 50;

/// What is sealed of an authorization until it ends.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub(super) struct Pending {
    /// The operator's fields, as JSON.
    pub fields: String,
    pub ticket: String,
    pub state: String,
    pub verifier: String,
}

/// An authorization that is to begin.
struct Plan<'a> {
    purpose: AuthorizationPurpose,
    connector: &'a Connector,
    display_name: Option<String>,
    connection: Option<ConnectionId>,
    scopes: Vec<String>,
    values: Values,
    return_to: Option<String>,
}

impl Gateway {
    /// Begins a connection by OAuth. Where nobody has to consent, the connection is made at once.
    ///
    /// # Errors
    /// [`Failure::BadInput`] for a connector without OAuth, a wrong field, scope, name or `returnTo`;
    /// [`Failure::Conflict`] where no OAuth app is registered; [`Failure::Forbidden`] where the connector's family asks
    /// for more.
    pub async fn begin_oauth(&self, acting: &Acting, input: BeginOAuth) -> Result<Authorization, Failure> {
        let connector = self.connector_named(&input.connector_slug)?;
        let (flow, _) = oauth_of(&connector)?;
        if let Some(name) = input.display_name.as_deref() {
            validate::display_name("displayName", name)?;
        }
        let scopes = wanted_scopes(&connector, flow.scopes_editable, input.scopes, &[])?;
        require_new(acting, &connector)?;
        let values = flow.check(&input.fields).map_err(|violations| {
            let first = violations.into_iter().next();
            first.map_or(Failure::Internal, |v| Failure::bad_input(format!("fields.{}", v.field), v.message))
        })?;
        let plan = Plan {
            purpose: AuthorizationPurpose::Connect,
            connector: &connector,
            display_name: input.display_name,
            connection: None,
            scopes,
            values,
            return_to: input.return_to,
        };
        self.begin_authorization(acting, plan).await
    }

    /// Sends the operator back to the vendor for another set of scopes.
    ///
    /// # Errors
    /// As [`Self::begin_oauth`]; [`Failure::NotFound`]; [`Failure::Conflict`] for a connection whose scopes are fixed.
    pub async fn begin_scope_edit(
        &self,
        acting: &Acting,
        id: ConnectionId,
        scopes: Vec<String>,
        return_to: Option<String>,
    ) -> Result<Authorization, Failure> {
        let (connection, connector) = self.permitted_with_connector(acting, id, ConnectionAction::EditScopes).await?;
        let scopes = wanted_scopes(&connector, true, Some(scopes), &connection.scopes_granted)?;
        self.begin_again(acting, AuthorizationPurpose::EditScopes, &connection, &connector, scopes, return_to).await
    }

    /// Sends the operator back to the vendor for a fresh grant with the scopes that the connection holds.
    ///
    /// # Errors
    /// As [`Self::begin_oauth`]; [`Failure::NotFound`]; [`Failure::Conflict`] for a connection that is not by OAuth.
    pub async fn begin_reauthorization(
        &self,
        acting: &Acting,
        id: ConnectionId,
        return_to: Option<String>,
    ) -> Result<Authorization, Failure> {
        let (connection, connector) = self.permitted_with_connector(acting, id, ConnectionAction::Reauthorize).await?;
        let editable = oauth_of(&connector)?.0.scopes_editable;
        let held = (editable && !connection.scopes_granted.is_empty()).then(|| connection.scopes_granted.clone());
        let scopes = wanted_scopes(&connector, editable, held, &connection.scopes_granted)?;
        self.begin_again(acting, AuthorizationPurpose::Reauthorize, &connection, &connector, scopes, return_to).await
    }

    async fn begin_again(
        &self,
        acting: &Acting,
        purpose: AuthorizationPurpose,
        connection: &Connection,
        connector: &Connector,
        scopes: Vec<String>,
        return_to: Option<String>,
    ) -> Result<Authorization, Failure> {
        let opened = self.open(acting.site(), connection.id).await?;
        let plan = Plan {
            purpose,
            connector,
            display_name: None,
            connection: Some(connection.id),
            scopes,
            values: opened.values,
            return_to,
        };
        self.begin_authorization(acting, plan).await
    }

    async fn begin_authorization(&self, acting: &Acting, plan: Plan<'_>) -> Result<Authorization, Failure> {
        let operator = operator_of(acting)?;
        let site = acting.site();
        let consents = {
            // Who is not registered with the vendor learns it now, not at the vendor.
            let flow = self.oauth_flow(plan.connector, &plan.values)?;
            flow.oauth.grant == GrantKind::AuthorizationCode
        };
        let return_to = plan.return_to.as_deref().map(|to| self.oauth.check_return(to)).transpose()?;
        let display_name = match plan.connection {
            Some(_) => None,
            None => Some(display_name_or_default(plan.connector, plan.display_name.as_deref())?),
        };
        let now = self.now();
        let waiting = store::authorization::count_open(&self.db, site, operator, now);
        if waiting.await.or_internal("counting authorizations")? >= PENDING_MAX {
            return Err(Failure::LimitExceeded(format!(
                "{PENDING_MAX} authorizations of yours wait for their end: end one, or wait up to {} minutes",
                LIFETIME.num_minutes()
            )));
        }
        let token = format!("{:032x}", u128::from_be_bytes(random(&*self.entropy)));
        let fields = String::from_utf8(plan.values.to_json().expose().to_vec()).or_internal("writing the fields")?;
        let [ticket, state, verifier] = [(); 3].map(|()| random_text(self).expose().to_owned());
        let (ticket_hash, state_hash) = (hash(&ticket), hash(&state));
        let pending = Pending { fields, ticket, state, verifier };
        let plain = SecretBytes::new(serde_json::to_vec(&pending).or_internal("writing the authorization")?);
        let sealed = self
            .keyring(site)
            .await?
            .seal(&Place::Authorization { token: &token }, plain.expose())
            .or_internal("sealing the authorization")?;
        let step = if consents { AuthorizationStep::Pending } else { AuthorizationStep::Exchanging };
        let Actor::Operator { name, .. } = &acting.caller.principal.actor else { return Err(Failure::Internal) };
        let new = NewAuthorization {
            token: token.clone(),
            operator,
            operator_name: name.clone(),
            role: acting.caller.principal.role.clone(),
            purpose: plan.purpose,
            step,
            connector_slug: plan.connector.slug.clone(),
            display_name,
            connection: plan.connection,
            scopes_requested: plan.scopes,
            return_to,
            ticket_hash,
            ticket_until: now + TICKET_LIFETIME,
            state_hash,
            key_version: sealed.key_version,
            sealed: sealed.blob,
            expires_at: now + LIFETIME,
        };
        store::authorization::insert(&self.db, site, now, new).await.or_internal("storing the authorization")?;
        let stored = self.stored_authorization(acting, &token).await?;
        if consents {
            return Ok(stored.authorization);
        }
        self.exchange_in_own_task(stored, Vec::new()).await?;
        Ok(self.stored_authorization(acting, &token).await?.authorization)
    }

    /// The operator's own authorization of this name.
    ///
    /// # Errors
    /// [`Failure::NotFound`], also for those of others.
    pub async fn authorization(&self, acting: &Acting, token: &str) -> Result<Authorization, Failure> {
        Ok(self.stored_authorization(acting, token).await?.authorization)
    }

    async fn stored_authorization(&self, acting: &Acting, token: &str) -> Result<StoredAuthorization, Failure> {
        let none = Failure::NotFound("authorization");
        let Some(operator) = acting.caller.principal.actor.operator_id() else { return Err(none) };
        store::authorization::find(&self.db, acting.site(), operator, token)
            .await
            .or_internal("reading the authorization")?
            .ok_or(none)
    }

    /// The link that begins an authorization; `None` once it has been used or has run out.
    ///
    /// # Errors
    /// [`Failure::Internal`] where it does not open.
    pub async fn authorization_link(
        &self,
        acting: &Acting,
        authorization: &Authorization,
    ) -> Result<Option<Url>, Failure> {
        if !authorization.can_start(self.now()) {
            return Ok(None);
        }
        let stored = self.stored_authorization(acting, &authorization.token).await?;
        if !stored.authorization.can_start(self.now()) {
            return Ok(None);
        }
        let pending = self.open_authorization(&stored).await?;
        let link = self.oauth.own(&format!("oauth/start/{}", pending.ticket));
        Ok(Some(link.parse().or_internal("writing the link")?))
    }

    pub(super) async fn open_authorization(&self, stored: &StoredAuthorization) -> Result<Pending, Failure> {
        let place = Place::Authorization { token: &stored.authorization.token };
        let plain = self.unseal(stored.site, &place, &stored.sealed, "opening the authorization").await?;
        serde_json::from_slice(plain.expose()).map_err(|_| "no authorization").or_internal("reading the authorization")
    }

    /// Opens the link that begins an authorization, for this browser or for one that has just got its cookie. `browser`
    /// gives the cookie of an authorization by its name.
    ///
    /// # Errors
    /// [`Failure::NotFound`] for a link that is unknown, used or old; [`Failure::Conflict`] where the connector or its
    /// OAuth app is gone.
    pub async fn open_link(&self, ticket: &str, browser: impl Fn(&str) -> Option<Secret>) -> Result<Sending, Failure> {
        let none = Failure::NotFound("authorization");
        let stored = store::authorization::find_by_ticket(&self.db, &hash(ticket))
            .await
            .or_internal("reading the authorization")?
            .ok_or(Failure::NotFound("authorization"))?;
        let authorization = &stored.authorization;
        let now = self.now();
        if authorization.step != AuthorizationStep::Pending || authorization.expires_at <= now {
            return Err(none);
        }
        let known = browser(&authorization.token);
        let cookie = if let Some(bound) = &stored.browser_hash {
            // The same browser may come again, by its button for going back.
            known.filter(|cookie| is_same(&hash(cookie.expose()), bound)).ok_or(none)?
        } else {
            let cookie = random_text(self);
            let hash = hash(cookie.expose());
            let bound = store::authorization::bind(&self.db, stored.site, authorization.id, &hash, now).await;
            if !bound.or_internal("binding the authorization")? {
                return Err(none);
            }
            self.committed(stored.site);
            cookie
        };
        let pending = self.open_authorization(&stored).await?;
        let connector = self.connector_named(&authorization.connector_slug)?;
        let values = values_of(&pending)?;
        let flow = self.oauth_flow(&connector, &values)?;
        let verifier = PkceCodeVerifier::new(pending.verifier.clone());
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
        let consent = Consent {
            redirect_uri: &self.oauth.redirect_uri(),
            state: &pending.state,
            scopes: &authorization.scopes_requested,
            code_challenge: (flow.oauth.pkce != Pkce::None).then(|| challenge.as_str()),
        };
        let to = flow.call()?.authorize_url(&consent).map_err(|error| Failure::Conflict(error.message))?;
        Ok(Sending {
            authorization: authorization.clone(),
            site: stored.site,
            connector_name: connector.display_name.clone(),
            cookie,
            to,
        })
    }
}

pub(super) fn values_of(pending: &Pending) -> Result<Values, Failure> {
    Values::from_json(&SecretBytes::new(pending.fields.clone().into_bytes())).or_internal("reading the fields")
}

/// Whether two hashes are the same, in constant time.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    use subtle::ConstantTimeEq as _;
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// The scopes to ask for: those that are named, each once and each known, or the connector's defaults.
fn wanted_scopes(
    connector: &Connector,
    editable: bool,
    named: Option<Vec<String>>,
    held: &[String],
) -> Result<Vec<String>, Failure> {
    let Some(named) = named else {
        return Ok(connector.scopes.iter().filter(|scope| scope.default).map(|scope| scope.id.clone()).collect());
    };
    if !editable {
        return Err(Failure::bad_input(
            "scopes",
            format!("{} takes no choice of scopes: leave it out", connector.display_name),
        ));
    }
    if named.is_empty() || named.len() > SCOPES_MAX {
        return Err(Failure::bad_input("scopes", format!("names {} scopes; 1 to {SCOPES_MAX} are taken", named.len())));
    }
    let mut scopes: Vec<String> = Vec::new();
    for (at, scope) in named.into_iter().enumerate() {
        let known = connector.scopes.iter().any(|known| known.id == scope) || held.contains(&scope);
        if !known {
            let offered: Vec<&str> = connector.scopes.iter().map(|scope| scope.id.as_str()).collect();
            return Err(Failure::bad_input(
                format!("scopes.{at}"),
                format!("is no scope of {}; there are: {}", connector.display_name, offered.join(", ")),
            ));
        }
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    Ok(scopes)
}
