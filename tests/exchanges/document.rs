//! The files under `tests/vendors`, as they are written.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue};
use integrations_gateway::{
    connector::Grant,
    domain::{
        exchange::{Answer, NoAnswer, TransportError},
        secret::Secret,
    },
};
use serde::Deserialize;
use serde_json::Value;

/// One file: a connection, one call, and either a test's cases or a delivery's answers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    pub flow: String,
    pub fields: BTreeMap<String, String>,
    #[serde(default)]
    pub signing: Vec<String>,
    /// Of an OAuth flow: what calls carry, and what is refreshed and revoked.
    pub grant: Option<GrantDocument>,
    pub now: DateTime<Utc>,
    pub message_id: String,
    /// Of a test: what the library says of the flow.
    pub says: Option<Says>,
    /// Of a test: the calls of its steps, in their order.
    #[serde(default)]
    pub requests: Vec<Request>,
    #[serde(default)]
    pub cases: Vec<Case>,
    /// Of a delivery.
    pub event: Option<EventDocument>,
    /// Of an OAuth flow: everything but the calls that carry its token.
    pub oauth: Option<OAuthDocument>,
    pub request: Option<Request>,
    #[serde(default)]
    pub answers: Vec<Read>,
}

impl Exchange {
    /// All calls that it speaks of.
    pub fn calls(&self) -> impl Iterator<Item = &Request> {
        let oauth = self.oauth.iter().flat_map(|oauth| {
            let code = oauth.code.iter().map(|code| &code.request);
            let revoke = oauth.revoke.iter().map(|revoke| &revoke.request);
            let mint = oauth.mint.iter().map(|mint| &mint.request);
            code.chain(mint).chain(&oauth.refresh).chain(revoke)
        });
        self.requests.iter().chain(&self.request).chain(oauth)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantDocument {
    pub access: String,
    pub refresh: Option<String>,
    #[serde(default)]
    pub scopes: Vec<String>,
    #[serde(default)]
    pub captured: BTreeMap<String, String>,
}

impl GrantDocument {
    /// The grant, through its sealed form.
    pub fn to_grant(&self) -> Grant {
        let grant = Grant {
            access: Secret::from(self.access.as_str()),
            refresh: self.refresh.as_deref().map(Secret::from),
            scopes: self.scopes.clone(),
            expires_at: None,
            captured: self.captured.clone().into_iter().collect(),
        };
        Grant::from_json(&grant.to_json()).expect("a grant")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuthDocument {
    pub client: ClientDocument,
    /// What the manifest says beside the calls.
    pub says: Value,
    pub consent: Option<ConsentDocument>,
    pub callback: Option<CallbackDocument>,
    pub code: Option<CodeDocument>,
    /// Of a flow that needs no operator's consent.
    pub mint: Option<MintDocument>,
    /// Of the token endpoint.
    pub tokens: Vec<TokenDocument>,
    pub refresh: Option<Request>,
    pub revoke: Option<RevokeDocument>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientDocument {
    pub id: String,
    pub secret: String,
}

/// Where the operator's browser goes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentDocument {
    pub redirect_uri: String,
    pub state: String,
    pub scopes: Vec<String>,
    pub code_challenge: Option<String>,
    pub url: String,
}

/// With what it comes back, and what is kept of that.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallbackDocument {
    pub query: BTreeMap<String, String>,
    pub captured: BTreeMap<String, String>,
}

/// The exchange of a code.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeDocument {
    pub code: String,
    pub verifier: Option<String>,
    pub request: Request,
}

/// A token that the client asks for in its own name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MintDocument {
    #[serde(default)]
    pub scopes: Vec<String>,
    pub request: Request,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenDocument {
    pub name: String,
    pub facts: String,
    /// Whether it answers a refresh of the grant.
    #[serde(default)]
    pub renews: bool,
    pub answer: Reply,
    pub found: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeDocument {
    pub request: Request,
    pub answers: Vec<RevokedDocument>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokedDocument {
    pub name: String,
    pub facts: String,
    pub answer: Reply,
    pub found: Value,
}

/// What is known of a flow before it is used.
#[derive(Deserialize, PartialEq, Debug)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a flow")]
pub struct Says {
    /// The fields that are part of the credential.
    pub sealed: Vec<String>,
    pub expires: bool,
    pub refreshable: bool,
    pub revocable: bool,
    pub scopes_editable: bool,
    /// Where deliveries go, for these fields.
    pub destination: Option<String>,
    /// Of an OAuth flow: id, whether it is asked for by default, whether it is sensitive; all that the connector has.
    pub scopes: Option<Vec<(String, bool, bool)>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub method: String,
    pub url: String,
    /// All of them.
    pub headers: BTreeMap<String, String>,
    pub body: Option<String>,
    pub json: Option<Value>,
    pub form: Option<Vec<(String, String)>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    pub facts: String,
    /// One for each call that the test makes.
    pub answers: Vec<Reply>,
    pub found: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventDocument {
    pub event_type: String,
    pub event_identifier: String,
    pub payload: Value,
    pub accepted_at: DateTime<Utc>,
    pub module: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    pub name: String,
    pub facts: String,
    pub answer: Reply,
    pub verdict: Value,
    /// What the log says of it before the vendor's own words; not looked at where it is left out.
    pub detail: Option<String>,
}

#[derive(Deserialize, Clone)]
#[serde(untagged)]
pub enum Reply {
    None { no_answer: String, detail: String },
    Json { status: u16, headers: BTreeMap<String, String>, json: Value },
    Text { status: u16, headers: BTreeMap<String, String>, body: String },
}

impl Reply {
    pub fn to_result(&self) -> Result<Answer, NoAnswer> {
        let (status, headers, body) = match self {
            Self::None { no_answer, detail } => {
                let error = TransportError::parse(no_answer).expect("a transport error");
                return Err(NoAnswer { error, detail: detail.clone(), reached: true, latency: Duration::ZERO });
            }
            Self::Json { status, headers, json } => (status, headers, json.to_string()),
            Self::Text { status, headers, body } => (status, headers, body.clone()),
        };
        let header = |(name, value): (&String, &String)| {
            (HeaderName::try_from(name).expect("a name"), HeaderValue::try_from(value).expect("a value"))
        };
        let headers: HeaderMap = headers.iter().map(header).collect();
        Ok(Answer { status: *status, headers, body: body.into_bytes(), truncated: false, latency: Duration::ZERO })
    }
}
