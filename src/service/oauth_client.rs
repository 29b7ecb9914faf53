//! The gateway as a client of vendors: which client, and its calls to token endpoints.

use std::{collections::HashMap, time::Duration};

use url::Url;

use super::{gateway::Gateway, types::Failure};
use crate::{
    connector::{Connector, Flow, Grant, OAuth, OAuthCall, OAuthClient, Revoked, TokenRefused, Values},
    domain::{
        connector::AuthFlow,
        exchange::{Answer, NoAnswer, OutboundRequest},
        secret::Secret,
    },
    egress::Limits,
};

/// How long a call to a token endpoint may take: well within a lease.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How much of an answer is read.
const MAX_BODY: usize = 64 * 1024;

/// What the gateway is to vendors and to the browsers that it sends to them.
#[derive(Clone, Debug)]
pub struct OAuthSettings {
    /// The clients that are registered with vendors, by the names that manifests have for them.
    pub apps: HashMap<String, OAuthClient>,
    /// Where browsers reach the gateway, base path included.
    pub public_url: Url,
    /// Further origins that a browser may be sent back to, as browsers spell them.
    pub return_origins: Vec<String>,
}

impl OAuthSettings {
    /// An address of the gateway's own.
    pub(super) fn own(&self, path: &str) -> String {
        format!("{}/{path}", self.public_url.as_str().trim_end_matches('/'))
    }

    /// Where vendors send browsers back to.
    pub(super) fn redirect_uri(&self) -> String {
        self.own("oauth/callback")
    }

    /// Checks where a browser is to go in the end.
    pub(super) fn check_return(&self, to: &str) -> Result<String, Failure> {
        let wrong = |message: String| Failure::bad_input("returnTo", message);
        let url = Url::parse(to).map_err(|error| wrong(format!("is not a URL: {error}")))?;
        let origin = url.origin().ascii_serialization();
        let own = self.public_url.origin().ascii_serialization();
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("has a user or a password, which have no place in it".to_owned()));
        }
        if origin != own && !self.return_origins.contains(&origin) {
            let allowed: Vec<&str> =
                std::iter::once(own.as_str()).chain(self.return_origins.iter().map(String::as_str)).collect();
            return Err(wrong(format!(
                "leads to {origin}; allowed are {} (GATEWAY_RETURN_ORIGINS)",
                allowed.join(", ")
            )));
        }
        Ok(url.into())
    }
}

/// A connector's OAuth flow with the client that this gateway is.
pub(super) struct OAuthFlow<'a> {
    pub connector: &'a Connector,
    pub flow: &'a Flow,
    pub oauth: &'a OAuth,
    pub values: &'a Values,
    pub client: OAuthClient,
}

impl OAuthFlow<'_> {
    /// Its requests and answers.
    pub fn call(&self) -> Result<OAuthCall<'_>, Failure> {
        OAuthCall::new(self.connector, self.values, &self.client).map_err(|error| Failure::Conflict(error.message))
    }
}

/// The connector's OAuth flow.
pub(super) fn oauth_of(connector: &Connector) -> Result<(&Flow, &OAuth), Failure> {
    let flow = connector.flow(AuthFlow::Oauth);
    flow.and_then(|flow| Some((flow, flow.oauth.as_ref()?))).ok_or_else(|| {
        Failure::bad_input("connectorSlug", format!("{} does not connect by OAuth", connector.display_name))
    })
}

impl Gateway {
    /// The connector's OAuth flow, with the client that is registered for it.
    pub(super) fn oauth_flow<'a>(
        &self,
        connector: &'a Connector,
        values: &'a Values,
    ) -> Result<OAuthFlow<'a>, Failure> {
        let (flow, oauth) = oauth_of(connector)?;
        let client = match &oauth.app {
            Some(app) => self.oauth.apps.get(app).cloned().ok_or_else(|| {
                Failure::Conflict(format!(
                    "{} cannot be connected yet: the gateway's operator has registered no OAuth app for it \
                     (GATEWAY_OAUTH_APPS has no [{app}])",
                    connector.display_name
                ))
            })?,
            None => oauth.entered_client(flow, values).ok_or_else(|| {
                Failure::Conflict(format!(
                    "{}: the client's id and secret are not among the fields",
                    connector.display_name
                ))
            })?,
        };
        Ok(OAuthFlow { connector, flow, oauth, values, client })
    }

    /// Calls a token endpoint or a revocation.
    pub(super) async fn call_token_endpoint(&self, request: OutboundRequest) -> Result<Answer, NoAnswer> {
        self.egress.send(request, Limits { timeout: TIMEOUT, max_body: MAX_BODY }).await
    }

    /// Gives a grant back to its vendor. `None` where the vendor has no call for it.
    pub(super) async fn revoke_grant(&self, flow: &OAuthFlow<'_>, grant: &Grant) -> Option<Revoked> {
        let failed = |detail: String| Some(Revoked::Failed { again: false, detail });
        let Ok(call) = flow.call() else {
            return failed("the connector does not offer OAuth any more".to_owned());
        };
        match call.revoke(grant) {
            Ok(None) => None,
            Ok(Some(request)) => {
                let answer = self.call_token_endpoint(request).await;
                Some(match call.read_revocation(answer.as_ref()) {
                    Revoked::Failed { again, detail } => {
                        Revoked::Failed { again, detail: call.mask(&detail, Some(grant)) }
                    }
                    other => other,
                })
            }
            Err(error) => failed(error.message),
        }
    }
}

/// Why there is no token, in words for an operator.
pub(super) fn refusal(call: &OAuthCall<'_>, refused: &TokenRefused, grant: Option<&Grant>) -> String {
    let mut text = refused.detail.clone();
    for more in [&refused.vendor_error_code, &refused.vendor_message].into_iter().flatten() {
        text.push_str(": ");
        text.push_str(more);
    }
    call.mask(&text, grant)
}

/// A random text of 256 bits, as goes into an address.
pub(super) fn random_text(gateway: &Gateway) -> Secret {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let bytes = zeroize::Zeroizing::new(crate::domain::clock::random::<32>(&*gateway.entropy));
    Secret::new(URL_SAFE_NO_PAD.encode(*bytes))
}

/// The SHA-256 of a text that is not kept, in hexadecimal digits.
pub(super) fn hash(text: &str) -> String {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        use std::fmt::Write as _;
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
