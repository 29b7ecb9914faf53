//! Tokens of an identity provider, right and hostile, on the wire.

use std::sync::{Arc, Mutex};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use chrono::TimeDelta;
use hmac::{Hmac, KeyInit as _, Mac as _};
use integrations_gateway::domain::clock::Clock as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::support::{
    app::{Database, TOKEN_SECRET, TestApp},
    vendor::{Reply, Vendor},
};

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "integrations";
/// A key of these tests, and of nothing else: making one takes seconds.
const RSA: &str = include_str!("support/rsa_key.b64");

struct Key {
    kid: &'static str,
    algorithm: Algorithm,
    private: EncodingKey,
}

impl Key {
    fn rsa(kid: &'static str) -> Self {
        let der = STANDARD.decode(RSA.split_whitespace().collect::<String>()).expect("base64");
        Self { kid, algorithm: Algorithm::RS256, private: EncodingKey::from_rsa_der(&der) }
    }

    fn ec(kid: &'static str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        Self { kid, algorithm: Algorithm::ES256, private: EncodingKey::from_ec_der(&pair.serialize_der()) }
    }

    fn ed(kid: &'static str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        // The seed alone, as PKCS #8 has it in its first version (RFC 8410, section 7).
        let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        let der = [&head[..], &pair.serialize_der()[16..48]].concat();
        Self { kid, algorithm: Algorithm::EdDSA, private: EncodingKey::from_ed_der(&der) }
    }

    fn public(&self) -> Value {
        let jwk = Jwk::from_encoding_key(&self.private, self.algorithm).expect("a public key");
        let mut jwk = serde_json::to_value(jwk).expect("a key is JSON");
        jwk["kid"] = json!(self.kid);
        jwk
    }

    fn header(&self) -> Header {
        Header { kid: Some(self.kid.to_owned()), ..Header::new(self.algorithm) }
    }

    fn sign(&self, claims: &Value) -> String {
        jsonwebtoken::encode(&self.header(), claims, &self.private).expect("a token")
    }
}

/// The provider: what it publishes can be changed.
struct Provider {
    vendor: Vendor,
    published: Arc<Mutex<Option<Vec<Value>>>>,
}

impl Provider {
    async fn start() -> Self {
        let vendor = Vendor::tls(&["id.example"]).await;
        let published = Arc::new(Mutex::new(Some(Vec::new())));
        let own = Arc::clone(&published);
        vendor.answer(move |_| match &*own.lock().expect("not poisoned") {
            Some(keys) => Reply::json(200, &json!({ "keys": keys })),
            None => Reply::status(503),
        });
        Self { vendor, published }
    }

    fn publish(&self, keys: Option<Vec<Value>>) {
        *self.published.lock().expect("not poisoned") = keys;
    }

    async fn app(&self) -> TestApp {
        let app = TestApp::with_vendor(Database::Sqlite, &self.vendor).await;
        app.restart_with_provider("https://id.example/jwks", ISSUER, AUDIENCE).await
    }
}

fn claims(app: &TestApp) -> Value {
    let now = app.clock.now().timestamp();
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "7", "name": "Ada", "site": 1, "kind": "operator", "role": "Viewer",
        "iat": now, "exp": now + 600,
    })
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

/// The status, and who the gateway takes the bearer for.
async fn asked(app: &TestApp, token: &str) -> (u16, String) {
    let answer = app.post(token, "{ viewer { role } }", &json!({})).send().await.expect("an answer");
    let status = answer.status().as_u16();
    #[expect(clippy::disallowed_methods, reason = "the gateway's answers to a test are small")]
    let body = answer.text().await.expect("a body");
    (status, body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_a_provider_are_good_as_long_as_its_keys_are() {
    let provider = Provider::start().await;
    let app = provider.app().await;
    let keys = [Key::rsa("rsa"), Key::ec("ec"), Key::ed("ed")];
    // It does not answer yet: only our own tokens are good.
    provider.publish(None);
    assert_eq!(asked(&app, &keys[0].sign(&claims(&app))).await.0, 401);
    assert_eq!(asked(&app, &app.token("Viewer")).await.0, 200);
    provider.publish(Some(keys.iter().map(Key::public).collect()));
    app.clock.advance(TimeDelta::seconds(1));
    let right = json!({"data": {"viewer": {"role": "Viewer"}}}).to_string();
    for key in &keys {
        let token = key.sign(&claims(&app));
        for _ in 0..3 {
            assert_eq!(asked(&app, &token).await, (200, right.clone()), "{:?}", key.algorithm);
        }
        let list = with(claims(&app), "aud", json!(["others", AUDIENCE]));
        assert_eq!(asked(&app, &key.sign(&list)).await.0, 200);
    }
    assert_eq!(provider.vendor.requests().len(), 2);
    // A module of the platform, by the same provider.
    let module = json!({"sub": "forms", "kind": "module", "role": "Module"});
    let module = module
        .as_object()
        .expect("an object")
        .iter()
        .fold(claims(&app), |all, (name, value)| with(all, name, value.clone()));
    assert_eq!(asked(&app, &keys[1].sign(&module)).await.0, 200);

    // Its keys change: the new one is good at once, and the old one no more.
    let (new, token) = (Key::ec("new"), keys[1].sign(&claims(&app)));
    assert_eq!(asked(&app, &token).await.0, 200);
    provider.publish(Some(vec![new.public()]));
    app.clock.advance(TimeDelta::seconds(10));
    assert_eq!(asked(&app, &new.sign(&claims(&app))).await.0, 200);
    assert_eq!(asked(&app, &token).await.0, 401, "it was known, and its key is gone");
    assert_eq!(provider.vendor.requests().len(), 3);
    // What runs out does so by our clock.
    let brief = new.sign(&with(claims(&app), "exp", json!(app.clock.now().timestamp() + 5)));
    assert_eq!(asked(&app, &brief).await.0, 200);
    app.clock.advance(TimeDelta::seconds(5));
    assert_eq!(asked(&app, &brief).await.0, 401);
    app.stop().await;
}

/// What runs on a token whose key is withdrawn ends, though the token itself has not run out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_and_streams_end_with_the_key_of_their_token() {
    let provider = Provider::start().await;
    let app =
        provider.app().await.restart_waiting(|timeouts| timeouts.alive = std::time::Duration::from_millis(100)).await;
    let (old, new) = (Key::ec("old"), Key::ec("new"));
    provider.publish(Some(vec![old.public()]));
    let token = old.sign(&with(claims(&app), "exp", json!(app.clock.now().timestamp() + 86_400)));
    let document = "subscription { connectionStateChanged { change } }";
    let mut socket = app.subscribe(&token, document).await;
    let stream = app.post(&token, document, &json!({})).header("accept", "text/event-stream");
    let mut stream = stream.send().await.expect("an answer");
    assert_eq!(stream.status(), 200);
    // The same key under another name stands.
    let renamed = with(old.public(), "kid", json!("renamed"));
    provider.publish(Some(vec![renamed]));
    app.clock.advance(TimeDelta::minutes(10));
    assert_eq!(asked(&app, &token).await.0, 200);
    provider.publish(Some(vec![new.public()]));
    app.clock.advance(TimeDelta::minutes(10));
    assert_eq!(socket.closed().await, (4403, "The token is not valid any more".to_owned()));
    let ended = async { while stream.chunk().await.expect("a stream").is_some() {} };
    tokio::time::timeout(std::time::Duration::from_secs(20), ended).await.expect("it ends");
    assert_eq!(asked(&app, &token).await.0, 401);
    app.stop().await;
}

/// A token of these parts with a signature of these bytes.
fn raw(header: &str, claims: &Value, sign: impl Fn(&str) -> Vec<u8>) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = URL_SAFE_NO_PAD.encode(sign(&message));
    format!("{message}.{signature}")
}

fn hmac(key: &[u8], message: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hostile(app: &TestApp, keys: &[Key]) -> Vec<(String, String)> {
    let good = claims(app);
    let now = app.clock.now().timestamp();
    let mut all = Vec::new();
    let mut add = |what: String, token: String| all.push((what, token));
    // Claims that are wrong, under each algorithm.
    let wrong = [
        ("expired", "exp", json!(now)),
        ("expired long ago", "exp", json!(0)),
        ("not yet", "nbf", json!(now + 60)),
        ("from the future", "iat", json!(now + 60)),
        ("another issuer", "iss", json!("https://id.example.evil")),
        ("an issuer with a slash", "iss", json!("https://id.example/")),
        ("issuers", "iss", json!([ISSUER])),
        ("another audience", "aud", json!("others")),
        ("no audience in a list", "aud", json!([])),
        ("no issuer", "iss", Value::Null),
        ("no audience", "aud", Value::Null),
        ("no expiry", "exp", Value::Null),
        ("another site by a text", "site", json!("2")),
        ("no site", "site", Value::Null),
        ("a nested site", "site", json!({"number": 1})),
        ("a role that is a list", "role", json!(["Administrator"])),
        ("an unknown kind", "kind", json!("administrator")),
        ("a subject that is no number", "sub", json!("auth0|7")),
    ];
    for key in keys {
        for (what, name, value) in &wrong {
            add(format!("{what} by {}", key.kid), key.sign(&with(good.clone(), name, value.clone())));
        }
        let token = key.sign(&good);
        let (message, signature) = token.rsplit_once('.').expect("three parts");
        add(format!("no signature by {}", key.kid), format!("{message}."));
        add(format!("half a signature by {}", key.kid), format!("{message}.{}", &signature[..signature.len() / 2]));
        let zeros = URL_SAFE_NO_PAD.encode([0_u8; 64]);
        add(format!("a signature of zeros by {}", key.kid), format!("{message}.{zeros}"));
        let other = key.sign(&with(good.clone(), "role", json!("Administrator")));
        let forged = format!("{}.{signature}", other.rsplit_once('.').expect("three parts").0);
        add(format!("other claims under the signature by {}", key.kid), forged);
        // The key of one name does not sign under another.
        for kid in ["none", "rsa ", "../rsa", "rsa\u{0}", "' OR 1=1 --", "", "https://evil.example/jwks"] {
            let header = Header { kid: Some(kid.to_owned()), ..key.header() };
            let token = jsonwebtoken::encode(&header, &good, &key.private).expect("a token");
            add(format!("kid {kid:?} by {}", key.kid), token);
        }
        let nameless = Header { kid: None, ..key.header() };
        add(format!("no kid by {}", key.kid), jsonwebtoken::encode(&nameless, &good, &key.private).expect("a token"));
        let typed = Header { typ: Some("logout+jwt".to_owned()), ..key.header() };
        add(
            format!("another type by {}", key.kid),
            jsonwebtoken::encode(&typed, &good, &key.private).expect("a token"),
        );
    }
    // Keys that the provider does not have, brought along in the header.
    let stranger = Key::ec("ec");
    add("another key of the same name".to_owned(), stranger.sign(&good));
    let own: Jwk = serde_json::from_value(stranger.public()).expect("a key");
    let brought = Header { jwk: Some(own), ..stranger.header() };
    add("a key in the header".to_owned(), jsonwebtoken::encode(&brought, &good, &stranger.private).expect("a token"));
    for (what, header) in [
        ("jku", Header { jku: Some("https://id.example/other".to_owned()), ..stranger.header() }),
        ("x5u", Header { x5u: Some("https://id.example/other".to_owned()), ..stranger.header() }),
    ] {
        add(what.to_owned(), jsonwebtoken::encode(&header, &good, &stranger.private).expect("a token"));
    }
    // Public keys taken for secrets (RFC 8725, section 2.1).
    for key in keys {
        for secret in [key.public().to_string().into_bytes(), key.public()["x"].to_string().into_bytes(), Vec::new()] {
            let header = format!(r#"{{"alg":"HS256","kid":"{}"}}"#, key.kid);
            add(format!("HS256 by the public {}", key.kid), raw(&header, &good, |message| hmac(&secret, message)));
        }
    }
    let ours = |header: &str| raw(header, &good, |message| hmac(TOKEN_SECRET.as_bytes(), message));
    for header in [
        r#"{"alg":"RS256","kid":"rsa"}"#,
        r#"{"alg":"ES256","kid":"ec"}"#,
        r#"{"alg":"HS384"}"#,
        r#"{"alg":"HS512"}"#,
        r#"{"alg":"none"}"#,
        r#"{"alg":"None"}"#,
        r#"{"alg":""}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"kid":"rsa"}"#,
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#,
    ] {
        add(format!("our key under {header}"), ours(header));
    }
    add("unsigned".to_owned(), raw(r#"{"alg":"none"}"#, &good, |_| Vec::new()));
    add("giant".to_owned(), keys[1].sign(&with(good.clone(), "more", json!("x".repeat(20_000)))));
    let mut nested = json!(1);
    for _ in 0..100 {
        nested = json!([nested]);
    }
    add("nested where a site is due".to_owned(), keys[1].sign(&with(good.clone(), "site", nested)));
    add("claims that are a list".to_owned(), keys[1].sign(&json!([good])));
    for text in ["a", "..", "a.b.c", "....", "eyJhbGciOiJub25lIn0..", "Bearer"] {
        add(text.to_owned(), text.to_owned());
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_tokens_are_all_refused_alike() {
    let provider = Provider::start().await;
    let app = provider.app().await;
    let keys = [Key::rsa("rsa"), Key::ec("ec"), Key::ed("ed")];
    let mut published: Vec<Value> = keys.iter().map(Key::public).collect();
    // A secret in the set is no key.
    published.push(json!({"kty": "oct", "kid": "shared", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode("shared")}));
    provider.publish(Some(published));
    for key in &keys {
        assert_eq!(asked(&app, &key.sign(&claims(&app))).await.0, 200, "{}", key.kid);
    }
    let hostile = hostile(&app, &keys);
    assert!(hostile.len() >= 100, "{}", hostile.len());
    let refusal = asked(&app, "nothing").await;
    assert_eq!(refusal.0, 401);
    for (what, token) in hostile {
        assert_eq!(asked(&app, &token).await, refusal, "{what}");
    }
    let shared = raw(r#"{"alg":"HS256","kid":"shared"}"#, &claims(&app), |message| hmac(b"shared", message));
    assert_eq!(asked(&app, &shared).await, refusal);
    // However many names were made up, the provider was asked once.
    assert_eq!(provider.vendor.requests().len(), 1);
    app.stop().await;
}
