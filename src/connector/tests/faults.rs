use super::{connector, load, sample, shown};

pub(super) const RIGHT: &str = r#"version = 1
slug = "sample"
display_name = "Sample"
family = "crm"
description = "For tests."
base_url = "https://api.example.com/v1"
error = { code = "/code", message = ["/message", "/error"] }
retry_after = [{ header = "x-reset", unit = "seconds" }]

[[flows]]
flow = "api_key"
proof = "account"
destination = "{field.site}"

[[flows.fields]]
name = "key"
label = "Key"
secret = true
pattern = "^[a-z]+-[a-z]{2}$"

[[flows.fields]]
name = "site"
label = "Site"
kind = "select"
default = "eu"
options = [{ value = "eu", label = "Europe" }, { value = "us", label = "America" }]

[flows.derived.region]
from = "field.key"
pattern = "-([a-z]{2})$"
public = true

[flows.credentials.default]
in = "header"
name = "Authorization"
value = "Token {field.key}"

[[test]]
name = "account"
request = { method = "GET", url = "/me" }
account = { id = "/id", name = ["/name", "{field.site}"] }

[[test.rules]]
status = 403
next = "other"

[[test]]
name = "other"
proof = "credential"
request = { method = "GET", url = "https://{derived.region}.example.com/me" }

[[operations]]
event_type = "thing.made"
title = "Send a thing"
example_payload = { a = "x" }
when_unsure = "fail"

[operations.payload_schema]
type = "object"
required = ["a"]
properties = { a = { type = "string" }, b = { type = "integer" }, c = { type = "object" } }

[operations.request]
method = "POST"
url = "/things/{payload.a}"
headers = { "X-Id" = "{message.id}" }
query = { "b?" = "{payload.b}", n = 1 }
json = { a = "{payload.a}", "c?" = { inner = "{payload.c}" }, site = "{field.site}" }

[[rules]]
status = ["5xx", 423]
json = { "/code" = ["a", 7], "/gone" = { present = false }, "/message" = { matches = "^no" } }
headers = { "x-state" = "down" }
content_type = "application/json"
body = "down"
then = "retryable"
detail = "down"
"#;

#[test]
fn a_right_manifest_has_no_fault() {
    let read = connector(RIGHT);
    assert_eq!((read.slug.as_str(), read.operations.len(), read.flows.len()), ("sample", 1, 1));
}

#[test]
fn five_faults_are_reported_at_once_with_their_places() {
    let text = RIGHT
        .replace("family = \"crm\"", "family = \"crn\"")
        .replace("label = \"Key\"", "lable = \"Key\"")
        .replace("Token {field.key}", "Token {field.kei}")
        .replace("example_payload = { a = \"x\" }", "example_payload = { a = 1 }")
        .replace("status = 403", "status = 999");
    let faults = shown(&load(&text).unwrap_err());
    assert_eq!(
        faults,
        [
            "sample.toml:4:10: `family` cannot be `crn`; did you mean `crm`?",
            "sample.toml:17:1: unknown key `lable`; did you mean `label`?",
            "sample.toml:36:9: the flow api_key has no field `kei`; did you mean `key`?",
            "sample.toml:44:10: a status is a number from 100 to 599, or a text such as \"5xx\"",
            "sample.toml:55:19: `example_payload` does not fit its schema: `/a`: the value is not of type \"string\"",
        ]
    );
}

#[test]
fn broken_toml_is_reported_beside_other_faults() {
    let text =
        RIGHT.replace("title = \"Send a thing\"", "title = Send").replace("proof = \"account\"", "proof = \"acount\"");
    let faults = shown(&load(&text).unwrap_err()).join("\n");
    assert!(faults.contains("sample.toml:54:9: is no TOML"), "{faults}");
    assert!(faults.contains("sample.toml:12:9: `proof` cannot be `acount`; did you mean `account`?"), "{faults}");
}

#[test]
fn every_manifests_faults_come_together() {
    let source = |file: &str| super::Source { file: file.to_owned(), text: "version = 2".to_owned() };
    let faults =
        super::Library::load(vec![source("a.toml"), source("b.toml")], super::LoadOptions::default()).unwrap_err();
    for file in ["a.toml:1:11: `version` must be 1", "b.toml:1:11: `version` must be 1"] {
        assert!(faults.iter().any(|fault| fault.to_string().starts_with(file)), "{faults:?}");
    }
}

/// Each replacement in the right manifest, and a part of what must be said of it.
const WRONG: &[(&str, &str, &str)] = &[
    ("version = 1", "", "`version = 1` is missing"),
    ("version = 1", "version = \"1\"", "`version` must be 1"),
    ("slug = \"sample\"", "slug = \"Sample-1\"", "`slug` must be lower-case letters"),
    ("slug = \"sample\"", "slug = \"\"", "`slug` is empty"),
    ("slug = \"sample\"", "slug = 7", "`slug` must be a text, not an integer"),
    ("https://api.example.com/v1", "http://api.example.com/v1", "an address begins with `https://`"),
    ("https://api.example.com/v1", "https://api.example.com/", "must not end with `/`"),
    ("https://api.example.com/v1", "https://{field.site}", "needs the list `allowed_hosts`"),
    ("https://api.example.com/v1", "https://{field.site}.com", "must end with a literal domain"),
    ("code = \"/code\"", "code = \"code\"", "a JSON pointer begins with `/`"),
    ("header = \"x-reset\"", "header = \"x reset\"", "is no header's name"),
    ("unit = \"seconds\"", "unit = \"second\"", "did you mean `seconds`?"),
    ("flow = \"api_key\"", "flow = \"oauth\"", "`[flows.oauth]` is missing"),
    ("flow = \"api_key\"", "flow = \"jwt\"", "`flow` cannot be `jwt`"),
    ("flow = \"api_key\"", "flow = \"signed_token\"", "needs a credential `in = \"signature\"`"),
    (
        "in = \"header\"\nname = \"Authorization\"\nvalue = \"Token {field.key}\"",
        "in = \"signature\"\nscheme = \"standard_webhooks\"",
        "needs the flow signed_token",
    ),
    ("destination = \"{field.site}\"", "destination = \"{field.key}\"", "`{field.key}` is secret"),
    ("destination = \"{field.site}\"", "destination = \"{payload.a}\"", "there is no event here"),
    ("destination = \"{field.site}\"", "destination = \"{field.site.host}\"", "is no address"),
    ("name = \"site\"", "name = \"key\"", "there is a field `key` already"),
    ("pattern = \"^[a-z]+-[a-z]{2}$\"", "pattern = \"[a-z]+\"", "must begin with `^`"),
    ("default = \"eu\"", "default = \"asia\"", "`default` must be one of: eu, us"),
    ("secret = true\npattern = \"^[a-z]+-[a-z]{2}$\"", "secret = true\ndefault = \"x\"", "a secret has no default"),
    ("kind = \"select\"\n", "", "`options` is for `kind = \"select\"` only"),
    ("label = \"Key\"", "label = \"Key\"\naddress = \"whole\"", "`address` is for `kind = \"url\"` only"),
    ("proof = \"account\"\n", "proof = \"account\"\none_of = [[\"key\"], [\"sitee\"]]\n", "did you mean `site`?"),
    ("pattern = \"-([a-z]{2})$\"", "pattern = \"-[a-z]{2}$\"", "exactly one group"),
    ("from = \"field.key\"", "from = \"derived.region\"", "nothing derives `region`"),
    ("public = true", "public = true\noptional = true", "`{derived.region}` may be absent"),
    ("public = true", "", "`{derived.region}` is secret"),
    ("pattern = \"-([a-z]{2})$\"", "transform = [\"number\", \"md5\"]", "`number` must be the last of `transform`"),
    ("status = [\"5xx\", 423]", "flows = [\"basic\"]\nstatus = 500", "there is no flow `basic` here"),
    (
        "when_unsure = \"fail\"",
        "[operations.derived.m.mail]\nto = [\"a@{payload.b}\"]\nsubject = \"x\"\ntext = \"y\"",
        "needs an address under `to` that is always there",
    ),
    ("in = \"header\"", "in = \"body\"", "`in` cannot be `body`"),
    ("url = \"/me\"", "url = \"/me?a=b\"", "a query belongs under `query`"),
    ("url = \"/me\"", "url = \"/a/../b\"", "has no `.` or `..`"),
    ("url = \"/me\"", "url = \"/a b\"", "cannot stand in a path"),
    ("url = \"/me\"", "url = \"me\"", "an address begins with `https://`"),
    ("url = \"/me\"", "url = \"/me/{credential}\"", "needs a credential `in = \"path\"`"),
    ("url = \"/me\"", "url = \"{field.site}/me\"", "is no address: it needs `kind = \"url\"`"),
    ("url = \"/me\"", "url = \"/me/{field.key}\"", "`{field.key}` is secret"),
    ("url = \"/me\"", "url = \"/me\", credential = \"deflaut\"", "did you mean `default`?"),
    ("url = \"/me\"", "url = \"/me\", headers = { authorization = \"x\" }", "is not a manifest's to set"),
    ("url = \"/me\"", "url = \"/me\", form = {}, json = {}", "a call has one body"),
    ("method = \"GET\", url = \"/me\"", "method = \"get\", url = \"/me\"", "`method` cannot be `get`"),
    ("request = { method = \"GET\", url = \"/me\" }", "", "`request` is missing"),
    ("next = \"other\"", "next = \"account\"", "must be a later step"),
    ("next = \"other\"", "next = \"other\"\nthen = \"success\"", "give either `then` or `next`"),
    ("next = \"other\"", "", "`then` is missing"),
    ("status = 403\n", "", "a rule needs a condition"),
    ("name = \"other\"", "name = \"account\"", "there is a step of this name already"),
    ("then = \"retryable\"", "next = \"other\"", "is for the rules of a test's step only"),
    ("then = \"retryable\"", "then = \"retry\"", "`then` cannot be `retry`"),
    ("matches = \"^no\"", "matches = \"(no\"", "`matches` is no pattern"),
    ("present = false", "absent = true", "unknown key `absent`"),
    ("event_type = \"thing.made\"", "event_type = \"Thing Made\"", "must be lower-case words"),
    ("type = \"object\"\nrequired", "type = \"objekt\"\nrequired", "is no JSON Schema"),
    ("{ type = \"integer\" }", "{ \"$ref\" = \"https://example.com/s\" }", "may refer to itself only"),
    ("/things/{payload.a}", "/things/{payload.b}", "`{payload.b}` may be absent"),
    ("/things/{payload.a}", "/things/{payload.aa}", "the payload's schema has no `payload.aa`; did you mean `a`?"),
    ("\"b?\" = \"{payload.b}\"", "b = \"{payload.b}\"", "end the key with `?`"),
    ("\"b?\" = \"{payload.b}\"", "\"b?\" = \"{payload.c}\"", "may be an object or a list"),
    ("a = \"{payload.a}\"", "a = \"{env.HOME}\"", "is no placeholder"),
    ("a = \"{payload.a}\"", "a = \"{field.key}\"", "only a credential may carry it"),
    ("a = \"{payload.a}\"", "a = \"{payload.a\"", "is not closed"),
    ("when_unsure = \"fail\"", "when_unsure = \"never\"", "known here: retry, fail"),
    ("[[rules]]", "[oauth]\nx = 1\n\n[[rules]]", "unknown key `oauth`"),
    ("\"X-Id\" = \"{message.id}\"", "\"X-Id\" = \"a\\r\\nb: {message.id}\"", "cannot carry a line break"),
    ("matches = \"^no\"", "matches = \"(?:a{1000}){1000}\"", "`matches` is no pattern"),
    ("value = \"Token {field.key}\"", "value = \"Token {token.access}\"", "the flow api_key has no token"),
    ("url = \"/me\"", "url = \"https://{field.site}/me\"", "needs the list `allowed_hosts`"),
    ("url = \"/me\"", "url = \"/me\", sunset = \"soon\"", "`sunset` must be a day"),
    ("base_url", "allowed_hosts = [\"*.com\"]\nbase_url", "would let a whole top-level domain in"),
    ("base_url", "provider = \"nobody\"\nbase_url", "there is no provider `nobody`"),
    ("when_unsure = \"fail\"", "required_scopes = [\"a\"]", "the connector has no scope `a`"),
];

#[test]
fn every_fault_is_named() {
    for (right, wrong, expected) in WRONG {
        assert!(RIGHT.contains(right), "{right}");
        let text = RIGHT.replacen(right, wrong, 1);
        let faults = load(&text).map_or_else(|faults| shown(&faults).join("\n"), |_| "no fault".to_owned());
        assert!(faults.contains(expected), "{wrong}\nshould say: {expected}\nsays: {faults}");
    }
}

#[test]
fn a_credential_must_find_its_place() {
    let properties = "a = { type = \"string\" }";
    for (credential, request, expected) in [
        (
            "in = \"form\"\nname = \"t\"\nvalue = \"{field.key}\"",
            "method = \"POST\"\nurl = \"/x\"\njson = {}",
            "no place in a body",
        ),
        (
            "in = \"json\"\nname = \"/t\"\nvalue = \"{field.key}\"",
            "method = \"POST\"\nurl = \"/x\"\nform = {}",
            "no place in a body",
        ),
        (
            "in = \"json\"\nname = \"/a/t\"\nvalue = \"{field.key}\"",
            "method = \"POST\"\nurl = \"/x\"\njson = { a = 1 }",
            "own place is taken",
        ),
        (
            "in = \"query\"\nname = \"t\"\nvalue = \"{field.key}\"",
            "method = \"POST\"\nurl = \"/x\"\nquery = { t = 1 }",
            "own place is taken",
        ),
        (
            "in = \"header\"\nname = \"X-T\"\nvalue = \"{field.key}\"",
            "method = \"POST\"\nurl = \"/x\"\nheaders = { x-t = 1 }",
            "own place is taken",
        ),
        ("in = \"path\"\nvalue = \"{field.key}\"", "method = \"POST\"\nurl = \"/x\"", "belongs into the path"),
    ] {
        let faults = shown(&load(&sample(credential, properties, "", request)).unwrap_err()).join("\n");
        assert!(faults.contains(expected), "{request}\n{faults}");
    }
}
