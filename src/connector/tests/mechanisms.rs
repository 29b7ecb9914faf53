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

/// The same, with values that the operation derives.
fn deriving(derived: &str, request: &str) -> Arc<Connector> {
    let request = format!("{request}\n{derived}");
    connector(&sample("in = \"query\"\nname = \"k\"\nvalue = \"{field.key}\"", PROPERTIES, "\"a\"", &request))
}

#[test]
fn a_value_as_its_hash_and_as_what_is_chosen_by_it() {
    let read = deriving(
        "[operations.derived.hash]\nfrom = \"payload.a\"\ntransform = [\"lower_case\", \"md5\"]\n\
         [operations.derived.id]\nfrom = \"message.id\"\npattern = \"^msg_(.*)$\"\ntransform = \"sha256\"\n\
         [operations.derived.kind]\nfrom = \"payload.b\"\nvalues = { x = \"long\", y = \"short\" }",
        "method = \"PUT\"\nurl = \"/members/{derived.hash}\"\njson = { id = \"{derived.id}\", \"kind?\" = \"{derived.kind}\" }",
    );
    let request = deliver(&read, &[("key", "k")], &json!({"a": "Ada@Example.com", "b": "y"})).unwrap();
    assert_eq!(request.url.path(), "/v1/members/3e3417d7ef77d5932a6734b916515ed5");
    let id = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b";
    assert_eq!(serde_json::from_slice::<Value>(request.body.expose()).unwrap(), json!({"id": id, "kind": "short"}));
    assert_eq!(body(&read, &json!({"a": "x", "b": "z"})), json!({ "id": id }), "not among the values");
}

#[test]
fn a_text_as_a_number() {
    let read = deriving(
        "[operations.derived.amount]\nfrom = \"payload.a\"\npattern = \"^EUR (.*)$\"\ntransform = [\"lower_case\", \"number\"]",
        "method = \"POST\"\nurl = \"/x\"\nquery = { amount = \"{derived.amount}\" }\n\
         json = { amount = \"{derived.amount}\", said = \"EUR {derived.amount}\" }",
    );
    for (text, number) in [("49.90", json!(49.9)), ("50", json!(50)), ("-7.5", json!(-7.5)), ("007", json!(7))] {
        let request = deliver(&read, &[("key", "k")], &json!({"a": format!("EUR {text}")})).unwrap();
        let query = format!("amount={text}&k=k");
        assert_eq!(request.url.query(), Some(query.as_str()), "elsewhere it is the text");
        let body: Value = serde_json::from_slice(request.body.expose()).unwrap();
        assert_eq!(body, json!({"amount": number, "said": format!("EUR {text}")}));
    }
    for text in ["", "-", ".5", "1.2.3", "1e5", "inf", "NaN", "0x1", "1,5", " 1", "+1", &"9".repeat(400)] {
        let refused = deliver(&read, &[("key", "k")], &json!({"a": format!("EUR {text}")}));
        assert_eq!(refused.unwrap_err().message, "`derived.amount` is missing", "{text}");
    }
}

#[test]
fn json_in_a_text_of_a_form() {
    let read = with(
        "in = \"query\"\nname = \"k\"\nvalue = \"{field.key}\"",
        "method = \"POST\"\nurl = \"/x\"\nform = { visit = { email = \"{payload.a}\" }, \"more?\" = [\"{payload.b}\"] }",
    );
    let request = deliver(&read, &[("key", "k")], &json!({"a": "a\",\"x\":\"&b"})).unwrap();
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(request.body.expose()).into_owned().collect();
    assert_eq!(pairs, [("visit".to_owned(), json!({"email": "a\",\"x\":\"&b"}).to_string())]);
}

#[test]
fn a_body_of_several_parts() {
    let read = with(
        "in = \"header\"\nname = \"Authorization\"\nvalue = \"Bearer {field.key}\"",
        concat!(
            "method = \"POST\"\nurl = \"/files\"\n[[operations.request.related]]\ncontent_type = \"application/json; charset=UTF-8\"\n",
            "json = { name = \"{payload.a}\" }\n[[operations.request.related]]\ncontent_type = \"text/plain\"\ntext = \"<{payload.a}>\"",
        ),
    );
    let request = deliver(&read, &[("key", "k")], &json!({"a": "x\r\n--y"})).unwrap();
    let kind = request.headers["content-type"].to_str().unwrap();
    let boundary = kind.strip_prefix("multipart/related; boundary=").unwrap();
    let name = json!({"name": "x\r\n--y"}).to_string();
    let expected = format!(
        "--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{name}\r\n\
         --{boundary}\r\nContent-Type: text/plain\r\n\r\n<x\r\n--y>\r\n--{boundary}--\r\n"
    );
    assert_eq!(String::from_utf8_lossy(request.body.expose()), expected);
}

#[test]
fn a_mail_message_as_a_value() {
    let read = deriving(
        "[operations.derived.raw]\nmail = { to = \"{payload.a}\", subject = \"Grüße\", text = \"Hi {payload.a}\", html = \"<p>{payload.b}\" }",
        "method = \"POST\"\nurl = \"/send\"\njson = { raw = \"{derived.raw}\" }",
    );
    let mail = |payload: Value| {
        let raw = body(&read, &payload)["raw"].as_str().unwrap().to_owned();
        String::from_utf8(base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE, raw).unwrap()).unwrap()
    };
    let head = "To: ada@example.com\r\nSubject: =?utf-8?B?R3LDvMOfZQ==?=\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\nMIME-Version: 1.0\r\n";
    let text = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nSGkgYWRhQGV4YW1wbGUuY29t\r\n";
    assert_eq!(mail(json!({"a": "ada@example.com"})), format!("{head}{text}"));
    let both = mail(json!({"a": "ada@example.com", "b": "x"}));
    let (_, boundary) = both.split_once("boundary=\"").unwrap();
    let boundary = boundary.split('"').next().unwrap();
    let html = "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nPHA+eA==\r\n";
    let expected = format!(
        "{head}Content-Type: multipart/alternative; boundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n{text}\r\n--{boundary}\r\n{html}\r\n--{boundary}--\r\n"
    );
    assert_eq!(both, expected);
    let named = deriving(
        "[operations.derived.raw]\nmail = { to = [\"{payload.b} <{payload.a}>\", \"{payload.a}\"], from = \"{payload.b}\", subject = \"x\", text = \"y\" }",
        "method = \"POST\"\nurl = \"/send\"\njson = { raw = \"{derived.raw}\" }",
    );
    let to = |payload: Value| {
        let raw = body(&named, &payload)["raw"].as_str().unwrap().to_owned();
        let mail = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE, raw).unwrap();
        String::from_utf8(mail).unwrap().split("\r\nSubject").next().unwrap().to_owned()
    };
    assert_eq!(to(json!({"a": "ada@example.com"})), "To: ada@example.com");
    let both = to(json!({"a": "ada@example.com", "b": "eve@example.com"}));
    assert_eq!(both, "From: eve@example.com\r\nTo: =?utf-8?B?ZXZlQGV4YW1wbGUuY29t?= <ada@example.com>");
    let forged = deliver(&read, &[("key", "k")], &json!({"a": "ada@example.com\r\nBcc: eve@example.com"}));
    assert!(forged.is_err());
}
