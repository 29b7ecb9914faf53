//! The whole way with the vendor that the gateway brings along: consent, a renewal, faults, and the end.

use serde_json::json;

use super::{Browser, begin, read};
use crate::support::{
    app::{Database, TestApp, on_both},
    calls::{act, disconnect},
};

on_both!(the_sandbox_is_a_vendor_like_any_other,);

/// Consents on the sandbox's page; gives the query of the callback.
#[expect(clippy::disallowed_methods, reason = "the sandbox's pages are small")]
async fn consent(app: &TestApp, address: &str) -> String {
    let page = app.no_redirects.get(address).send().await.expect("a page").text().await.expect("a body");
    let (_, rest) = page.split_once("name=\"ticket\" value=\"").unwrap_or_else(|| panic!("no ticket: {page}"));
    let ticket = rest.split('"').next().expect("its end");
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in [
        ("ticket", ticket),
        ("account", "acct_1"),
        ("lifetime", "600"),
        ("decision", "allow"),
        ("scope", "account.read"),
        ("scope", "submissions.write"),
    ] {
        form.append_pair(name, value);
    }
    let sent = app
        .no_redirects
        .post(format!("{}/sandbox/oauth/authorize", app.url))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.finish())
        .send()
        .await
        .expect("an answer");
    let to = sent.headers()["location"].to_str().expect("an address");
    to.strip_prefix(&format!("{}/oauth/callback?", app.url)).expect("the gateway's own callback").to_owned()
}

async fn switch(app: &TestApp, switch: serde_json::Value) {
    let sent = app
        .client
        .post(format!("{}/sandbox/switches", app.url))
        .header("content-type", "application/json")
        .body(switch.to_string())
        .send()
        .await
        .expect("an answer");
    assert_eq!(sent.status(), 204);
}

async fn the_sandbox_is_a_vendor_like_any_other(database: Database) {
    let app = TestApp::on(database).await;
    let token = app.token("Administrator");
    let begun = begin(&app, &token, json!({"connectorSlug": "sandbox"})).await;
    let mut browser = Browser::new();
    let address = browser.begin(&app, begun["authorizationUrl"].as_str().expect("a link")).await;
    let page = browser.come_back(&app, &consent(&app, &address).await).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("Sandbox is connected"), "{}", page.text);
    let ended = read(&app, &token, &begun["id"]).await;
    assert_eq!(ended["connection"]["vendorAccountName"], "Lighthouse Books", "{ended}");
    let id = ended["connection"]["id"].as_str().expect("an id").to_owned();

    switch(&app, json!({"grant": 1, "do": "expire"})).await;
    let tested = act(&app, &token, "testConnection", &id, "test { outcome } connection { state }").await;
    assert_eq!(tested, json!({"test": {"outcome": "CONNECTED"}, "connection": {"state": "ACTIVE"}}));
    switch(&app, json!({"next": 1, "answer": 500, "at": "token"})).await;
    let refreshed = act(&app, &token, "refreshCredentials", &id, "connection { state }").await;
    assert_eq!(refreshed["connection"]["state"], "ACTIVE");
    let gone = disconnect(&app, &token, &id).await;
    assert_eq!((&gone["revocation"], &gone["revocationProved"]), (&json!("REVOKED"), &json!(true)), "{gone}");
}
