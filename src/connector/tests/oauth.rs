//! The OAuth steps on a vendor made up for the purpose.

use std::{collections::BTreeMap, time::Duration};

use http::HeaderMap;
use serde_json::{Value, json};

use super::{
    connector, now,
    oauth_manifest::{MANIFEST, SHARED, SHARING, sharing},
};
use crate::{
    connector::{
        CallContext, Connector, Consent, Grant, OAuthCall, OAuthClient, Pkce, RefreshKind, Revoked, SigningKeys,
        TestRun, TestStep, TokenRefusal, Values,
    },
    domain::{
        connector::AuthFlow,
        exchange::{Answer, NoAnswer, OutboundRequest, TransportError},
        secret::Secret,
    },
};

fn client() -> OAuthClient {
    OAuthClient { id: "client-1".to_owned(), secret: Secret::from("planted-client-secret") }
}

fn values(connector: &Connector) -> Values {
    connector.flow(AuthFlow::Oauth).unwrap().check(&[]).unwrap()
}

fn answer(status: u16, json: &Value) -> Answer {
    let body = json.to_string().into_bytes();
    Answer { status, headers: HeaderMap::new(), body, truncated: false, latency: Duration::ZERO }
}

fn json_of(request: &OutboundRequest) -> Value {
    serde_json::from_slice(request.body.expose()).unwrap()
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn grant() -> Grant {
    Grant {
        access: Secret::from("access-1"),
        refresh: Some(Secret::from("refresh-1")),
        scopes: texts(&["contacts.read"]),
        expires_at: None,
        captured: vec![pair("instance", "acme.my.example.com"), pair("account", "00D1")],
    }
}

/// Hands a call of the made-up vendor to `use_it`.
fn with_call<T>(use_it: impl FnOnce(&OAuthCall<'_>) -> T) -> T {
    let (read, client) = (connector(MANIFEST), client());
    let values = values(&read);
    use_it(&OAuthCall::new(&read, &values, &client).unwrap())
}

#[test]
fn what_proves_the_client_is_encoded() {
    // RFC 6749, section 2.3.1.
    let (read, client) =
        (connector(MANIFEST), OAuthClient { id: "the client".to_owned(), secret: Secret::from("se+cret/%7E:&") });
    let values = values(&read);
    let call = OAuthCall::new(&read, &values, &client).unwrap();
    let request = call.exchange(&Secret::from("code"), None, "https://gateway.example", &[]).unwrap();
    let said = request.headers["authorization"].to_str().unwrap();
    assert_eq!(said, "Basic dGhlK2NsaWVudDpzZSUyQmNyZXQlMkYlMjU3RSUzQSUyNg==", "the+client:se%2Bcret%2F%257E%3A%26");
    for text in [said, "see se+cret/%7E:& there", "see se%2Bcret%2F%257E%3A%26 there"] {
        let masked = call.mask(text, None);
        assert!(masked.contains("[sealed]") && !masked.contains("cret") && !masked.contains("dGhl"), "{masked}");
    }
}

#[test]
fn the_library_shows_what_a_flow_can_do() {
    let read = connector(MANIFEST);
    let flow = read.flow(AuthFlow::Oauth).unwrap();
    assert!(flow.refreshable && flow.revocable && flow.scopes_editable && flow.expires);
    let oauth = flow.oauth.as_ref().unwrap();
    assert_eq!((oauth.app.as_deref(), oauth.pkce, oauth.shared_grant), (Some("sample_app"), Pkce::Required, true));
    assert_eq!((oauth.refresh, oauth.renew_after), (RefreshKind::Rotating { grace: 60 }, Some(604_800)));
    assert_eq!(oauth.refresh_limit.map(|limit| (limit.calls, limit.seconds)), Some((10, 600)));
    assert_eq!(
        read.scopes.iter().map(|scope| scope.id.as_str()).collect::<Vec<_>>(),
        ["contacts.read", "contacts.write", "events"]
    );
    assert_eq!(read.operations[0].required_scopes, ["contacts.write"]);
}

#[test]
fn the_browser_goes_to_the_vendor() {
    let scopes = texts(&["contacts.read", "contacts.write", "events"]);
    let consent = Consent {
        redirect_uri: "https://gateway.example/oauth/callback?a=b&c",
        state: "state/1",
        scopes: &scopes,
        code_challenge: Some("challenge"),
    };
    let url = with_call(|call| call.authorize_url(&consent).unwrap());
    assert_eq!((url.host_str(), url.path()), (Some("login.example.com"), "/oauth/authorize"));
    let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let expected = [
        ("response_type", "code"),
        ("client_id", "client-1"),
        ("redirect_uri", consent.redirect_uri),
        ("scope", "contacts.read,contacts.write"),
        ("optional_scope", "events"),
        ("state", "state/1"),
        ("code_challenge", "challenge"),
        ("code_challenge_method", "S256"),
        ("access_type", "offline"),
        ("prompt", "consent"),
    ];
    assert_eq!(query, expected.map(|(name, value)| pair(name, value)));
}

#[test]
fn what_the_vendor_does_not_want_is_left_out() {
    let text = MANIFEST.replace("scope_separator = \",\"", "omit = [\"response_type\", \"scope\", \"redirect_uri\"]");
    let (read, client) = (connector(&text), client());
    assert!(!read.flow(AuthFlow::Oauth).unwrap().scopes_editable);
    let values = values(&read);
    let call = OAuthCall::new(&read, &values, &client).unwrap();
    let scopes = texts(&["contacts.read"]);
    let consent = Consent { redirect_uri: "https://x.example/", state: "s", scopes: &scopes, code_challenge: None };
    let url = call.authorize_url(&consent).unwrap();
    assert_eq!(url.query(), Some("client_id=client-1&state=s&access_type=offline&prompt=consent"));
    let exchange = call.exchange(&Secret::from("c"), None, "https://x.example/", &[]).unwrap();
    assert_eq!(json_of(&exchange).get("redirect_uri"), None);
}

#[test]
fn the_callback_says_where_the_code_is_turned_in() {
    with_call(|call| {
        let known =
            call.read_callback(&[pair("code", "c"), pair("accounts-server", "https://accounts.example.eu")]).unwrap();
        assert_eq!(known, [pair("accounts", "accounts.example.eu")]);
        let request =
            call.exchange(&Secret::from("c&1"), Some(&Secret::from("v")), "https://g.example/cb", &known).unwrap();
        assert_eq!(request.url.as_str(), "https://accounts.example.eu/oauth/token?version=2");
        assert_eq!(request.headers["x-version"], "2026-01-01");
        assert_eq!(request.headers["authorization"], "Basic Y2xpZW50LTE6cGxhbnRlZC1jbGllbnQtc2VjcmV0");
        assert!(request.headers["authorization"].is_sensitive());
        assert_eq!(
            json_of(&request),
            json!({"grant_type": "authorization_code", "code": "c&1", "redirect_uri": "https://g.example/cb", "code_verifier": "v", "audience": "api"})
        );
        assert_eq!(call.read_callback(&[pair("code", "c")]).unwrap(), []);
        let usual = call.exchange(&Secret::from("c"), None, "https://g.example/cb", &[]).unwrap();
        assert_eq!(usual.url.host_str(), Some("login.example.com"));
        for server in ["https://evil.example", "https://accounts.example.eu/x", "http://accounts.example.eu", "x"] {
            let refused = call.read_callback(&[pair("accounts-server", server)]).unwrap_err();
            assert!(
                refused.message.contains("accounts-server") && !refused.message.contains("evil.example"),
                "{refused}"
            );
        }
        let forged = [pair("accounts", "evil.example")];
        assert!(
            call.exchange(&Secret::from("c"), None, "https://g.example/cb", &forged).is_err(),
            "the list holds here too"
        );
    });
}

#[test]
fn an_answer_becomes_a_grant() {
    let body = json!({
        "access_token": "a2", "refresh_token": "r2", "expires_at": "2023-11-15T00:00:00Z",
        "scopes": ["https://example.com/auth/contacts.read", "contacts.write"],
        "instance_url": "https://acme.my.example.com", "id": "https://login.example.com/id/00D1",
    });
    with_call(|call| {
        let read = |status, body: &Value, renewed: Option<&Grant>| {
            call.read_token(Ok(&answer(status, body)), &texts(&["events"]), &[pair("accounts", "x")], renewed, now())
        };
        let found = read(200, &body, None).unwrap();
        assert_eq!((found.access.expose(), found.refresh.as_ref().unwrap().expose()), ("a2", "r2"));
        assert_eq!(found.scopes, ["contacts.read", "contacts.write"]);
        assert_eq!(found.expires_at.unwrap().to_rfc3339(), "2023-11-15T00:00:00+00:00");
        let captured: BTreeMap<_, _> = found.captured.into_iter().collect();
        let expected = [("accounts", "x"), ("instance", "acme.my.example.com"), ("account", "00D1")];
        assert_eq!(captured, expected.map(|(name, value)| pair(name, value)).into());

        // A renewal need not repeat anything but the token.
        let renewed = read(200, &json!({"access_token": "a3"}), Some(&grant())).unwrap();
        assert_eq!((renewed.access.expose(), renewed.refresh.unwrap().expose()), ("a3", "refresh-1"));
        assert_eq!(renewed.scopes, ["contacts.read"]);
        assert_eq!(renewed.captured.len(), 2);
        assert_eq!(renewed.expires_at.unwrap(), now() + chrono::TimeDelta::hours(2), "the assumed lifetime");
        let moved =
            read(200, &json!({"access_token": "a3", "instance_url": "https://b.my.example.com"}), Some(&grant()));
        assert!(moved.unwrap().captured.contains(&pair("instance", "b.my.example.com")));

        // Whoever answers, no other host is called.
        let elsewhere = json!({"access_token": "a3", "instance_url": "https://evil.example"});
        for renewed in [None, Some(&grant())] {
            let refused = read(200, &elsewhere, renewed).unwrap_err();
            assert_eq!(refused.refusal, TokenRefusal::Misconfigured);
            assert!(refused.detail.contains("/instance_url") && !refused.detail.contains("evil"), "{}", refused.detail);
        }
        assert_eq!(read(200, &json!({"access_token": "a3"}), None).unwrap_err().refusal, TokenRefusal::Misconfigured);
    });
}

#[test]
fn times_of_expiry_come_in_several_forms() {
    for (expiry, body, seconds) in [
        ("{}", json!({"expires_in": 3600}), Some(3_600)),
        ("{}", json!({"expires_in": "3600"}), Some(3_600)),
        ("{}", json!({}), None),
        ("{}", json!({"expires_in": 0}), Some(0)),
        ("{}", json!({"expires_in": -1}), None),
        ("{}", json!({"expires_in": 1e300}), None),
        ("{ zero_is_never = true }", json!({"expires_in": 0}), None),
        ("{ assumed_seconds = 7200 }", json!({}), Some(7_200)),
        ("{ form = \"unix_seconds\", json = \"/exp\" }", json!({"exp": 1_700_000_060}), Some(60)),
        ("{ form = \"time\", json = \"/exp\" }", json!({"exp": "soon"}), None),
    ] {
        let text = MANIFEST.replace(
            "expiry = { json = \"/expires_at\", form = \"time\", assumed_seconds = 7200 }",
            &format!("expiry = {expiry}"),
        );
        let (read, client) = (connector(&text), client());
        let values = values(&read);
        let call = OAuthCall::new(&read, &values, &client).unwrap();
        let mut whole = json!({"access_token": "a", "instance_url": "https://a.my.example.com"});
        whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        let found = call.read_token(Ok(&answer(200, &whole)), &[], &[], None, now()).unwrap();
        assert_eq!(found.expires_at.map(|at| (at - now()).num_seconds()), seconds, "{expiry} {body}");
    }
}

#[test]
fn a_refusal_says_what_follows() {
    let passing = |seconds: Option<u64>| TokenRefusal::Passing { after: seconds.map(Duration::from_secs) };
    with_call(|call| {
        for (status, body, expected) in [
            (200, json!({"error": "invalid_code"}), TokenRefusal::Expired),
            (200, json!({"access_token": "a", "error": "invalid_code"}), TokenRefusal::Expired),
            (400, json!({"error": "invalid_grant"}), TokenRefusal::Expired),
            (400, json!({"error": "user_disabled"}), TokenRefusal::Revoked),
            (400, json!({"error": "Access Denied", "error_description": "too many requests"}), passing(Some(600))),
            (401, json!({"error": "invalid_client"}), TokenRefusal::Misconfigured),
            (400, json!({"error": "temporarily_unavailable"}), passing(None)),
            (429, json!({}), passing(None)),
            (503, json!({"error": "invalid_grant"}), passing(None)),
            (200, json!({"access_token": ""}), TokenRefusal::Misconfigured),
            (200, json!([]), TokenRefusal::Misconfigured),
        ] {
            let refused = call.read_token(Ok(&answer(status, &body)), &[], &[], None, now()).unwrap_err();
            assert_eq!(refused.refusal, expected, "{status} {body}");
        }
        let html = Answer { body: b"<html>".to_vec(), ..answer(200, &json!(null)) };
        assert!(call.read_token(Ok(&html), &[], &[], None, now()).is_err());
        for (reached, expected) in [(true, TokenRefusal::Lost), (false, passing(None))] {
            let detail = "slow".to_owned();
            let none = NoAnswer { error: TransportError::Timeout, detail, reached, latency: Duration::ZERO };
            let refused = call.read_token(Err(&none), &[], &[], None, now()).unwrap_err();
            assert_eq!(refused.refusal, expected);
        }
    });
}

#[test]
fn a_grant_is_renewed_and_given_back() {
    with_call(|call| {
        let request = call.refresh(&grant()).unwrap();
        assert_eq!(request.headers.get("authorization"), None);
        assert_eq!(
            json_of(&request),
            json!({"grant_type": "refresh_token", "refresh_token": "refresh-1", "client_id": "client-1", "client_secret": "planted-client-secret", "audience": "api"})
        );
        assert!(call.refresh(&Grant { refresh: None, ..grant() }).is_err());
        assert!(call.mint(&[]).is_err());

        let request = call.revoke(&grant()).unwrap().unwrap();
        assert_eq!(request.url.as_str(), "https://acme.my.example.com/oauth/revoke");
        assert_eq!(request.headers["authorization"], "Client planted-client-secret");
        assert_eq!(json_of(&request), json!({"client_id": "client-1", "account": "00D1", "token": "refresh-1"}));
        let alone = Grant { refresh: None, captured: vec![pair("instance", "a.my.example.com")], ..grant() };
        assert_eq!(
            json_of(&call.revoke(&alone).unwrap().unwrap()),
            json!({"client_id": "client-1", "token": "access-1"})
        );

        let read = |status, body: &Value| call.read_revocation(Ok(&answer(status, body)));
        assert_eq!(read(200, &json!({})), Revoked::Done);
        assert_eq!(read(400, &json!({"error": "invalid_token"})), Revoked::AlreadyGone);
        assert!(matches!(read(400, &json!({})), Revoked::Failed { again: false, .. }));
        assert!(matches!(read(503, &json!({})), Revoked::Failed { again: true, .. }));
        let told = "refresh-1 access-1 planted-client-secret Y2xpZW50LTE6cGxhbnRlZC1jbGllbnQtc2VjcmV0";
        assert_eq!(call.mask(told, Some(&grant())), "[sealed] [sealed] [sealed] [sealed]");
    });
}

#[test]
fn a_client_can_act_for_itself() {
    let text = MANIFEST
        .replace("app = \"sample_app\"\npkce = \"required\"", "grant = \"client_credentials\"\nclient_id = \"{field.id}\"\nclient_secret = \"{field.secret}\"")
        .replace("refresh = { kind = \"rotating\", grace_seconds = 60, ", "refresh = { ")
        .replace("[flows.oauth.authorize]\nurl = \"https://{field.login_host}/oauth/authorize\"\nparameters = { access_type = \"offline\", prompt = \"consent\" }\n", "")
        .replace("[flows.oauth.captures.accounts]\nparameter = \"accounts-server\"", "[flows.oauth.captures.accounts]\njson = \"/accounts\"")
        .replace("first_of = [\"{grant.accounts}\", \"{field.login_host}\"]", "first_of = [\"{field.login_host}\"]")
        .replace("host = true\n\n[flows.derived", "host = true\n[[flows.fields]]\nname = \"id\"\nlabel = \"Id\"\n[[flows.fields]]\nname = \"secret\"\nlabel = \"Secret\"\nsecret = true\n\n[flows.derived");
    let read = connector(&text);
    let flow = read.flow(AuthFlow::Oauth).unwrap();
    assert!(flow.refreshable && !flow.scopes_editable);
    let values = flow.check(&super::secrets(&[("id", "entered"), ("secret", "s3cret")])).unwrap();
    let oauth = flow.oauth.as_ref().unwrap();
    assert_eq!((oauth.refresh, oauth.app.as_deref()), (RefreshKind::Mint, None));
    let client = oauth.entered_client(flow, &values).unwrap();
    let call = OAuthCall::new(&read, &values, &client).unwrap();
    let request = call.mint(&texts(&["contacts.read"])).unwrap();
    assert_eq!(
        json_of(&request),
        json!({"grant_type": "client_credentials", "scope": "contacts.read", "audience": "api"})
    );
    assert_eq!(request.headers["authorization"], "Basic ZW50ZXJlZDpzM2NyZXQ=");
    assert_eq!(json_of(&call.refresh(&grant()).unwrap())["grant_type"], "client_credentials");
    let consent = Consent { redirect_uri: "", state: "", scopes: &[], code_challenge: None };
    assert!(call.authorize_url(&consent).is_err());
}

#[test]
fn a_test_follows_the_scopes_and_keeps_what_it_captures() {
    let read = connector(MANIFEST);
    let (values, signing) = (values(&read), SigningKeys::default());
    let run = |grant: &Grant, answers: &[Value]| {
        let context =
            CallContext { values: &values, signing: &signing, grant: Some(grant), now: now(), message_id: "msg_1" };
        let mut run = TestRun::new(&read, AuthFlow::Oauth);
        let mut called = Vec::new();
        for body in answers {
            let Ok(TestStep::Send(request)) = run.next(&context) else { panic!("{called:?}: no call") };
            assert_eq!(request.headers["authorization"], "Sample-token access-1");
            called.push(request.url.to_string());
            run.answer(Ok(&answer(200, body)), &context);
        }
        let Ok(TestStep::Done(found)) = run.next(&context) else { panic!("{called:?}: goes on") };
        (called, found.vendor_account_id, run.captured().to_vec())
    };
    let narrow = Grant { scopes: texts(&["events"]), ..grant() };
    let (called, account, captured) = run(&narrow, &[json!({"sub": "s-1"})]);
    assert_eq!((called, account.as_deref()), (texts(&["https://login.example.com/whoami"]), Some("s-1")));
    assert_eq!(captured, []);

    let (called, account, captured) = run(&grant(), &[json!({"dc": "us6"}), json!({"id": "7"})]);
    assert_eq!(called, ["https://login.example.com/metadata", "https://us6.data.example.com/account"]);
    assert_eq!(account.as_deref(), Some("7"));
    assert_eq!(captured, [pair("centre", "us6")]);
    assert_eq!(grant().with_captured(&captured).captured.len(), 3);
}

#[test]
fn connectors_share_a_provider() {
    let read = sharing(SHARED, SHARING).unwrap();
    let flow = read.flow(AuthFlow::Oauth).unwrap();
    assert_eq!(flow.oauth.as_ref().unwrap().app.as_deref(), Some("shared"));
    assert!(flow.refreshable && flow.revocable && flow.scopes_editable);
    assert_eq!(read.scopes.iter().map(|scope| scope.id.as_str()).collect::<Vec<_>>(), ["openid", "files"]);
    assert_eq!(read.rules.len(), 1);
    let (values, client) = (values(&read), client());
    let call = OAuthCall::new(&read, &values, &client).unwrap();
    let revoked = call.revoke(&grant()).unwrap().unwrap();
    assert_eq!(revoked.body.expose(), b"token=refresh-1");
}

#[test]
fn what_will_be_switched_off_is_told_in_time() {
    let source = crate::connector::Source { file: "sample.toml".to_owned(), text: MANIFEST.to_owned() };
    let library = crate::connector::Library::load([source], crate::connector::LoadOptions::default()).unwrap();
    let on = |day: &str| library.sunsets(day.parse().unwrap()).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(on("2026-11-17"), Vec::<String>::new());
    let line = MANIFEST.lines().position(|line| line.starts_with("sunset")).unwrap() + 1;
    let expected = [format!("sample.toml:{line}:10: the vendor switches this call off on 2027-02-16")];
    assert_eq!(on("2026-11-18"), expected);
    assert_eq!(on("2028-01-01"), expected);
}
