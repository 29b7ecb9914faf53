//! Consent, tokens, rotation, revocation and introspection.

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::json;

use super::client::{ALL, Client, VERIFIER, assert_refused, filled, read, tokens};

#[tokio::test]
async fn a_code_with_its_verifier_becomes_tokens_that_rotate() {
    let client = Client::start().await;
    let code = client.code("account.read submissions.write").await;
    assert_refused(&client.exchange(&code, &"x".repeat(43)).await, 400, "invalid_grant", "code_verifier");
    assert_refused(&client.exchange(&code, "short").await, 400, "invalid_request", "43 to 128");

    let first = client.exchange(&code, VERIFIER).await;
    let (access, refresh) = tokens(&first);
    let said = first.json();
    assert_eq!((&said["token_type"], &said["expires_in"]), (&json!("Bearer"), &json!(60)));
    assert_eq!((&said["scope"], first.header("cache-control")), (&json!("account.read submissions.write"), "no-store"));
    assert_eq!(client.account(&access).await.json(), json!({"id": "acct_2", "name": "Harbour Cycles"}));

    client.app.clock.advance(TimeDelta::seconds(60));
    assert_refused(&client.account(&access).await, 401, "invalid_token", "expired");
    let (second, next) = tokens(&client.refresh(&refresh).await);
    assert_eq!(client.account(&second).await.status, 200);
    assert_refused(&client.refresh(&refresh).await, 400, "invalid_grant", "used already: the grant is revoked");
    assert_refused(&client.account(&second).await, 401, "invalid_token", "revoked");
    assert_refused(&client.refresh(&next).await, 400, "invalid_grant", "revoked");

    let grants = client.grants().await;
    let grant = &grants[0];
    assert_eq!((&grant["state"], &grant["revokedBy"]), (&json!("revoked"), &json!("reuse")));
    assert_eq!((&grant["exchanged"], &grant["refreshed"], &grant["reused"]), (&json!(1), &json!(1), &json!(1)));
    for token in [access, refresh, second, next, code] {
        assert!(!grants.to_string().contains(&token), "no token is shown");
    }
}

#[tokio::test]
async fn a_code_that_comes_twice_revokes_what_came_of_it() {
    let client = Client::start().await;
    let code = client.code(ALL).await;
    let (access, refresh) = tokens(&client.exchange(&code, VERIFIER).await);
    assert_refused(&client.exchange(&code, VERIFIER).await, 400, "invalid_grant", "used already");
    assert_refused(&client.account(&access).await, 401, "invalid_token", "revoked");
    assert_refused(&client.refresh(&refresh).await, 400, "invalid_grant", "revoked");
    let late = client.code(ALL).await;
    client.app.clock.advance(TimeDelta::seconds(60));
    assert_refused(&client.exchange(&late, VERIFIER).await, 400, "invalid_grant", "expired");
}

#[tokio::test]
async fn a_wrong_client_or_callback_is_sent_nowhere() {
    let client = Client::start().await;
    let with = |name: &'static str, value: &str| {
        let mut asking = client.asking();
        asking.retain(|(known, _)| *known != name);
        asking.extend((!value.is_empty()).then(|| (name, value.to_owned())));
        asking
    };
    let callback = client.callback();
    for (name, value) in [
        ("client_id", "other"),
        ("client_id", ""),
        ("redirect_uri", "https://evil.example/"),
        ("redirect_uri", &format!("{callback}/")),
        ("redirect_uri", &format!("{callback}?x=1")),
        ("redirect_uri", ""),
    ] {
        let refused = client.authorize(&with(name, value)).await;
        assert_eq!((refused.status, refused.header("location")), (400, ""), "{name}={value}");
        assert!(refused.text.contains(name), "{}", refused.text);
        assert!(!refused.text.contains("evil"), "nothing is repeated");
    }
    for (name, value, error) in [
        ("response_type", "token", "unsupported_response_type"),
        ("response_type", "", "invalid_request"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge", VERIFIER, "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge_method", "", "invalid_request"),
        ("scope", "account.read everything", "invalid_scope"),
        ("scope", "", "invalid_scope"),
    ] {
        let refused = client.authorize(&with(name, value)).await;
        assert_eq!(refused.status, 302, "{name}={value}");
        assert!(refused.header("location").starts_with(&format!("{callback}?")));
        assert_eq!(refused.sent_back("error").as_deref(), Some(error), "{name}={value}");
        assert_eq!(refused.sent_back("state").as_deref(), Some("s&1"));
        assert_eq!(refused.sent_back("iss"), Some(format!("{}/sandbox", client.app.url)));
        assert_eq!(refused.sent_back("code"), None);
    }
    let mut twice = client.asking();
    twice.push(("state", "other".to_owned()));
    let refused = client.authorize(&twice).await;
    assert_eq!((refused.sent_back("error").as_deref(), refused.sent_back("state")), (Some("invalid_request"), None));
    assert_eq!(client.authorize(&with("state", &"x".repeat(20_000))).await.status, 400, "the query is too long");
    assert_eq!(client.grants().await, json!([]));
}

#[tokio::test]
async fn the_operator_may_refuse_or_grant_less() {
    let client = Client::start().await;
    let page = client.authorize(&client.asking()).await;
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!page.text.contains("<script") && !page.text.contains("http"), "no script, and no other host");

    let ticket = client.ticket().await;
    let denied = client.answer(&[("ticket", &ticket), ("decision", "deny")]).await;
    assert_eq!((denied.status, denied.sent_back("error").as_deref()), (302, Some("access_denied")));
    assert_eq!(denied.sent_back("state").as_deref(), Some("s&1"));

    let allow = [("decision", "allow"), ("account", "acct_1"), ("lifetime", "600"), ("scope", "account.read")];
    let with = |ticket| [allow.as_slice(), &[("ticket", ticket)]].concat();
    assert_eq!(client.answer(&with(&ticket)).await.status, 400, "a ticket serves once");
    assert_eq!(client.answer(&with("sandbox-ticket.1.0.0.AAAA")).await.status, 400);
    let ticket = client.ticket().await;
    for (name, value) in
        [("decision", "x"), ("account", "acct_3"), ("lifetime", "61"), ("scope", "everything"), ("scope", "")]
    {
        let mut form = with(&ticket);
        form.retain(|(known, _)| *known != name);
        form.push((name, value));
        let refused = client.answer(&form).await;
        assert_eq!(refused.status, 400, "{name}={value}");
        assert!(refused.text.contains(name), "{}", refused.text);
    }
    assert_eq!(client.answer(&with(&ticket)).await.status, 302, "a wrong choice has not used it up");
    let old = client.ticket().await;
    client.app.clock.advance(TimeDelta::minutes(10));
    assert_eq!(client.answer(&with(&old)).await.status, 400, "a page is too old after ten minutes");
    let grants = client.grants().await;
    assert_eq!(grants.as_array().map(Vec::len), Some(1), "{grants}");
    assert_eq!((&grants[0]["scopes"], &grants[0]["state"]), (&json!(["account.read"]), &json!("pending")));
}

#[tokio::test]
async fn the_client_proves_itself() {
    let client = Client::start().await;
    let (access, refresh) = client.connect(ALL).await;
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    for path in ["/sandbox/oauth/token", "/sandbox/oauth/revoke", "/sandbox/oauth/introspect"] {
        let nobody = read(filled(client.request(Method::POST, path), &form)).await;
        assert_refused(&nobody, 401, "invalid_client", "");
        assert!(nobody.header("www-authenticate").starts_with("Basic"));
        let wrong = filled(client.request(Method::POST, path).basic_auth("sandbox", Some("wrong")), &form);
        assert_refused(&read(wrong).await, 401, "invalid_client", "");
        let twice = client.post(path, &[("client_id", "sandbox"), ("client_secret", &client.secret)]).await;
        assert_refused(&twice, 400, "invalid_request", "twice");
        let json = client.request(Method::POST, path).header("content-type", "application/json").body("{}");
        assert_refused(&read(json).await, 400, "invalid_request", "x-www-form-urlencoded");
        let long = filled(client.request(Method::POST, path), &[("token", &"x".repeat(20_000))]);
        assert_refused(&read(long).await, 400, "invalid_request", "longer than");
    }
    let in_body = [form.as_slice(), &[("client_id", "sandbox"), ("client_secret", &client.secret)]].concat();
    let (_, refresh) = tokens(&read(filled(client.request(Method::POST, "/sandbox/oauth/token"), &in_body)).await);
    for (form, error) in [
        (vec![], "invalid_request"),
        (vec![("grant_type", "password")], "unsupported_grant_type"),
        (vec![("grant_type", "refresh_token")], "invalid_request"),
        (vec![("grant_type", "refresh_token"), ("refresh_token", &access)], "invalid_grant"),
        (vec![("grant_type", "refresh_token"), ("refresh_token", &refresh), ("scope", "x")], "invalid_scope"),
        (vec![("grant_type", "refresh_token"), ("grant_type", "refresh_token")], "invalid_request"),
    ] {
        assert_refused(&client.post("/sandbox/oauth/token", &form).await, 400, error, "");
    }
    let other = [
        ("grant_type", "authorization_code"),
        ("code", "x"),
        ("redirect_uri", "https://evil.example/"),
        ("code_verifier", VERIFIER),
    ];
    assert_refused(&client.post("/sandbox/oauth/token", &other).await, 400, "invalid_grant", "redirect_uri");
    assert_eq!(client.refresh(&refresh).await.status, 200, "none of these has used it up");
}

#[tokio::test]
async fn a_grant_is_given_back_and_introspection_knows_it() {
    let client = Client::start().await;
    let (access, refresh) = client.connect("account.read").await;
    let said = client.introspect(&access).await;
    assert_eq!((&said["active"], &said["scope"]), (&json!(true), &json!("account.read")));
    assert_eq!((&said["sub"], &said["client_id"]), (&json!("acct_2"), &json!("sandbox")));
    assert!(said["exp"].is_i64());
    assert_eq!(client.introspect(&refresh).await["active"], true);
    assert_eq!(client.introspect("x").await, json!({"active": false}));

    assert_eq!(client.post("/sandbox/oauth/revoke", &[("token", "x")]).await.status, 200);
    assert_eq!(client.post("/sandbox/oauth/revoke", &[("token", &refresh)]).await.status, 200);
    assert_eq!(client.post("/sandbox/oauth/revoke", &[("token", &refresh)]).await.status, 200);
    for token in [&access, &refresh] {
        assert_eq!(client.introspect(token).await, json!({"active": false}));
    }
    assert_refused(&client.account(&access).await, 401, "invalid_token", "revoked");
    assert_eq!(client.grants().await[0]["revokedBy"], "client");
    let nobody = read(client.request(Method::GET, "/sandbox/api/account")).await;
    assert_eq!((nobody.status, nobody.header("www-authenticate")), (401, "Bearer realm=\"sandbox\""));
    assert_refused(&client.account("x").await, 401, "invalid_token", "not known");
}
