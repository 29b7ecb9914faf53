//! How a vendor grants access by OAuth 2 (RFC 6749), with the ways in which vendors depart from it.

use std::sync::Arc;

use http::HeaderName;
use regex::Regex;

use super::{Call, Piece, Rule, UrlTemplate};
use crate::connector::template::Template;

/// The OAuth side of a flow.
#[derive(Clone, Debug)]
pub struct OAuth {
    pub grant: GrantKind,
    /// The name under which the operator of the gateway has registered the client; `None` where the
    /// operator of the site enters it.
    pub app: Option<String>,
    pub pkce: Pkce,
    /// What the vendor names itself in callbacks (RFC 9207).
    pub issuer: Option<String>,
    pub refresh: RefreshKind,
    /// When the vendor recommends to renew, in seconds from the last time.
    pub renew_after: Option<u32>,
    pub refresh_limit: Option<RefreshLimit>,
    /// Whether a revocation ends the access of other connections to the same account too.
    pub shared_grant: bool,
    /// Client id and secret, where the operator enters them.
    pub(in crate::connector) client: Option<(Template, Template)>,
    /// Of a flow with an operator's consent.
    pub(in crate::connector) authorize: Option<Authorize>,
    pub(in crate::connector) omitted: Vec<Omitted>,
    pub(in crate::connector) scope_separator: String,
    pub(in crate::connector) token: TokenCall,
    /// Where the answer names the scopes that were granted, and what stands between them.
    pub(in crate::connector) granted: (String, String),
    pub(in crate::connector) expiry: Expiry,
    /// What a refusal by the token endpoint means.
    pub(in crate::connector) rules: Vec<Rule>,
    pub(in crate::connector) revocation: Option<Revocation>,
}

/// Who consents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantKind {
    /// An operator, in a browser at the vendor.
    AuthorizationCode,
    /// Nobody: the client acts for itself.
    ClientCredentials,
}

/// Proof Key for Code Exchange (RFC 7636), always by S256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pkce {
    None,
    /// The vendor takes it: it is used.
    Supported,
    /// The vendor refuses a request without it.
    Required,
}

/// How an access token is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshKind {
    /// Not at all.
    None,
    /// By a refresh token that stays.
    Same,
    /// By a refresh token that is used up. The old one still serves for `grace` seconds.
    Rotating { grace: u32 },
    /// By asking for a new one as at first.
    Mint,
}

/// More refreshes of one grant than these are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshLimit {
    pub calls: u32,
    pub seconds: u32,
}

/// Where the operator is sent for consent.
#[derive(Clone, Debug)]
pub(in crate::connector) struct Authorize {
    pub(in crate::connector) url: Arc<UrlTemplate>,
    pub(in crate::connector) parameters: Arc<Vec<(String, Piece)>>,
}

/// A usual parameter that the vendor does not want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::connector) enum Omitted {
    ResponseType,
    Scope,
    RedirectUri,
}

/// The token endpoint.
#[derive(Clone, Debug)]
pub(in crate::connector) struct TokenCall {
    pub(in crate::connector) url: Arc<UrlTemplate>,
    pub(in crate::connector) query: Arc<Vec<(String, Piece)>>,
    pub(in crate::connector) headers: Arc<Vec<(HeaderName, Piece)>>,
    /// Besides the usual ones, in the body.
    pub(in crate::connector) parameters: Arc<Vec<(String, Piece)>>,
    pub(in crate::connector) body: TokenBody,
    pub(in crate::connector) client_auth: ClientAuth,
    /// On a refresh.
    pub(in crate::connector) refresh_client_auth: ClientAuth,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::connector) enum TokenBody {
    Form,
    Json,
}

/// How the client proves itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::connector) enum ClientAuth {
    /// Id and secret in the body.
    Body,
    /// HTTP Basic: id and secret.
    Basic,
    /// HTTP Basic: the secret as the user's name, and no password. The id is not sent.
    BasicSecretAsUser,
    /// Not at all: neither is sent.
    None,
}

/// When an access token runs out.
#[derive(Clone, Debug)]
pub(in crate::connector) struct Expiry {
    pub(in crate::connector) pointer: String,
    pub(in crate::connector) form: ExpiryForm,
    pub(in crate::connector) zero_is_never: bool,
    /// Where the answer does not say it, in seconds.
    pub(in crate::connector) assumed: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::connector) enum ExpiryForm {
    /// From now.
    Seconds,
    /// A point in time (RFC 3339).
    Time,
    /// A point in time.
    UnixSeconds,
}

/// A value that the vendor gives with the grant.
#[derive(Clone, Debug)]
pub(in crate::connector) struct Capture {
    pub(in crate::connector) name: String,
    pub(in crate::connector) from: CaptureFrom,
    /// The value must match; its first group, or the match, counts.
    pub(in crate::connector) pattern: Option<Regex>,
    /// The host of calls: it must be on the manifest's list.
    pub(in crate::connector) host: bool,
    pub(in crate::connector) optional: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::connector) enum CaptureFrom {
    /// A parameter of the callback's query.
    Callback(String),
    /// A pointer into the token endpoint's answer.
    Token(String),
    /// A step of the test, and a pointer into its answer.
    Step(String, String),
}

/// How a grant is given back.
#[derive(Clone, Debug)]
pub(in crate::connector) struct Revocation {
    pub(in crate::connector) call: Arc<Call>,
    pub(in crate::connector) client_auth: ClientAuth,
    pub(in crate::connector) rules: Vec<Rule>,
}
