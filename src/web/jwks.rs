//! Public keys of an identity provider (RFC 7517): fetched when they are needed, kept, and found by `kid` and algorithm.
//!
//! The provider decides which keys there are, and nobody else: addresses and keys in a token's own header are never
//! looked at, and a key that it does not publish any more is good no more. A token with an unknown `kid` leads to one
//! look at the provider, and then to none for a while, so that nobody can make the gateway ask as often as they like.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse, ThumbprintHash},
};

use crate::domain::clock::{BoxFuture, SharedClock};

/// Keys older than this are fetched anew before they are used; they serve on where that fails.
const FRESH: TimeDelta = TimeDelta::minutes(10);
/// Keys that could not be fetched anew for so long are good for nothing.
const LAPSED: TimeDelta = TimeDelta::hours(24);
/// How long after keys were fetched an unknown one is looked for again.
const REST: TimeDelta = TimeDelta::seconds(10);
/// The pause after a first failure, and the longest.
const BACKOFF: TimeDelta = TimeDelta::seconds(1);
const BACKOFF_MAX: TimeDelta = TimeDelta::minutes(5);
/// How many keys of a set are read.
const KEYS_MAX: usize = 100;
/// The longest `kid`, in bytes.
const KID_MAX: usize = 256;
/// RSA keys, in bits of their modulus: no less (RFC 7518, section 3.3), and no more than is checked quickly.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;

/// Fetches the provider's key set.
pub type FetchKeys = Arc<dyn Fn() -> BoxFuture<'static, Result<Vec<u8>, String>> + Send + Sync>;

/// Tells one key from every other, whatever it is called (RFC 7638).
pub(super) type Thumbprint = Arc<str>;

/// A key that tokens can be verified by.
#[derive(Clone)]
struct PublicKey {
    kid: String,
    algorithm: Algorithm,
    key: DecodingKey,
    thumbprint: Thumbprint,
}

/// The provider's keys. Cheap to clone.
#[derive(Clone)]
pub(super) struct Jwks(Arc<Inner>);

struct Inner {
    fetch: FetchKeys,
    clock: SharedClock,
    known: Mutex<Known>,
    /// Held by whoever fetches.
    fetching: Arc<tokio::sync::Mutex<()>>,
}

struct Known {
    keys: Arc<Vec<PublicKey>>,
    fetched_at: Option<DateTime<Utc>>,
    /// Before this the provider is not asked.
    next: DateTime<Utc>,
    /// In a row.
    failures: u32,
}

impl Known {
    fn is_older_than(&self, age: TimeDelta, now: DateTime<Utc>) -> bool {
        self.fetched_at.is_none_or(|at| now - at >= age)
    }
}

impl fmt::Debug for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwks").finish_non_exhaustive()
    }
}

impl Jwks {
    pub(super) fn new(fetch: FetchKeys, clock: SharedClock) -> Self {
        let known = Known { keys: Arc::default(), fetched_at: None, next: DateTime::<Utc>::MIN_UTC, failures: 0 };
        Self(Arc::new(Inner { fetch, clock, known: Mutex::new(known), fetching: Arc::default() }))
    }

    /// The key of this `kid` for this algorithm.
    pub(super) async fn find(&self, kid: &str, algorithm: Algorithm) -> Option<(DecodingKey, Thumbprint)> {
        self.fetch_if_due(FRESH).await;
        let called = |key: &PublicKey| key.kid == kid && key.algorithm == algorithm;
        let found = if let Some(found) = self.look(called) {
            found
        } else {
            self.fetch_if_due(TimeDelta::zero()).await;
            self.look(called)?
        };
        Some((found.key, found.thumbprint))
    }

    /// Whether the provider still has this key, as far as it could be asked.
    pub(super) async fn has(&self, thumbprint: &Thumbprint) -> bool {
        self.fetch_if_due(FRESH).await;
        self.look(|key| key.thumbprint == *thumbprint).is_some()
    }

    fn look(&self, wanted: impl Fn(&PublicKey) -> bool) -> Option<PublicKey> {
        let known = self.known();
        if known.is_older_than(LAPSED, self.0.clock.now()) {
            return None;
        }
        known.keys.iter().find(|key| wanted(key)).cloned()
    }

    fn is_due(&self, age: TimeDelta) -> bool {
        let (known, now) = (self.known(), self.0.clock.now());
        now >= known.next && known.is_older_than(age, now)
    }

    /// Fetches the keys, unless they are younger than `age` or the provider is not to be asked yet. Where somebody else
    /// fetches them, their outcome is waited for. Whoever waits may go away: the fetch goes on.
    async fn fetch_if_due(&self, age: TimeDelta) {
        let is_wanted = self.known().is_older_than(age, self.0.clock.now());
        let is_under_way = self.0.fetching.try_lock().is_err();
        if !is_wanted || !(is_under_way || self.is_due(age)) {
            return;
        }
        let turn = Arc::clone(&self.0.fetching).lock_owned().await;
        if !self.is_due(age) {
            return;
        }
        self.known().next = self.0.clock.now() + REST;
        let own = self.clone();
        let fetch = tokio::spawn(async move {
            own.fetch().await;
            drop(turn);
        });
        if fetch.await.is_err() {
            tracing::error!("fetching the identity provider's keys broke off");
        }
    }

    async fn fetch(&self) {
        let fetched = (self.0.fetch)().await.and_then(|text| read(&text));
        let now = self.0.clock.now();
        let mut known = self.known();
        match fetched {
            Ok(keys) => {
                let prints = |keys: &[PublicKey]| keys.iter().map(|key| key.thumbprint.clone()).collect::<Vec<_>>();
                if keys.is_empty() {
                    tracing::warn!("the identity provider has no key with a `kid` for RS256, ES256 or EdDSA");
                } else if prints(&known.keys) != prints(&keys) {
                    tracing::info!(keys = keys.len(), "the identity provider has other keys");
                }
                known.keys = Arc::new(keys);
                known.fetched_at = Some(now);
                known.failures = 0;
                known.next = now + REST;
            }
            Err(error) => {
                let pause = (BACKOFF * 2_i32.pow(known.failures.min(9))).min(BACKOFF_MAX);
                tracing::warn!(%error, seconds = pause.num_seconds(), "the identity provider's keys could not be fetched");
                known.failures = known.failures.saturating_add(1);
                known.next = now + pause;
            }
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        // It is only ever changed whole.
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a key set (RFC 7517, section 5). Keys that no token can be verified by are passed over, as the section has it.
fn read(text: &[u8]) -> Result<Vec<PublicKey>, String> {
    #[derive(serde::Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }
    let set: Set = serde_json::from_slice(text).map_err(|error| format!("it is no key set: {error}"))?;
    Ok(set.keys.into_iter().take(KEYS_MAX).filter_map(public_key).collect())
}

fn public_key(value: serde_json::Value) -> Option<PublicKey> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let kid = jwk.common.key_id.clone().filter(|kid| !kid.is_empty() && kid.len() <= KID_MAX)?;
    if jwk.common.public_key_use.as_ref().is_some_and(|used| *used != PublicKeyUse::Signature)
        || jwk.common.key_operations.as_ref().is_some_and(|allowed| !allowed.contains(&KeyOperations::Verify))
    {
        return None;
    }
    // A secret in a public set is nobody's secret, and a key of one kind verifies nothing else.
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) if RSA_BITS.contains(&bits(&rsa.n)?) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return None,
    };
    if jwk.common.key_algorithm.is_some_and(|only| only != named) {
        return None;
    }
    let thumbprint = Arc::from(jwk.thumbprint(ThumbprintHash::SHA256).ok()?);
    Some(PublicKey { kid, algorithm, key: DecodingKey::from_jwk(&jwk).ok()?, thumbprint })
}

/// The length of a modulus, without zeros in front.
fn bits(modulus: &str) -> Option<usize> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let bytes = URL_SAFE_NO_PAD.decode(modulus).ok()?;
    let first = bytes.iter().position(|byte| *byte != 0)?;
    let rest = &bytes[first..];
    Some(rest.len() * 8 - rest[0].leading_zeros() as usize)
}

#[cfg(test)]
#[path = "jwks_tests.rs"]
mod tests;
