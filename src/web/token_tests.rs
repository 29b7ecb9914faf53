use std::sync::atomic::Ordering;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::FutureExt as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Sha256, Sha512};

use super::{super::set_clock::Set, *};
use crate::domain::clock::BoxFuture;

const NOW: i64 = 1_800_000_000;
const KEY: &[u8] = b"a key of tests, thirty-two bytes";

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(NOW, 0).expect("a time")
    }

    fn sleep_until(&self, _: DateTime<Utc>) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

trait Verified {
    fn verified(&self, token: &str) -> Result<Principal, Unauthenticated>;
}

impl Verified for TokenVerifier {
    fn verified(&self, token: &str) -> Result<Principal, Unauthenticated> {
        let verified = self.verify(token).now_or_never();
        verified.expect("nothing is waited for where there is no identity provider").map(|(principal, _)| principal)
    }
}

fn settings() -> TokenSettings {
    TokenSettings { secret: Some(SecretBytes::new(KEY.to_vec())), jwks: None, issuer: None, audience: None }
}

fn verifier() -> TokenVerifier {
    TokenVerifier::new(&settings(), Arc::new(Fixed), None)
}

fn claims() -> Value {
    json!({ "sub": "7", "name": "Ada", "site": 1, "kind": "operator", "role": "Editor", "iat": NOW, "exp": NOW + 60 })
}

fn with(changes: &[(&str, Value)]) -> Value {
    let mut claims = claims();
    for (name, value) in changes {
        claims[*name] = value.clone();
    }
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().expect("an object").remove(name);
    claims
}

fn signed_raw(header: &str, payload: &str, key: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.update(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn signed(claims: &Value) -> String {
    signed_raw(r#"{"alg":"HS256","typ":"JWT"}"#, &claims.to_string(), KEY)
}

fn holder(actor: Actor) -> Holder {
    Holder { site: 12, actor, role: "Viewer".to_owned() }
}

#[test]
fn a_known_token_is_good_for_its_time_and_its_key_only() {
    let clock = Set::at(NOW);
    let verifier = TokenVerifier::new(&settings(), clock.clone(), None);
    let good = signed(&with(&[("nbf", json!(NOW - 10))]));
    let first = verifier.verified(&good).expect("right");
    assert_eq!(verifier.0.known.len(), 1);
    for (now, is_good) in [(NOW + 59, true), (NOW + 60, false), (NOW + 61, false), (NOW, true), (NOW - 6, false)] {
        clock.0.store(now, Ordering::Relaxed);
        assert_eq!(verifier.verified(&good).is_ok(), is_good, "at {now}");
    }
    clock.0.store(NOW, Ordering::Relaxed);
    let again = verifier.verified(&good).expect("right");
    assert_eq!((again.site, again.actor, again.role), (first.site, first.actor, first.role));
    assert!(verifier.verified(&good[..good.len() - 1]).is_err(), "the whole token counts");
    let other =
        TokenSettings { secret: Some(SecretBytes::new(b"another key of tests, 32 bytes..".to_vec())), ..settings() };
    assert!(TokenVerifier::new(&other, clock, None).verified(&good).is_err());
    for more in 0..10 {
        assert!(verifier.verified(&format!("{good}{more}")).is_err());
    }
    assert_eq!(verifier.0.known.len(), 1, "what is refused is not kept");
}

#[test]
fn a_right_token_names_its_holder() {
    let principal = verifier().verified(&signed(&claims())).expect("right");
    assert_eq!(principal.site.get(), 1);
    assert_eq!(principal.actor, Actor::Operator { id: OperatorId(7), name: Some("Ada".to_owned()) });
    assert_eq!(principal.role, "Editor");
    assert_eq!(principal.expires_at.timestamp(), NOW + 60);
}

#[test]
fn what_is_minted_is_verified() {
    for actor in [
        Actor::Operator { id: OperatorId(NUMBER_MAX), name: None },
        Actor::Operator { id: OperatorId(1), name: Some("Zoë".to_owned()) },
        Actor::Module { name: "forms".to_owned() },
    ] {
        let token = mint(&settings(), &Fixed, &holder(actor.clone()), Duration::from_secs(1)).expect("minted");
        let principal = verifier().verified(&token).expect("verified");
        assert_eq!((principal.actor, principal.site.get()), (actor, 12));
        assert_eq!(principal.expires_at.timestamp(), NOW + 1);
    }
}

#[test]
fn a_holder_that_would_be_refused_gets_no_token() {
    let operator = |id, name: &str| Actor::Operator { id: OperatorId(id), name: Some(name.to_owned()) };
    let second = Duration::from_secs(1);
    for (holder, ttl) in [
        (holder(operator(0, "Ada")), second),
        (holder(operator(NUMBER_MAX + 1, "Ada")), second),
        (holder(operator(1, "")), second),
        (holder(operator(1, &"n".repeat(TEXT_MAX + 1))), second),
        (holder(Actor::Module { name: "Forms".to_owned() }), second),
        (Holder { site: 0, ..holder(operator(1, "Ada")) }, second),
        (Holder { site: NUMBER_MAX + 1, ..holder(operator(1, "Ada")) }, second),
        (Holder { role: String::new(), ..holder(operator(1, "Ada")) }, second),
        (holder(operator(1, "Ada")), Duration::ZERO),
        (holder(operator(1, "Ada")), Duration::MAX),
    ] {
        assert!(mint(&settings(), &Fixed, &holder, ttl).is_err(), "{holder:?} {ttl:?}");
    }
}

#[test]
fn wrong_claims_are_refused() {
    let long = "x".repeat(TEXT_MAX + 1);
    let wrong = [
        ("expired", with(&[("exp", json!(NOW))])),
        ("expired long ago", with(&[("exp", json!(-1))])),
        ("no exp", without("exp")),
        ("exp beyond the calendar", with(&[("exp", json!(i64::MAX))])),
        ("exp as text", with(&[("exp", json!("1900000000"))])),
        ("exp as a list", with(&[("exp", json!([1_900_000_000]))])),
        ("exp null", with(&[("exp", Value::Null)])),
        ("not valid yet", with(&[("nbf", json!(NOW + SKEW_SECONDS + 1))])),
        ("made in the future", with(&[("iat", json!(NOW + SKEW_SECONDS + 1))])),
        ("no site", without("site")),
        ("site zero", with(&[("site", json!(0))])),
        ("site negative", with(&[("site", json!(-1))])),
        ("site as text", with(&[("site", json!("1"))])),
        ("site a fraction", with(&[("site", json!(1.5))])),
        ("site too great", with(&[("site", json!(NUMBER_MAX + 1))])),
        ("site nested", with(&[("site", json!({ "id": 1 }))])),
        ("no sub", without("sub")),
        ("sub empty", with(&[("sub", json!(""))])),
        ("sub a number", with(&[("sub", json!(7))])),
        ("sub no number", with(&[("sub", json!("ada"))])),
        ("sub signed", with(&[("sub", json!("+7"))])),
        ("sub padded", with(&[("sub", json!("07"))])),
        ("sub negative", with(&[("sub", json!("-7"))])),
        ("sub too great", with(&[("sub", json!("9223372036854775808"))])),
        ("name empty", with(&[("name", json!(""))])),
        ("name too long", with(&[("name", json!(long))])),
        ("name of two lines", with(&[("name", json!("a\nb"))])),
        ("no kind", without("kind")),
        ("kind unknown", with(&[("kind", json!("admin"))])),
        ("kind in capitals", with(&[("kind", json!("OPERATOR"))])),
        ("no role", without("role")),
        ("role empty", with(&[("role", json!(""))])),
        ("role too long", with(&[("role", json!(long))])),
        ("role a list", with(&[("role", json!(["Administrator"]))])),
        ("module in capitals", with(&[("kind", json!("module")), ("sub", json!("Forms"))])),
        ("module too long", with(&[("kind", json!("module")), ("sub", json!("m".repeat(MODULE_MAX + 1)))])),
        ("module with a slash", with(&[("kind", json!("module")), ("sub", json!("a/b"))])),
        ("an audience that is not ours", with(&[("aud", json!("others"))])),
        ("claims a list", json!([claims()])),
        ("claims a text", json!("claims")),
    ];
    for (what, claims) in wrong {
        assert_eq!(verifier().verified(&signed(&claims)).err(), Some(Unauthenticated), "{what}");
    }
}

#[test]
fn small_skew_and_further_claims_are_fine() {
    let claims = with(&[("iat", json!(NOW + SKEW_SECONDS)), ("nbf", json!(NOW)), ("jti", json!({ "any": [1] }))]);
    assert!(verifier().verified(&signed(&claims)).is_ok());
}

#[test]
fn issuer_and_audience_are_checked_where_they_are_set() {
    let settings = TokenSettings { issuer: Some("us".to_owned()), audience: Some("gateway".to_owned()), ..settings() };
    let verifier = TokenVerifier::new(&settings, Arc::new(Fixed), None);
    let verify = |iss: Value, aud: Value| verifier.verified(&signed(&with(&[("iss", iss), ("aud", aud)]))).is_ok();
    assert!(verify(json!("us"), json!("gateway")));
    assert!(verify(json!("us"), json!(["others", "gateway"])));
    assert!(!verify(json!("them"), json!("gateway")));
    assert!(!verify(json!(["us"]), json!("gateway")));
    assert!(!verify(json!("us"), json!("others")));
    assert!(!verify(json!("us"), json!([])));
    assert!(verifier.verified(&signed(&claims())).is_err(), "neither is named");
    let minted = mint(&settings, &Fixed, &holder(Actor::Module { name: "posts".to_owned() }), Duration::from_secs(9));
    assert!(verifier.verified(&minted.expect("minted")).is_ok());
}

#[test]
fn a_header_decides_nothing() {
    let payload = claims().to_string();
    let none =
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#), URL_SAFE_NO_PAD.encode(&payload));
    let message =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS512","typ":"JWT"}"#), URL_SAFE_NO_PAD.encode(&payload));
    let mut mac = Hmac::<Sha512>::new_from_slice(KEY).expect("any length");
    mac.update(message.as_bytes());
    let hs512 = format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
    let good = signed(&claims());
    let unsigned = format!("{}.", good.rsplit_once('.').expect("dots").0);
    let hostile = [
        ("none", none),
        ("HS512 with the right key", hs512),
        ("RS256 in the header", signed_raw(r#"{"alg":"RS256","typ":"JWT"}"#, &payload, KEY)),
        ("none in the header, signed", signed_raw(r#"{"alg":"none"}"#, &payload, KEY)),
        ("no algorithm", signed_raw(r#"{"typ":"JWT"}"#, &payload, KEY)),
        ("algorithm in small letters", signed_raw(r#"{"alg":"hs256"}"#, &payload, KEY)),
        ("a critical extension", signed_raw(r#"{"alg":"HS256","crit":["x"],"x":1}"#, &payload, KEY)),
        ("another key", signed_raw(r#"{"alg":"HS256"}"#, &payload, b"another key")),
        ("the empty key", signed_raw(r#"{"alg":"HS256"}"#, &payload, b"")),
        ("a key in the header", signed_raw(r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AA"}}"#, &payload, b"\0")),
        ("no signature", unsigned),
        ("a part too many", format!("{good}.{}", URL_SAFE_NO_PAD.encode("x"))),
        ("claims twice", signed_raw(r#"{"alg":"HS256"}"#, &payload.replacen('{', "{\"site\":2,", 1), KEY)),
        ("claims nested deep", signed_raw(r#"{"alg":"HS256"}"#, &"[".repeat(5_000), KEY)),
        ("claims cut off", signed_raw(r#"{"alg":"HS256"}"#, &payload[..payload.len() - 1], KEY)),
        ("giant", signed(&with(&[("filler", json!("x".repeat(TOKEN_MAX)))]))),
        ("empty", String::new()),
        ("dots", "..".to_owned()),
    ];
    for (what, token) in hostile {
        assert_eq!(verifier().verified(&token).err(), Some(Unauthenticated), "{what}");
    }
}

proptest! {
    #[test]
    fn any_changed_character_is_refused(at in 0_usize..400, to in "[A-Za-z0-9_.-]") {
        let good = signed(&claims());
        let at = at % good.len();
        let mut changed = good.clone();
        changed.replace_range(at..=at, &to);
        prop_assume!(changed != good);
        prop_assert!(verifier().verified(&changed).is_err());
    }

    #[test]
    fn any_text_is_refused(token in ".{0,300}") {
        prop_assert!(verifier().verified(&token).is_err());
    }

    #[test]
    fn any_cut_is_refused(length in 0_usize..400) {
        let good = signed(&claims());
        prop_assert!(verifier().verified(&good[..length % good.len()]).is_err());
    }
}
