//! A vendor sends an operator back: the code becomes a grant, a test proves it, and only then anything is stored.

use super::{
    authorize::{Pending, is_same, values_of},
    connect::require_new,
    credentials::Opened,
    gateway::{Gateway, activity},
    granted::{Ending, Refused, action_of},
    oauth_client::{OAuthFlow, hash, refusal},
    test_call::{other_account, reason},
    types::{Acting, Caller, Failure, OrInternal as _, Returned},
};
use crate::{
    connector::{Grant, GrantKind, Pkce, SigningKeys},
    domain::{
        action::ConnectionAction,
        activity::ActivityOutcome,
        authorization::{Authorization, AuthorizationPurpose, AuthorizationStep},
        capability::Capability,
        connection::Connection,
        connector::AuthFlow,
        principal::{Actor, Principal},
        secret::Secret,
        test_report::TestReport,
    },
    store::{
        self,
        authorization::{Rejection, StoredAuthorization},
    },
};

/// The longest text of a vendor's in the reason of a refusal, in characters.
const VENDOR_TEXT_MAX: usize = 300;

impl Gateway {
    /// Takes a browser that comes back from a vendor, with the callback's query. `browser` gives the cookie of an
    /// authorization by its name. The exchange runs in a task of its own.
    ///
    /// # Errors
    /// [`Failure::Internal`].
    pub async fn returned(
        &self,
        query: Vec<(String, String)>,
        browser: impl Fn(&str) -> Option<Secret>,
    ) -> Result<Returned, Failure> {
        let state = match &parameters(&query, "state")[..] {
            [state] => hash(state),
            _ => return Ok(Returned::Unknown),
        };
        let found = store::authorization::find_by_state(&self.db, &state).await;
        let Some(stored) = found.or_internal("reading the authorization")? else { return Ok(Returned::Unknown) };
        let authorization = &stored.authorization;
        let now = self.now();
        if authorization.step != AuthorizationStep::Pending || authorization.expires_at <= now {
            // Also where the same browser comes again, without the cookie that it does not need any more.
            return Ok(Returned::Unknown);
        }
        let Some(bound) = &stored.browser_hash else { return Ok(Returned::OtherBrowser) };
        let cookie = browser(&authorization.token);
        if !cookie.is_some_and(|cookie| is_same(&hash(cookie.expose()), bound)) {
            return Ok(Returned::OtherBrowser);
        }
        let taken = store::authorization::take(&self.db, stored.site, authorization.id, now).await;
        if !taken.or_internal("taking the authorization")? {
            return Ok(Returned::Unknown);
        }
        let (site, operator, token) = (stored.site, authorization.operator, authorization.token.clone());
        self.exchange_in_own_task(stored, query).await?;
        let ended = store::authorization::find(&self.db, site, operator, &token)
            .await
            .or_internal("reading the authorization")?
            .ok_or(Failure::Internal)?
            .authorization;
        let connector_name =
            self.library().get(&ended.connector_slug).map_or(ended.connector_slug.clone(), |c| c.display_name.clone());
        Ok(Returned::Ended { authorization: ended, connector_name })
    }

    /// Brings an authorization that has been taken to its end, whatever becomes of the request.
    pub(super) async fn exchange_in_own_task(
        &self,
        stored: StoredAuthorization,
        query: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let gateway = self.clone();
        self.in_own_task(async move { gateway.do_exchange(&stored, &query).await }).await
    }

    async fn do_exchange(&self, stored: &StoredAuthorization, query: &[(String, String)]) -> Result<(), Failure> {
        let acting = self.acting_again(stored).await?;
        let ending = match self.complete(&acting, stored, query).await {
            Ok(()) => return Ok(()),
            Err(ending) => ending,
        };
        let refused = match ending {
            Ending::Refused(refused) => refused,
            Ending::Broken(failure) => {
                // What the vendor granted, if it did, is not known here: the operator must hear of it.
                let error = "something broke inside the gateway; if the vendor shows a grant, remove it there";
                self.reject(&acting, stored, error.to_owned().into()).await?;
                return Err(failure);
            }
        };
        self.reject(&acting, stored, refused).await
    }

    /// The operator who began it, with what the role may do now.
    pub(super) async fn acting_again(&self, stored: &StoredAuthorization) -> Result<Acting, Failure> {
        let authorization = &stored.authorization;
        let principal = Principal {
            site: stored.site,
            actor: Actor::Operator { id: authorization.operator, name: authorization.operator_name.clone() },
            role: authorization.role.clone(),
            expires_at: authorization.expires_at,
        };
        let request_id = format!("authorization {}", authorization.id);
        self.act(Caller { principal, request_id }).await
    }

    async fn complete(
        &self,
        acting: &Acting,
        stored: &StoredAuthorization,
        query: &[(String, String)],
    ) -> Result<(), Ending> {
        let authorization = &stored.authorization;
        let connector = self.connector_named(&authorization.connector_slug)?;
        let pending = self.open_authorization(stored).await?;
        let values = values_of(&pending)?;
        let flow = self.oauth_flow(&connector, &values)?;
        let again = match authorization.purpose {
            AuthorizationPurpose::EditScopes => ConnectionAction::EditScopes,
            AuthorizationPurpose::Connect | AuthorizationPurpose::Reauthorize => ConnectionAction::Reauthorize,
        };
        // Looked at before the vendor is called: nothing may fail between a grant and its end but the storing.
        let connection = if let Some(id) = authorization.connection {
            Some(self.permitted(acting, id, again).await?)
        } else {
            if !acting.capabilities.has(Capability::CreateConnection) {
                return Err(Failure::Forbidden(Capability::CreateConnection).into());
            }
            require_new(acting, &connector)?;
            None
        };
        let grant = match flow.oauth.grant {
            GrantKind::AuthorizationCode => self.grant_of_code(&flow, authorization, &pending, query).await?,
            GrantKind::ClientCredentials => self.minted(&flow, authorization).await?,
        };
        let mut opened = Opened { values: values.clone(), signing: SigningKeys(Vec::new()), grant: Some(grant) };
        let (test, captured) = self.run_first_test(&connector, AuthFlow::Oauth, &opened).await;
        opened.grant = opened.grant.map(|grant| grant.with_captured(&captured));
        let refused = if test.passed() {
            connection.as_ref().and_then(|connection| unfit(connection, &test))
        } else {
            Some(reason(&test))
        };
        if let Some(error) = refused {
            let error = self.give_back(acting, authorization, &flow, &opened, &test, error).await;
            return Err(Ending::Refused(Refused { error, test: Some(test) }));
        }
        match &connection {
            None => self.store_connection(acting, authorization, &connector, &flow, opened, test).await,
            Some(connection) => self.store_regrant(acting, authorization, connection, &flow, opened, test).await,
        }
    }

    /// Turns the callback's code into a grant.
    async fn grant_of_code(
        &self,
        flow: &OAuthFlow<'_>,
        authorization: &Authorization,
        pending: &Pending,
        query: &[(String, String)],
    ) -> Result<Grant, Ending> {
        if let Some(issuer) = &flow.oauth.issuer {
            // RFC 9207, section 2.4.
            if parameters(query, "iss") != [issuer.as_str()] {
                return Err("the callback does not come from the vendor that was asked (`iss`)".to_owned().into());
            }
        }
        if let [error, ..] = parameters(query, "error")[..] {
            let said = parameters(query, "error_description");
            let text = said.first().map_or_else(|| error.to_owned(), |said| format!("{error}: {said}"));
            return Err(format!("the vendor answered {}", in_words(&text)).into());
        }
        let [code] = parameters(query, "code")[..] else {
            return Err("the vendor's callback has no code, or more than one".to_owned().into());
        };
        let call = flow.call()?;
        let captured = call.read_callback(query).map_err(|refused| refused.message)?;
        let verifier = (flow.oauth.pkce != Pkce::None).then(|| Secret::from(pending.verifier.as_str()));
        let redirect_uri = self.oauth.redirect_uri();
        let request = call
            .exchange(&Secret::from(code), verifier.as_ref(), &redirect_uri, &captured)
            .map_err(|error| error.message)?;
        let answer = self.call_token_endpoint(request).await;
        let read = call.read_token(answer.as_ref(), &authorization.scopes_requested, &captured, None, self.now());
        read.map_err(|refused| {
            let error = refusal(&call, &refused, None);
            let unknown = answer.as_ref().map_or(true, |answer| (200..=299).contains(&answer.status));
            if unknown { format!("{error}; if the vendor shows a grant, remove it there").into() } else { error.into() }
        })
    }

    /// Asks for a grant in the client's own name.
    async fn minted(&self, flow: &OAuthFlow<'_>, authorization: &Authorization) -> Result<Grant, Ending> {
        let call = flow.call()?;
        let request = call.mint(&authorization.scopes_requested).map_err(|error| error.message)?;
        let answer = self.call_token_endpoint(request).await;
        let read = call.read_token(answer.as_ref(), &authorization.scopes_requested, &[], None, self.now());
        read.map_err(|refused| refusal(&call, &refused, None).into())
    }

    async fn reject(&self, acting: &Acting, stored: &StoredAuthorization, refused: Refused) -> Result<(), Failure> {
        let authorization = &stored.authorization;
        let connection = match authorization.connection {
            Some(id) => {
                store::connection::find(&self.db, stored.site, id).await.or_internal("reading the connection")?
            }
            None => None,
        };
        let name = self.library().get(&authorization.connector_slug).map(|connector| connector.display_name.clone());
        let detail = format!("{}: {}", name.unwrap_or_else(|| authorization.connector_slug.clone()), refused.error);
        let action = action_of(authorization.purpose);
        let entry = activity(acting, action, connection.as_ref(), ActivityOutcome::Rejected, Some(detail));
        let rejection = Rejection { error: refused.error, test: refused.test, activity: entry };
        store::authorization::reject(&self.db, stored.site, authorization.id, self.now(), rejection)
            .await
            .or_internal("ending the authorization")?;
        self.committed(stored.site);
        Ok(())
    }

    /// For the worker: ends authorizations whose exchange was cut off with a process; says how many.
    ///
    /// # Errors
    /// [`Failure::Internal`] where the database fails.
    pub async fn end_cut_off_authorizations(&self) -> Result<usize, Failure> {
        let before = self.now() - CUT_OFF;
        let found =
            store::authorization::cut_off(&self.db, before, 100).await.or_internal("looking for what was cut off")?;
        for stored in &found {
            let acting = self.acting_again(stored).await?;
            let error = "the exchange was cut off with the gateway's process, and its grant is lost: authorize again, \
                         and remove what the vendor shows besides";
            self.reject(&acting, stored, error.to_owned().into()).await?;
        }
        Ok(found.len())
    }

    /// For the worker: removes authorizations that ended long ago; says how many.
    ///
    /// # Errors
    /// [`Failure::Internal`] where the database fails.
    pub async fn purge_authorizations(&self) -> Result<u64, Failure> {
        store::authorization::purge(&self.db, self.now()).await.or_internal("removing old authorizations")
    }
}

/// How long an exchange may take: beyond all its calls' time-outs.
pub(super) const CUT_OFF: chrono::TimeDelta = chrono::TimeDelta::minutes(5);

/// Why a grant does not fit a connection: it is for another account of the vendor, or nobody says for which.
fn unfit(connection: &Connection, test: &TestReport) -> Option<String> {
    if connection.vendor_account_id.is_some() && test.vendor_account_id.is_none() {
        return Some(
            "the vendor does not say for which account the grant is, so it cannot be told from another's".into(),
        );
    }
    other_account("grant", connection, test)
}

fn parameters<'a>(query: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    query.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
}

/// A vendor's text as an operator may see it: bounded, on one line.
fn in_words(text: &str) -> String {
    let text: String = text.chars().take(VENDOR_TEXT_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.trim().to_owned()
}
