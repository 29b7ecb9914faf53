//! What is wrong with the OAuth side of a manifest is said when it is loaded.

use super::{
    check, connector, load, now,
    oauth_manifest::{MANIFEST, SHARED, SHARING, TWO_FLOWS, sharing},
    shown,
};
use crate::{
    connector::{CallContext, SigningKeys, TestRun, TestStep},
    domain::connector::AuthFlow,
};

/// Each replacement in the right manifest, and a part of what must be said of it.
const WRONG: &[(&str, &str, &str)] = &[
    ("pkce = \"required\"", "pkce = \"optional\"", "known here: none, supported, required"),
    ("pkce = \"required\"", "pcke = \"required\"", "unknown key `pcke`; did you mean `pkce`?"),
    ("pkce = \"required\"", "omit = [\"state\"]", "`omit` cannot be `state`"),
    ("app = \"sample_app\"", "client_id = \"{field.login_host}\"", "belong together"),
    ("app = \"sample_app\"", "grant = \"client_credentials\"", "`authorize` is for an operator's consent"),
    ("client_auth = \"basic\"\n", "", "`client_auth` is missing; it is one of: body"),
    ("refresh = { kind = \"rotating\", ", "refresh = { kind = \"same\", ", "`grace_seconds` is for"),
    ("calls = 10, ", "", "`limit` has `calls` and `seconds`"),
    ("calls = 10", "calls = 0", "at least 1"),
    ("access_type = \"offline\"", "state = \"x\"", "the parameter `state` is set by the gateway itself"),
    ("\"X-Version\" = \"2026-01-01\"", "\"X-Version\" = \"a\\nb\"", "cannot carry a line break"),
    ("\"X-Version\" = \"2026-01-01\"", "\"Authorization\" = \"x\"", "is not a manifest's to set"),
    ("https://{field.login_host}/oauth/authorize", "https://{grant.instance}/x", "is not known yet here"),
    ("https://{derived.accounts}/oauth/token", "https://{grant.instance}/x", "is not known yet here"),
    ("https://{derived.accounts}/oauth/token", "/oauth/token", "a path needs a `base_url`"),
    ("audience = \"api\"", "audience = \"{token.access}\"", "there is no token yet"),
    (
        "first_of = [\"{grant.accounts}\", \"{field.login_host}\"]",
        "first_of = [\"{grant.account}\"]",
        "is not known yet here",
    ),
    (
        "default = \"login.example.com\"\nhost = true",
        "default = \"login.example.com\"",
        "is no host: it needs `host = true`",
    ),
    ("default = \"login.example.com\"", "default = \"evil.example\"", "is no host that may be called"),
    (
        "pattern = \"^https://([^/]+)/?$\"\nhost = true",
        "pattern = \"x\"",
        "captures is no host: it needs `host = true`",
    ),
    ("allowed_hosts = [", "allowed_hosts = [\"https://x.example\", ", "is no host's name"),
    (
        "allowed_hosts = [\"login.example.com\", \"test.example.com\", \"accounts.example.eu\", \"*.my.example.com\"]\n",
        "",
        "needs the list `allowed_hosts`",
    ),
    ("step = \"metadata\"", "step = \"metadat\"", "has no step `metadat`; did you mean `metadata`?"),
    ("step = \"metadata\"", "step = \"account\"", "`{grant.centre}` is not known yet here"),
    ("parameter = \"accounts-server\"", "parameter = \"a\"\njson = \"/b\"", "give `parameter`"),
    ("{client.id}", "{client.name}", "is no placeholder"),
    ("url = \"/contacts\"", "url = \"/contacts/{client.id}\"", "is for the revocation"),
    ("url = \"/contacts\"", "credential = \"client\"\nurl = \"/contacts\"", "is for the revocation only"),
    ("email = \"{payload.email}\" }", "email = \"{token.access}\" }", "only a credential may carry it"),
    ("https://{grant.instance}/api", "https://{payload.email}/api", "cannot be a host: only"),
    ("url = \"/contacts\"", "url = \"https://{payload.email}/\"", "cannot be a host"),
    ("scopes = [\"events\"]", "scopes = [\"event\"]", "the connector has no scope `event`; did you mean `events`?"),
    ("required_scopes = [\"contacts.write\"]", "required_scopes = [\"x\"]", "the connector has no scope `x`"),
    ("id = \"contacts.write\"", "id = \"contacts.read\"", "there is a scope `contacts.read` already"),
    ("id = \"contacts.write\"", "id = \"a b\"", "has no white space"),
    ("then = \"revoked\"", "then = \"revoked\"\nwait_seconds = 5", "`wait_seconds` is for"),
    ("sunset = \"2027-02-16\"", "sunset = \"2027-02-30\"", "`sunset` must be a day"),
    ("[flows.oauth.token]", "[flows.oauth.tokens]", "unknown key `tokens`"),
];

#[test]
fn every_fault_is_named() {
    assert!(load(MANIFEST).is_ok());
    for (right, wrong, expected) in WRONG {
        assert!(MANIFEST.contains(right), "{right}");
        // In a table that is written inline, keys stand in one line.
        let wrong =
            if right.starts_with("url = \"/contacts\"") { wrong.replace('\n', ", ") } else { (*wrong).to_owned() };
        let text = MANIFEST.replacen(right, &wrong, 1);
        let faults = load(&text).map_or_else(|faults| shown(&faults).join("\n"), |_| "no fault".to_owned());
        assert!(faults.contains(expected), "{wrong}\nshould say: {expected}\nsays: {faults}");
    }
}

#[test]
fn providers_have_faults_of_their_own() {
    for (right, wrong, expected) in [
        (
            "name = \"shared\"",
            "nmae = \"shared\"",
            "providers/shared.toml:2:1: unknown key `nmae`; did you mean `name`?",
        ),
        ("https://accounts.example.com/token", "https://{field.x}.example.com/token", "has no field `x`"),
        ("kind = \"same\"", "kind = \"sane\"", "did you mean `same`?"),
        (
            "[oauth.revocation]",
            "[oauth.captures.a]\nstep = \"who\"\njson = \"/a\"\n[oauth.revocation]",
            "`step` is a connector's",
        ),
    ] {
        assert!(SHARED.contains(right), "{right}");
        let faults = sharing(&SHARED.replacen(right, wrong, 1), SHARING).unwrap_err();
        assert!(faults.contains(expected), "{wrong}\n{faults}");
    }
    for (right, wrong, expected) in [
        (
            "provider = \"shared\"",
            "provider = \"sharet\"",
            "sharing.toml:6:12: there is no provider `sharet`; did you mean `shared`?",
        ),
        ("id = \"files\"", "id = \"openid\"", "there is a scope `openid` already"),
        (
            "[flows.credentials.default]",
            "[flows.oauth]\nx = 1\n[flows.credentials.default]",
            "the provider shared has it",
        ),
        ("flow = \"oauth\"", "flow = \"api_key\"", "is for connectors with a flow oauth"),
    ] {
        let faults = sharing(SHARED, &SHARING.replacen(right, wrong, 1)).unwrap_err();
        assert!(faults.contains(expected), "{wrong}\n{faults}");
    }
}

#[test]
fn each_flow_makes_a_value_of_its_own_sources() {
    let read = connector(TWO_FLOWS);
    let values = check(&read, AuthFlow::ApiKey, &[("key", "k-eu")]).unwrap();
    let signing = SigningKeys::default();
    let context = CallContext { values: &values, signing: &signing, grant: None, now: now(), message_id: "msg_1" };
    let Ok(TestStep::Send(request)) = TestRun::new(&read, AuthFlow::ApiKey).next(&context) else { panic!("no call") };
    assert_eq!(request.url.as_str(), "https://eu.api.example.com/account");
    for (right, wrong, expected) in [
        // The first step of the flow oauth cannot call where only its answer leads.
        ("https://login.example.com/metadata", "/metadata", "`{grant.centre}` is not known yet here"),
        ("first_of = [\"{grant.centre}\"]", "first_of = [\"{grant.center}\"]", "the flow oauth captures no `center`"),
        ("centre = { first_of = [\"{grant.centre}\"] }", "center = { first_of = [\"a\"] }", "nothing derives `centre`"),
    ] {
        let faults = shown(&load(&TWO_FLOWS.replacen(right, wrong, 1)).unwrap_err()).join("\n");
        assert!(faults.contains(expected), "{wrong}\n{faults}");
    }
}
