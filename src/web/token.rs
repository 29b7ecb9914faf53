//! Bearer tokens: the only place where a [`SiteId`] comes from a request.
//!
//! Tokens are JWTs (RFC 7515, RFC 7519): signed with HS256 and our own key, or with RS256, ES256 or `EdDSA` and a key of
//! an identity provider. Which algorithm a key is for is ours to say: what the token's header says is only ever compared.
//! Every check that fails looks the same from outside.
//! `web` verifies with a [`TokenVerifier`]; the `token` command and `--dev` [`mint`].

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode_header};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::jwks::{FetchKeys, Jwks, Thumbprint};
use crate::domain::{
    clock::{Clock, SharedClock},
    id::{OperatorId, SiteId},
    principal::{Actor, Principal, PrincipalKind},
    secret::SecretBytes,
};

/// The longest token that is looked at, in bytes.
pub const TOKEN_MAX: usize = 8 * 1024;
/// The longest subject, name or role, in characters.
pub const TEXT_MAX: usize = 120;
/// The longest name of a module, in characters.
pub const MODULE_MAX: usize = 64;
/// The greatest number of a site or an operator: what the API's `Int` carries (GraphQL, section 3.5.1).
pub const NUMBER_MAX: i64 = i32::MAX as i64;
/// How many verified tokens are remembered.
const KNOWN_MAX: usize = 10_000;
/// How far another machine's clock may be ahead when it says when a token was made, in seconds.
const SKEW_SECONDS: i64 = 5;

/// What tokens are signed with, and for whom they must be made.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// The HS256 key, at least 32 bytes; `None` where only an identity provider's tokens are taken.
    pub secret: Option<SecretBytes>,
    /// Where an identity provider has its public keys. It must name issuer and audience then.
    pub jwks: Option<Url>,
    /// Tokens must name this issuer (`iss`), where it is set.
    pub issuer: Option<String>,
    /// Tokens must name this audience (`aud`), where it is set; where it is not, they must name none.
    pub audience: Option<String>,
}

/// The token is worth nothing. Why is nobody's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unauthenticated;

#[derive(Deserialize)]
struct Claims {
    sub: String,
    name: Option<String>,
    site: i64,
    kind: String,
    role: String,
    exp: i64,
    iat: Option<i64>,
    nbf: Option<i64>,
    iss: Option<String>,
    aud: Option<Audience>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn names(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => many.iter().any(|one| one == audience),
        }
    }
}

/// What a token says that was verified. Time goes on, and so is looked at each time.
#[derive(Clone)]
struct Known {
    principal: Principal,
    /// `iat` or `nbf`, whichever is later.
    since: Option<i64>,
    standing: Standing,
}

/// What a token rests on besides its time: the identity provider's key that it was verified by, if it was one of those.
#[derive(Clone, Debug, Default)]
pub struct Standing(Option<Thumbprint>);

impl Known {
    fn holder(self, now: DateTime<Utc>) -> Option<(Principal, Standing)> {
        let is_good = self.principal.expires_at > now && has_come(self.since, now);
        is_good.then_some((self.principal, self.standing))
    }
}

/// Verifies bearer tokens. Cheap to clone.
#[derive(Clone)]
pub struct TokenVerifier(Arc<Inner>);

struct Inner {
    /// Tokens that were verified, by their SHA-256. It dies with our own key; what other keys have verified counts as
    /// long as they are there.
    known: Cache<[u8; 32], Known>,
    key: Option<DecodingKey>,
    provider: Option<Jwks>,
    issuer: Option<String>,
    audience: Option<String>,
    clock: SharedClock,
}

impl TokenVerifier {
    /// A verifier for these settings; `clock` says what has expired, and `fetch` brings the identity provider's keys.
    #[must_use]
    pub fn new(settings: &TokenSettings, clock: SharedClock, fetch: Option<FetchKeys>) -> Self {
        Self(Arc::new(Inner {
            known: Cache::new(KNOWN_MAX),
            key: settings.secret.as_ref().map(|secret| DecodingKey::from_secret(secret.expose())),
            provider: fetch.map(|fetch| Jwks::new(fetch, SharedClock::clone(&clock))),
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            clock,
        }))
    }

    /// Who holds this token, and what that rests on: see [`Self::stands`].
    ///
    /// # Errors
    /// [`Unauthenticated`] for every token that is not wholly right, whatever is wrong with it.
    pub async fn verify(&self, token: &str) -> Result<(Principal, Standing), Unauthenticated> {
        if token.len() > TOKEN_MAX {
            return Err(Unauthenticated);
        }
        let Inner { known, clock, .. } = &*self.0;
        let hash = Sha256::digest(token).into();
        if let Some(seen) = known.get(&hash) {
            if self.stands(&seen.standing).await {
                return seen.holder(clock.now()).ok_or(Unauthenticated);
            }
            known.remove(&hash);
        }
        let header = decode_header(token).map_err(|_| Unauthenticated)?;
        let (key, standing) = self.key_for(&header).await.ok_or(Unauthenticated)?;
        let verified = jsonwebtoken::decode::<Claims>(token, &key, &validation(header.alg));
        let token = verified.map_err(|_| Unauthenticated)?;
        let since = token.claims.iat.max(token.claims.nbf);
        let verified = Known { principal: self.principal(token.claims).ok_or(Unauthenticated)?, since, standing };
        let holder = verified.clone().holder(clock.now()).ok_or(Unauthenticated)?;
        known.insert(hash, verified);
        Ok(holder)
    }

    /// Whether a token that was verified would be still, but for its time: its key has not been withdrawn.
    pub async fn stands(&self, standing: &Standing) -> bool {
        match (&standing.0, &self.0.provider) {
            (None, _) => true,
            (Some(thumbprint), Some(provider)) => provider.has(thumbprint).await,
            (Some(_), None) => false,
        }
    }

    /// The key that a token with this header must be signed with.
    async fn key_for(&self, header: &Header) -> Option<(DecodingKey, Standing)> {
        // RFC 7515, section 4.1.11: an extension that is marked critical and not understood. RFC 8725, section 3.11: a
        // token of another kind, such as one that tells of a logout.
        if header.crit.is_some() || !header.typ.as_deref().is_none_or(is_access_token) {
            return None;
        }
        match header.alg {
            Algorithm::HS256 => Some((self.0.key.clone()?, Standing::default())),
            Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA => {
                let found = self.0.provider.as_ref()?.find(header.kid.as_deref()?, header.alg).await;
                found.map(|(key, thumbprint)| (key, Standing(Some(thumbprint))))
            }
            _ => None,
        }
    }

    fn principal(&self, claims: Claims) -> Option<Principal> {
        let expires_at = DateTime::from_timestamp(claims.exp, 0)?;
        if self.0.issuer.is_some() && self.0.issuer != claims.iss {
            return None;
        }
        let audience_fits = match (&self.0.audience, &claims.aud) {
            (Some(ours), Some(named)) => named.names(ours),
            (None, None) => true,
            // RFC 7519, section 4.1.3: a token for somebody else.
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !audience_fits || !(1..=NUMBER_MAX).contains(&claims.site) || !is_text(&claims.role) {
            return None;
        }
        let actor = match PrincipalKind::parse(&claims.kind)? {
            PrincipalKind::Operator => {
                if !claims.name.as_deref().is_none_or(is_text) {
                    return None;
                }
                Actor::Operator { id: operator_id(&claims.sub)?, name: claims.name }
            }
            PrincipalKind::Module => Actor::Module { name: Some(claims.sub).filter(|name| is_module_name(name))? },
        };
        Some(Principal { site: SiteId::from_verified_token(claims.site), actor, role: claims.role, expires_at })
    }
}

/// The check of a signature alone: the library asks the system's clock, and lets an audience through that nobody asked
/// for. Time, issuer and audience are checked here.
fn validation(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

/// The types of tokens that are for a resource server: JWT (RFC 7519, section 5.1), and at+jwt (RFC 9068, section 2.1).
fn is_access_token(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    matches!(kind.strip_prefix("application/").unwrap_or(&kind), "jwt" | "at+jwt")
}

/// Whether a time that the token names is past; one that it does not name is.
fn has_come(seconds: Option<i64>, now: DateTime<Utc>) -> bool {
    seconds.is_none_or(|seconds| {
        DateTime::from_timestamp(seconds, 0).is_some_and(|at| at <= now + TimeDelta::seconds(SKEW_SECONDS))
    })
}

/// A text for people: not empty, bounded, and in one line.
fn is_text(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= TEXT_MAX && !text.chars().any(char::is_control)
}

/// A positive number in its one canonical spelling, so that no two subjects are the same operator.
fn operator_id(text: &str) -> Option<OperatorId> {
    let id = text.parse::<i64>().ok()?;
    ((1..=NUMBER_MAX).contains(&id) && id.to_string() == text).then_some(OperatorId(id))
}

/// Whether this can be the name of a module: `[a-z0-9_-]`, 1 to 64 characters.
#[must_use]
pub fn is_module_name(name: &str) -> bool {
    (1..=MODULE_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
}

#[derive(Serialize)]
struct NewClaims<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    site: i64,
    kind: &'static str,
    role: &'a str,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

/// For whom a token is made.
#[derive(Clone, Debug)]
pub struct Holder {
    /// The platform's number of the site.
    pub site: i64,
    pub actor: Actor,
    pub role: String,
}

/// Signs a token for this holder, good from now on for as long as `ttl` says (to the second).
///
/// # Errors
/// What is wrong with the holder, in words: a token that [`TokenVerifier::verify`] would refuse is not made.
pub fn mint(settings: &TokenSettings, clock: &dyn Clock, holder: &Holder, ttl: Duration) -> Result<String, String> {
    let secret =
        settings.secret.as_ref().ok_or("GATEWAY_TOKEN_SECRET is not set: the identity provider makes tokens")?;
    if !(1..=NUMBER_MAX).contains(&holder.site) {
        return Err(format!("a site is a number from 1 to {NUMBER_MAX}"));
    }
    if !is_text(&holder.role) {
        return Err(format!("a role has 1 to {TEXT_MAX} characters, in one line"));
    }
    let (sub, name) = match &holder.actor {
        Actor::Operator { id, .. } if !(1..=NUMBER_MAX).contains(&id.0) => {
            return Err(format!("an operator is a number from 1 to {NUMBER_MAX}"));
        }
        Actor::Operator { name: Some(name), .. } if !is_text(name) => {
            return Err(format!("a name has 1 to {TEXT_MAX} characters, in one line"));
        }
        Actor::Operator { id, name } => (id.to_string(), name.as_deref()),
        Actor::Module { name } if !is_module_name(name) => {
            return Err(format!("a module's name has 1 to {MODULE_MAX} characters of a-z, 0-9, _ and -"));
        }
        Actor::Module { name } => (name.clone(), None),
    };
    let now = clock.now();
    let exp = TimeDelta::from_std(ttl)
        .ok()
        .filter(|ttl| ttl.num_seconds() > 0)
        .and_then(|ttl| now.checked_add_signed(ttl))
        .ok_or("a token lives for at least a second, and not beyond the calendar")?
        .timestamp();
    let claims = NewClaims {
        sub: &sub,
        name,
        site: holder.site,
        kind: holder.actor.kind().as_str(),
        role: &holder.role,
        iat: now.timestamp(),
        exp,
        iss: settings.issuer.as_deref(),
        aud: settings.audience.as_deref(),
    };
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(secret.expose()))
        .map_err(|error| error.to_string())
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
