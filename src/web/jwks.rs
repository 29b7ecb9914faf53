//! Public keys of an identity provider (RFC 7517): fetched when they are needed, kept, and found by `kid` and algorithm.
//!
//! The provider decides which keys there are, and nobody else: addresses and keys in a token's own header are never
//! looked at. A token with an unknown `kid` leads to one look at the provider, and then to none for a while, so that
//! nobody can make the gateway ask as often as they like.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};

use crate::domain::clock::{BoxFuture, SharedClock};

/// Keys older than this are fetched anew, and serve on meanwhile.
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

/// A key that tokens can be verified by.
#[derive(Clone)]
struct PublicKey {
    kid: String,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// The provider's keys. Cheap to clone.
#[derive(Clone)]
pub(super) struct Jwks(Arc<Inner>);

struct Inner {
    fetch: FetchKeys,
    clock: SharedClock,
    known: Mutex<Known>,
    /// Held by whoever fetches.
    fetching: tokio::sync::Mutex<()>,
}

struct Known {
    keys: Arc<Vec<PublicKey>>,
    fetched_at: Option<DateTime<Utc>>,
    /// Before this the provider is not asked.
    next: DateTime<Utc>,
    /// In a row.
    failures: u32,
    /// Another one for each set of keys that differs from the one before.
    generation: u64,
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
        let known = Known {
            keys: Arc::default(),
            fetched_at: None,
            next: DateTime::<Utc>::MIN_UTC,
            failures: 0,
            generation: 0,
        };
        Self(Arc::new(Inner { fetch, clock, known: Mutex::new(known), fetching: tokio::sync::Mutex::default() }))
    }

    /// The key of this `kid` for this algorithm, and the generation of its set.
    pub(super) async fn find(&self, kid: &str, algorithm: Algorithm) -> Option<(DecodingKey, u64)> {
        if let Some(found) = self.look(kid, algorithm) {
            self.keep_fresh();
            return Some(found);
        }
        self.fetch_if_due(TimeDelta::zero()).await;
        self.look(kid, algorithm)
    }

    /// The generation of the keys that are good now; `None` where none are. A token that was verified by keys of another
    /// one has to be verified again.
    pub(super) fn generation(&self) -> Option<u64> {
        let good = {
            let known = self.known();
            (!known.is_older_than(LAPSED, self.0.clock.now())).then_some(known.generation)
        };
        self.keep_fresh();
        good
    }

    fn look(&self, kid: &str, algorithm: Algorithm) -> Option<(DecodingKey, u64)> {
        let known = self.known();
        if known.is_older_than(LAPSED, self.0.clock.now()) {
            return None;
        }
        let found = known.keys.iter().find(|key| key.kid == kid && key.algorithm == algorithm)?;
        Some((found.key.clone(), known.generation))
    }

    /// Fetches keys that have become old, while they serve on.
    fn keep_fresh(&self) {
        let now = self.0.clock.now();
        let due = {
            let known = self.known();
            known.is_older_than(FRESH, now) && now >= known.next
        };
        if due {
            let own = self.clone();
            tokio::spawn(async move { own.fetch_if_due(FRESH).await });
        }
    }

    /// Fetches the keys, unless they are younger than `age` or the provider is not to be asked yet. Where somebody else
    /// fetches them, their outcome is waited for.
    async fn fetch_if_due(&self, age: TimeDelta) {
        let _turn = self.0.fetching.lock().await;
        let asked = self.0.clock.now();
        {
            let known = self.known();
            if asked < known.next || !known.is_older_than(age, asked) {
                return;
            }
        }
        let fetched = (self.0.fetch)().await.and_then(|text| read(&text));
        let now = self.0.clock.now();
        let mut known = self.known();
        match fetched {
            Ok(keys) => {
                let names = |keys: &[PublicKey]| keys.iter().map(|key| key.kid.clone()).collect::<Vec<_>>();
                if known.fetched_at.is_none() || names(&known.keys) != names(&keys) {
                    tracing::info!(keys = keys.len(), "the identity provider's keys");
                }
                // Also where the same names come again: what they stand for may be another key.
                known.generation += 1;
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
    let keys: Vec<PublicKey> = set.keys.into_iter().take(KEYS_MAX).filter_map(public_key).collect();
    if keys.is_empty() {
        return Err("no key of the set verifies RS256, ES256 or EdDSA and has a `kid`".to_owned());
    }
    Ok(keys)
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
    Some(PublicKey { kid, algorithm, key: DecodingKey::from_jwk(&jwk).ok()? })
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
