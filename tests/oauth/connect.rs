//! From the first link to the stored connection, and all that may go wrong on the way.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{Browser, authorize, begin, connected, read};
use crate::support::{
    app::{Database, TestApp, on_both},
    grants::Granting,
    vendor::Reply,
};

on_both!(
    an_operator_connects_by_consent,
    a_forwarded_link_connects_nothing,
    what_the_vendor_refuses_is_said,
    other_scopes_and_a_fresh_grant_keep_the_connection,
);

async fn an_operator_connects_by_consent(database: Database) {
    let granting = Granting::start().await;
    let app = TestApp::with_grants(database, &granting).await;
    let token = app.token("Administrator");
    let to = format!("{}/console?tab=1", app.url);
    let begun = begin(&app, &token, json!({"connectorSlug": "granting", "displayName": "Ours", "returnTo": to})).await;
    assert_eq!(begun["status"], "PENDING");
    assert_eq!(begun["scopesRequested"], json!(["contacts"]));
    let link = begun["authorizationUrl"].as_str().expect("a link").to_owned();
    let mut events = app
        .subscribe(&token, &format!("subscription {{ authorizationUpdated(id: {}) {{ status }} }}", begun["id"]))
        .await;
    assert_eq!(events.next().await["authorizationUpdated"]["status"], "PENDING");

    let mut browser = Browser::new();
    let page = browser.open(&app, &link).await;
    assert!(page.text.contains("Granting") && page.text.contains("Ada"), "{}", page.text);
    // The same browser may look again; the link is used all the same.
    let address = browser.begin(&app, &link).await;
    assert_eq!(read(&app, &token, &begun["id"]).await["authorizationUrl"], Value::Null);
    assert_eq!(Browser::new().open(&app, &link).await.status, 404);

    let query = granting.consent(&address, "acme");
    let back = browser.come_back(&app, &query).await;
    let id = begun["id"].as_str().expect("an id");
    assert_eq!((back.status, back.location), (303, Some(format!("{to}&authorization={id}"))));
    let mut told = events.next().await;
    while told["authorizationUpdated"]["status"] == "PENDING" {
        told = events.next().await;
    }
    assert_eq!(told["authorizationUpdated"]["status"], "SUCCEEDED");
    let ended = read(&app, &token, &begun["id"]).await;
    let connection = &ended["connection"];
    for (field, expected) in [
        ("displayName", json!("Ours")),
        ("state", json!("ACTIVE")),
        ("vendorAccountId", json!("acme")),
        ("vendorAccountName", json!("The acme")),
        ("scopesGranted", json!(["contacts"])),
        ("expiresAt", json!("2030-01-15T13:00:00.000Z")),
    ] {
        assert_eq!(connection[field], expected, "{field}: {ended}");
    }
    // The callback is good once, and says so to whoever loads it again.
    let again = browser.come_back(&app, &query).await;
    assert_eq!(again.status, 400);
    assert!(!again.text.contains("another browser"), "{}", again.text);
    assert_eq!(granting.book().exchanges, 1);
}

async fn a_forwarded_link_connects_nothing(database: Database) {
    let granting = Granting::start().await;
    let app = TestApp::with_grants(database, &granting).await;
    let token = app.token("Administrator");
    let input = json!({"connectorSlug": "granting"});
    let begun = begin(&app, &token, input.clone()).await;
    let link = begun["authorizationUrl"].as_str().expect("a link");
    let mut own = Browser::new();
    let address = own.begin(&app, link).await;
    let query = granting.consent(&address, "acme");
    // Somebody else's browser has no cookie; a guessed one does not help.
    assert_eq!(Browser::new().come_back(&app, &query).await.status, 400);
    let name = own.cookie.clone().expect("a cookie").split('=').next().expect("a name").to_owned();
    let mut guessing = Browser { cookie: Some(format!("{name}=guessed")) };
    assert_eq!(guessing.come_back(&app, &query).await.status, 400);
    // A state of another authorization, one that is unknown, and none.
    let other = begin(&app, &token, input.clone()).await;
    let mut elsewhere = Browser::new();
    let swapped =
        granting.consent(&elsewhere.begin(&app, other["authorizationUrl"].as_str().expect("a link")).await, "acme");
    assert_eq!(own.come_back(&app, &swapped).await.status, 400);
    for wrong in ["state=unknown&code=1", "code=1", "", "state=a&state=b&code=1"] {
        assert_eq!(own.come_back(&app, wrong).await.status, 400, "{wrong}");
    }
    assert_eq!(granting.book().exchanges, 0);
    // Another issuer: refused, and the authorization has ended.
    let wrong = query.replace("granting.example", "other.example");
    own.come_back(&app, &wrong).await;
    let ended = read(&app, &token, &begun["id"]).await;
    assert_eq!(ended["status"], "REJECTED");
    assert!(ended["error"].as_str().expect("a reason").contains("iss"), "{ended}");
    assert_eq!(granting.book().exchanges, 0);
    // A link is good for a minute, and an authorization for ten.
    let late = begin(&app, &token, input).await;
    app.clock.advance(TimeDelta::seconds(61));
    let link = late["authorizationUrl"].as_str().expect("a link");
    assert_eq!(Browser::new().open(&app, link).await.status, 404);
    app.clock.advance(TimeDelta::minutes(10));
    assert_eq!(elsewhere.come_back(&app, &swapped).await.status, 400);
    assert_eq!(read(&app, &token, &other["id"]).await["status"], "EXPIRED");
    assert_eq!(app.count_rows("connections").await, 0);

    // Nobody but the operator who began it sees it.
    for stranger in [app.operator_token(2, "Administrator"), app.site_token(2, "Administrator")] {
        let query = "query($id: ID!) { authorization(id: $id) { id } node(id: $id) { id } }";
        let answer = app.graphql(&stranger, query, json!({"id": begun["id"]})).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "NOT_FOUND", "{answer}");
        assert_eq!(answer["data"], json!({"authorization": null, "node": null}));
    }
}

async fn what_the_vendor_refuses_is_said(database: Database) {
    let granting = Granting::start().await;
    let app = TestApp::with_grants(database, &granting).await;
    let token = app.token("Administrator");
    let start = async || {
        let begun = begin(&app, &token, json!({"connectorSlug": "granting"})).await;
        let mut browser = Browser::new();
        let address = browser.begin(&app, begun["authorizationUrl"].as_str().expect("a link")).await;
        let query = granting.consent(&address, "acme");
        (begun, browser, query)
    };
    // The operator says no.
    let (begun, mut browser, query) = start().await;
    let state = query.split('&').find(|pair| pair.starts_with("state=")).expect("a state");
    let denied = format!("error=access_denied&error_description=%3Cb%3Eno&{state}&iss=https%3A%2F%2Fgranting.example");
    let page = browser.come_back(&app, &denied).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("access_denied: &lt;b&gt;no"), "{}", page.text);
    assert_eq!(read(&app, &token, &begun["id"]).await["status"], "REJECTED");
    // The token endpoint breaks.
    let (begun, mut browser, query) = start().await;
    granting.book().planted.push(Reply::status(500));
    browser.come_back(&app, &query).await;
    let ended = read(&app, &token, &begun["id"]).await;
    assert_eq!(ended["error"], "the token endpoint answered 500", "{ended}");
    // The test fails: nothing is stored, and the grant is given back.
    let (begun, mut browser, query) = start().await;
    let planted = json!({"access_token": "nobody-knows-it", "refresh_token": "planted", "expires_in": 60});
    granting.book().planted.push(Reply::json(200, &planted));
    browser.come_back(&app, &query).await;
    let ended = read(&app, &token, &begun["id"]).await;
    assert_eq!((&ended["status"], &ended["test"]["outcome"]), (&json!("REJECTED"), &json!("CREDENTIAL_REVOKED")));
    assert_eq!(granting.book().revocations, 1);
    assert_eq!(app.count_rows("connections").await, 0);
    let log = app.graphql(&token, "{ activityLog { nodes { action outcome detail } } }", json!({})).await;
    let nodes = log["data"]["activityLog"]["nodes"].as_array().expect("rows");
    assert!(nodes.len() == 3 && nodes.iter().all(|row| row["outcome"] == "REJECTED"), "{log}");

    // What is wrong from the beginning begins nothing.
    for (input, field) in [
        (json!({"connectorSlug": "nothing"}), "connectorSlug"),
        (json!({"connectorSlug": "webhook_generic"}), "connectorSlug"),
        (json!({"connectorSlug": "granting", "scopes": ["contacts", "all"]}), "scopes.1"),
        (json!({"connectorSlug": "granting", "scopes": []}), "scopes"),
        (json!({"connectorSlug": "granting", "returnTo": "https://elsewhere.example/"}), "returnTo"),
        (json!({"connectorSlug": "granting", "displayName": " "}), "displayName"),
    ] {
        let answer = app.graphql(&token, super::BEGIN, json!({ "input": input })).await;
        let error = &answer["errors"][0]["extensions"];
        assert_eq!((&error["code"], &error["field"]), (&json!("BAD_USER_INPUT"), &json!(field)), "{answer}");
    }
    // So many may wait, and no more.
    for _ in 0..50 {
        begin(&app, &token, json!({"connectorSlug": "granting"})).await;
    }
    let answer = app.graphql(&token, super::BEGIN, json!({"input": {"connectorSlug": "granting"}})).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "LIMIT_EXCEEDED", "{answer}");
    let editor = app.graphql(&app.token("Editor"), super::BEGIN, json!({"input": {"connectorSlug": "granting"}})).await;
    assert_eq!(editor["errors"][0]["extensions"]["code"], "FORBIDDEN", "{editor}");
}

async fn other_scopes_and_a_fresh_grant_keep_the_connection(database: Database) {
    let granting = Granting::start().await;
    let app = TestApp::with_grants(database, &granting).await;
    let token = app.token("Administrator");
    let id = connected(&app, &granting, &token, "acme").await;
    let edit = "mutation($id: ID!, $scopes: [String!]!) { editConnectionScopes(input: {connectionId: $id, scopes: $scopes}) { authorization { id purpose authorizationUrl scopesRequested } } }";
    let begun = app.graphql(&token, edit, json!({"id": id, "scopes": ["contacts", "orders"]})).await;
    let begun = begun["data"]["editConnectionScopes"]["authorization"].clone();
    assert_eq!(begun["purpose"], "EDIT_SCOPES");
    let ended = authorize(&app, &granting, &token, &begun, "acme").await;
    assert_eq!(ended["connection"]["id"], json!(id), "{ended}");
    assert_eq!(ended["connection"]["scopesGranted"], json!(["contacts", "orders"]));
    assert_eq!(granting.book().live(), 1, "the grant before has been given back");

    // Another account of the vendor's is not this connection.
    let again = "mutation($id: ID!) { reauthorizeConnection(input: {connectionId: $id}) { authorization { id authorizationUrl scopesRequested } } }";
    let begun = app.graphql(&token, again, json!({ "id": id })).await;
    let begun = begun["data"]["reauthorizeConnection"]["authorization"].clone();
    assert_eq!(begun["scopesRequested"], json!(["contacts", "orders"]));
    let live = granting.book().live();
    let ended = authorize(&app, &granting, &token, &begun, "umbrella").await;
    assert_eq!(ended["status"], "REJECTED");
    assert!(ended["error"].as_str().expect("a reason").contains("another account"), "{ended}");
    assert_eq!(granting.book().live(), live, "the grant that is not kept has been given back");

    // A fresh grant brings a connection back whose old one was revoked.
    granting.book().revoke_all();
    let tested = crate::support::calls::act(&app, &token, "testConnection", &id, "connection { state }").await;
    assert_eq!(tested["connection"]["state"], "AUTH_REVOKED");
    let begun = app.graphql(&token, again, json!({ "id": id })).await;
    let begun = begun["data"]["reauthorizeConnection"]["authorization"].clone();
    let ended = authorize(&app, &granting, &token, &begun, "acme").await;
    assert_eq!((&ended["connection"]["id"], &ended["connection"]["state"]), (&json!(id), &json!("ACTIVE")));
}
