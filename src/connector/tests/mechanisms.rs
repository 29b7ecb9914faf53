//! Mechanisms that no shipped connector uses yet, and the corners of those that one does.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Connector, connector, deliver, sample};
use crate::domain::secret::SEALED;

const PROPERTIES: &str = concat!(
    "a = { type = \"string\" }, b = { type = [\"string\", \"null\"] }, n = { type = \"number\" }, o = { type = \"object\", ",
    "required = [\"x\"], properties = { x = { type = \"boolean\" } } }"
);

fn with(credential: &str, request: &str) -> Arc<Connector> {
    connector(&sample(credential, PROPERTIES, "\"a\"", request))
}

fn body(connector: &Arc<Connector>, payload: &Value) -> Value {
    let request = deliver(connector, &[("key", "k-1")], payload).expect("a request");
    serde_json::from_slice(request.body.expose()).expect("JSON")
}

#[test]
fn a_credential_in_the_path() {
    let read = with("in = \"path\"\nvalue = \"{field.key}\"", "method = \"POST\"\nurl = \"/bot{credential}/send\"");
    let request = deliver(&read, &[("key", "1:a/b")], &json!({"a": "x"})).unwrap();
    assert_eq!(request.url.as_str(), "https://api.example.com/v1/bot1%3Aa%2Fb/send");
    assert!(!format!("{request:?}").contains("a%2Fb"), "{request:?}");
}

#[test]
fn a_credential_in_a_json_body() {
    let credential = "in = \"json\"\nname = \"/auth/api~1key\"\nvalue = \"{field.key}\"";
    let read = with(credential, "method = \"POST\"\nurl = \"/x\"\njson = { a = \"{payload.a}\", auth = { mode = 1 } }");
    assert_eq!(body(&read, &json!({"a": "x"})), json!({"a": "x", "auth": {"mode": 1, "api/key": "k-1"}}));
    let read = with(credential, "method = \"POST\"\nurl = \"/x\"");
    assert_eq!(body(&read, &json!({"a": "x"})), json!({"auth": {"api/key": "k-1"}}));
}

#[test]
fn a_literal_user_in_basic_credentials() {
    let read = with("in = \"basic\"\nuser = \"api\"\npassword = \"{field.key}\"", "method = \"POST\"\nurl = \"/x\"");
    let request = deliver(&read, &[("key", "k-1")], &json!({"a": "x"})).unwrap();
    assert_eq!(request.headers["authorization"], "Basic YXBpOmstMQ==");
    assert!(request.headers["authorization"].is_sensitive());
    assert!(request.body.expose().is_empty() && request.headers.get("content-type").is_none());
}

#[test]
fn a_value_as_a_label_of_the_host() {
    let read = with(
        "in = \"query\"\nname = \"k\"\nvalue = \"{field.key}\"",
        "method = \"POST\"\nurl = \"https://{payload.a}.api.example.com/x\"",
    );
    let url =
        |label: &str| deliver(&read, &[("key", "k")], &json!({ "a": label })).map(|request| request.url.to_string());
    assert_eq!(url("us-1").unwrap(), "https://us-1.api.example.com/x?k=k");
    for label in ["", "a.b", "evil.example/", "x@evil", "ä", "a b", "a:1", &"x".repeat(64)] {
        assert!(url(label).is_err(), "{label}");
    }
}

#[test]
fn what_is_absent_is_left_out_where_the_key_says_so() {
    let request = concat!(
        "method = \"POST\"\nurl = \"/x\"\ncredential = \"none\"\n",
        "query = { \"b?\" = \"{payload.b}\", \"n?\" = \"n{payload.n}\" }\nheaders = { \"X-B?\" = \"{payload.b}\" }\n",
        "json = { a = \"{payload.a}\", \"b?\" = \"{payload.b}\", \"whole?\" = { b = \"{payload.b}\", \"n?\" = \"{payload.n}\" }, ",
        "\"flag?\" = \"{payload.o.x}\", \"region?\" = [\"{field.region}\"] }",
    );
    let read = with("in = \"query\"\nname = \"k\"\nvalue = \"{field.key}\"", request);
    let bare = deliver(&read, &[("key", "k")], &json!({"a": "x", "b": null})).unwrap();
    assert_eq!(bare.url.query(), None);
    assert_eq!(bare.headers.get("x-b"), None);
    assert_eq!(serde_json::from_slice::<Value>(bare.body.expose()).unwrap(), json!({"a": "x"}));
    let payload = json!({"a": "x", "b": "", "n": 1.5, "o": {"x": false}});
    let full = deliver(&read, &[("key", "k"), ("region", "eu")], &payload).unwrap();
    assert_eq!(full.url.query(), Some("b=&n=n1.5"));
    assert_eq!(full.headers["x-b"], "");
    let expected = json!({"a": "x", "b": "", "whole": {"b": "", "n": 1.5}, "flag": false, "region": ["eu"]});
    assert_eq!(serde_json::from_slice::<Value>(full.body.expose()).unwrap(), expected);
}

#[test]
fn what_a_call_needs_and_has_not_is_named_without_its_value() {
    let read =
        with("in = \"query\"\nname = \"k\"\nvalue = \"{field.key}\"", "method = \"POST\"\nurl = \"/x/{payload.a}\"");
    let error = |payload: Value| deliver(&read, &[("key", "k")], &payload).unwrap_err().message;
    assert_eq!(error(json!({})), "`payload.a` is missing");
    assert_eq!(error(json!({"a": ""})), "`payload.a` is empty");
    assert_eq!(error(json!({"a": {"hunter2": 1}})), "`payload.a` is not a single value");
    assert_eq!(error(json!({"a": ".."})), "a value would lead to another path");
}

#[test]
fn the_body_of_a_request_stays_out_of_its_debug_text() {
    let read =
        with("in = \"json\"\nname = \"/k\"\nvalue = \"{field.key}\"", "method = \"POST\"\nurl = \"/x/{payload.a}\"");
    let request = deliver(&read, &[("key", "k-12345")], &json!({"a": "ada@example.com"})).unwrap();
    assert_eq!(format!("{request:?} {:?}", request.body), format!("POST https://api.example.com {SEALED}"));
}
