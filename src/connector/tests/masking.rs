use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;

use super::{super::mask, CallContext, SigningKeys, Values, now};
use crate::domain::secret::Secret;

const WHSEC: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

fn masked(text: &str, secret: &str) -> String {
    let mut values = Values::default();
    values.set("account", "ACME", false);
    values.set("hook", "https://example.com/events?sig=q-token", false);
    values.set("key", secret, true);
    let signing = SigningKeys(vec![Secret::from(WHSEC)]);
    mask(text, &CallContext { values: &values, signing: &signing, grant: None, now: now(), message_id: "msg_1" })
}

#[test]
fn every_form_of_a_secret_is_masked() {
    let secret = "pä/ss\"w+rd &1";
    let json = serde_json::Value::from(secret).to_string();
    for form in [
        secret.to_owned(),
        STANDARD.encode(secret),
        STANDARD.encode(format!("ACME:{secret}")),
        STANDARD.encode(format!("{secret}:")),
        STANDARD.encode(format!(":{secret}")),
        "p%C3%A4%2Fss%22w%2Brd%20%261".to_owned(),
        "p%c3%a4%2fss%22w%2brd%20%261".to_owned(),
        "p%C3%A4%2Fss%22w%2Brd+%261".to_owned(),
        json[1..json.len() - 1].to_owned(),
        "p\\u00e4/ss\\\"w+rd &1".to_owned(),
        "pä\\/ss\\\"w+rd &1".to_owned(),
    ] {
        assert_eq!(masked(&format!("a {form} b"), secret), "a [sealed] b", "{form}");
    }
    assert_eq!(masked(&format!("a {WHSEC} b sig=q-token"), secret), "a [sealed] b [sealed]");
}

#[test]
fn a_secret_that_the_end_cuts_is_masked() {
    assert_eq!(masked("key: hunter2-hun", "hunter2-hunter2"), "key: [sealed]");
    assert_eq!(masked("key: hunt", "hunter2-hunter2"), "key: [sealed]");
    assert_eq!(masked("key: hun", "hunter2-hunter2"), "key: hun");
}

#[test]
fn what_looks_like_a_token_is_masked_whoever_it_belongs_to() {
    for text in [
        "Authorization: Bearer abcdefgh12345",
        "basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP",
        "Invalid API Key provided: sk_test_51Habcdefgh",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "xoxb-123456789012-abcdef",
    ] {
        let shown = masked(text, "unrelated-secret");
        assert!(shown.ends_with("[sealed]"), "{shown}");
    }
    let plain = "The basic plan of ACME, order 2026-1001: bearer shares are not sold, sg. 12";
    assert_eq!(masked(plain, "unrelated-secret"), plain);
}

proptest! {
    #[test]
    fn no_text_shows_the_secret(secret in "[ -~äß€]{5,40}", before in ".{0,20}", after in ".{0,20}") {
        prop_assume!(!"[sealed]".contains(&secret) && !secret.contains("sealed"));
        let text = format!("{before}{secret}{after}");
        let shown = masked(&text, &secret);
        prop_assert!(!shown.contains(&secret) || before.contains(&secret), "{}", shown);
    }

    #[test]
    fn other_text_stays(text in "[a-z ,]{0,80}") {
        prop_assert_eq!(masked(&text, "SECRET-1"), text);
    }
}
