use std::sync::atomic::{AtomicU32, Ordering};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::EncodingKey;
use proptest::prelude::*;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384};
use serde_json::{Value, json};

use super::{super::set_clock::Set, *};

fn es256(kid: &str) -> Value {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    let key = EncodingKey::from_ec_der(&pair.serialize_der());
    named(&Jwk::from_encoding_key(&key, Algorithm::ES256).expect("a public key"), kid)
}

fn named(jwk: &Jwk, kid: &str) -> Value {
    let mut jwk = serde_json::to_value(jwk).expect("a key is JSON");
    jwk["kid"] = json!(kid);
    jwk
}

fn with(mut jwk: Value, name: &str, value: Value) -> Value {
    jwk[name] = value;
    jwk
}

fn found(keys: &[Value]) -> Vec<(String, Algorithm)> {
    let keys = read(json!({ "keys": keys }).to_string().as_bytes()).unwrap_or_default();
    keys.into_iter().map(|key| (key.kid, key.algorithm)).collect()
}

#[test]
fn keys_that_verify_nothing_here_are_passed_over() {
    // RFC 8037, appendix A.2.
    let ed = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).expect("a key");
    let p384 = Jwk::from_encoding_key(&EncodingKey::from_ec_der(&p384.serialize_der()), Algorithm::ES384);
    let rsa = |bytes: usize, first: u8| {
        let mut modulus = vec![0xff; bytes];
        modulus[0] = first;
        json!({"kty": "RSA", "kid": "rsa", "n": URL_SAFE_NO_PAD.encode(modulus), "e": "AQAB"})
    };
    let without_kid = {
        let mut jwk = es256("x");
        jwk.as_object_mut().expect("an object").remove("kid");
        jwk
    };
    for refused in [
        json!({"kty": "oct", "kid": "secret", "k": "c2VjcmV0"}),
        json!({"kty": "new", "kid": "unheard of"}),
        json!({"kid": "nothing"}),
        json!("text"),
        json!(null),
        without_kid,
        es256(""),
        es256(&"k".repeat(KID_MAX + 1)),
        with(es256("e"), "use", json!("enc")),
        with(es256("e"), "key_ops", json!(["sign"])),
        with(es256("e"), "alg", json!("RS256")),
        with(es256("e"), "alg", json!("ES384")),
        with(es256("e"), "x", json!("!!")),
        named(&p384.expect("a public key"), "p384"),
        // Too short by one bit, and too long by one.
        rsa(256, 0x7f),
        rsa(1_025, 0x01),
        with(rsa(256, 0xff), "alg", json!("RS384")),
        with(rsa(256, 0xff), "alg", json!("RSA-OAEP")),
    ] {
        assert_eq!(found(std::slice::from_ref(&refused)), [], "{refused}");
        assert_eq!(found(&[refused, es256("good")]), [("good".to_owned(), Algorithm::ES256)]);
    }
    for (taken, algorithm) in [
        (with(with(es256("k"), "use", json!("sig")), "key_ops", json!(["verify"])), Algorithm::ES256),
        (with(ed, "kid", json!("k")), Algorithm::EdDSA),
        (with(rsa(256, 0x80), "kid", json!("k")), Algorithm::RS256),
        (with(with(rsa(1_024, 0xff), "kid", json!("k")), "alg", json!("RS256")), Algorithm::RS256),
    ] {
        assert_eq!(found(std::slice::from_ref(&taken)), [("k".to_owned(), algorithm)], "{taken}");
    }
    let many: Vec<Value> = (0..KEYS_MAX + 5).map(|n| es256(&n.to_string())).collect();
    assert_eq!(found(&many).len(), KEYS_MAX);
}

/// A provider whose answer can be changed, and how often it was asked.
struct Provider {
    answer: Mutex<Result<Vec<u8>, String>>,
    asked: AtomicU32,
}

impl Provider {
    fn gives(&self, keys: &[Value]) {
        *self.answer.lock().expect("not poisoned") = Ok(json!({ "keys": keys }).to_string().into_bytes());
    }

    fn fails(&self) {
        *self.answer.lock().expect("not poisoned") = Err("it does not answer".to_owned());
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }
}

fn provided() -> (Arc<Provider>, Arc<Set>, Jwks) {
    let provider = Arc::new(Provider { answer: Mutex::new(Err(String::new())), asked: AtomicU32::new(0) });
    let clock = Set::at(1_800_000_000);
    let own = Arc::clone(&provider);
    let fetch: FetchKeys = Arc::new(move || {
        own.asked.fetch_add(1, Ordering::Relaxed);
        let answer = own.answer.lock().expect("not poisoned").clone();
        Box::pin(async move { answer })
    });
    let jwks = Jwks::new(fetch, clock.clone());
    (provider, clock, jwks)
}

#[tokio::test]
async fn the_provider_is_asked_when_it_must_be_and_not_more() {
    let (provider, clock, jwks) = provided();
    let at = |seconds: i64| clock.0.store(1_800_000_000 + seconds, Ordering::Relaxed);
    let (first, second) = (es256("first"), es256("second"));
    provider.gives(std::slice::from_ref(&first));
    let is_known = async |kid: &str| jwks.find(kid, Algorithm::ES256).await.is_some();
    assert!(is_known("first").await);
    assert!(jwks.find("first", Algorithm::RS256).await.is_none(), "a key is for one algorithm");
    // Whatever names clients make up, it is asked once in ten seconds.
    for kid in ["second", "../first", "first ", "", "second"] {
        assert!(!is_known(kid).await);
    }
    assert_eq!(provider.asked(), 1);
    provider.gives(&[first, second.clone()]);
    at(9);
    assert!(!is_known("second").await);
    at(10);
    assert!(is_known("second").await && is_known("first").await);
    assert_eq!(provider.asked(), 2);
    let (_, thumbprint) = jwks.find("first", Algorithm::ES256).await.expect("it is known");
    assert!(jwks.has(&thumbprint).await);

    // Ten minutes later they are fetched anew before they are used: one that is gone serves no more.
    provider.gives(&[second]);
    at(10 + 599);
    assert!(is_known("first").await && jwks.has(&thumbprint).await);
    at(10 + 600);
    assert!(!jwks.has(&thumbprint).await && !is_known("first").await && is_known("second").await);
    assert_eq!(provider.asked(), 3);
    // Another key of the same name is another key.
    let again = es256("second");
    provider.gives(std::slice::from_ref(&again));
    let (_, old) = jwks.find("second", Algorithm::ES256).await.expect("it is known");
    at(10 + 1_200);
    assert!(is_known("second").await && !jwks.has(&old).await);
    // What cannot be used is the truth all the same: nothing is good then.
    provider.gives(&[json!({"kty": "oct", "kid": "second", "k": "c2VjcmV0"})]);
    at(10 + 1_800);
    assert!(!is_known("second").await);
}

#[tokio::test]
async fn keys_serve_on_while_the_provider_does_not_answer_but_not_for_ever() {
    let (provider, clock, jwks) = provided();
    let at = |seconds: i64| clock.0.store(1_800_000_000 + seconds, Ordering::Relaxed);
    let is_known = async |kid: &str| jwks.find(kid, Algorithm::ES256).await.is_some();
    // Pauses double: at 0, 1, 3, 7 seconds.
    for (seconds, asked) in [(0, 1), (0, 1), (1, 2), (2, 2), (3, 3), (6, 3), (7, 4)] {
        at(seconds);
        assert!(!is_known("first").await);
        assert_eq!(provider.asked(), asked, "at {seconds}");
    }
    let first = es256("first");
    provider.gives(&[first]);
    at(15);
    assert!(is_known("first").await);
    provider.fails();
    at(15 + 86_399);
    assert!(is_known("first").await);
    at(15 + 86_400);
    assert!(!is_known("first").await);
}

/// Whoever goes away while the keys are fetched changes nothing about how often they are.
#[tokio::test]
async fn callers_that_go_away_do_not_make_it_ask_again() {
    let asked = Arc::new(AtomicU32::new(0));
    let (release, clock) = (Arc::new(tokio::sync::Notify::new()), Set::at(1_800_000_000));
    let (own, held) = (Arc::clone(&asked), Arc::clone(&release));
    let set = json!({ "keys": [es256("first")] }).to_string().into_bytes();
    let fetch: FetchKeys = Arc::new(move || {
        own.fetch_add(1, Ordering::Relaxed);
        let (held, set) = (Arc::clone(&held), set.clone());
        Box::pin(async move {
            held.notified().await;
            Ok(set)
        })
    });
    let jwks = Jwks::new(fetch, clock);
    for _ in 0..20 {
        let mut caller = Box::pin(jwks.find("made up", Algorithm::ES256));
        // It begins to wait, and is dropped.
        assert!(futures_util::poll!(caller.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    release.notify_one();
    assert!(jwks.find("first", Algorithm::ES256).await.is_some());
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

proptest! {
    #[test]
    fn no_text_does_harm(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(read(&text).is_err());
    }

    #[test]
    fn no_changed_set_does_harm(at in 0_usize..400, byte in any::<u8>()) {
        let mut text = json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "use": "sig", "alg": "ES256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]})
            .to_string()
            .into_bytes();
        let at = at % text.len();
        text[at] = byte;
        if let Ok(keys) = read(&text) {
            prop_assert!(keys.iter().all(|key| key.algorithm == Algorithm::ES256));
        }
    }
}
