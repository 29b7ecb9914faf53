//! What was granted is kept alive, and given back.

use chrono::TimeDelta;
use serde_json::json;

use super::connected;
use crate::support::{
    app::{Database, TestApp, on_both},
    calls::{act, disconnect, dispatch},
    grants::Granting,
    vendor::Reply,
};

on_both!(
    a_grant_is_renewed_ahead_of_its_expiry,
    whoever_needs_a_fresh_token_waits_for_one_refresh,
    passing_trouble_is_no_dead_grant,
    a_dead_grant_is_noticed,
    a_disconnect_gives_the_grant_back,
    a_token_that_is_born_old_causes_no_storm,
    a_grant_without_a_refresh_token_ends_as_expired,
);

async fn state(app: &TestApp, token: &str, id: &str) -> String {
    let query = "query($id: ID!) { connection(id: $id) { state } }";
    let answer = app.graphql(token, query, json!({ "id": id })).await;
    answer["data"]["connection"]["state"].as_str().expect("a state").to_owned()
}

async fn a_grant_is_renewed_ahead_of_its_expiry(database: Database) {
    let granting = Granting::start().await;
    let app = TestApp::with_grants(database, &granting).await;
    let token = app.token("Administrator");
    let mut log =
        app.subscribe(&token, "subscription { activityLogged { entry { action outcome operator { id } } } }").await;
    let id = connected(&app, &granting, &token, "acme").await;
    assert_eq!(log.next().await["activityLogged"]["entry"]["action"], "CONNECTION_CREATED");
    app.clock.advance(TimeDelta::minutes(40));
    assert_eq!(granting.book().refreshes, 0);
    app.clock.advance(TimeDelta::minutes(8));
    let entry = log.next().await["activityLogged"]["entry"].clone();
    assert_eq!(entry, json!({"action": "CREDENTIALS_REFRESHED", "outcome": "SUCCEEDED", "operator": null}));
    let query = "query($id: ID!) { connection(id: $id) { state expiresAt } }";
    let answer = app.graphql(&token, query, json!({ "id": id })).await;
    assert_eq!(answer["data"]["connection"], json!({"state": "ACTIVE", "expiresAt": "2030-01-15T13:48:00.000Z"}));
    // By hand too.
    let refreshed = act(&app, &token, "refreshCredentials", &id, "test { outcome } connection { state }").await;
    assert_eq!(refreshed, json!({"test": {"outcome": "CONNECTED"}, "connection": {"state": "ACTIVE"}}));
    let book = granting.book();
    assert_eq!((book.refreshes, book.reused, book.live()), (2, 0, 1));
}

async fn whoever_needs_a_fresh_token_waits_for_one_refresh(database: Database) {
    let granting = Granting::start().await;
    let app = TestApp::with_grants(database, &granting).await;
    let token = app.token("Administrator");
    let id = connected(&app, &granting, &token, "acme").await;
    granting.book().expire_all();
    let tests = (0..100).map(|_| act(&app, &token, "testConnection", &id, "test { outcome } connection { state }"));
    let deliveries =
        (0..100).map(|n| {
            let (app, id) = (&app, &id);
            async move {
                dispatch(app, &app.module_token("forms"), id, "submission.created", &n.to_string(), "REJECT").await
            }
        });
    let (tests, deliveries) =
        tokio::join!(futures_util::future::join_all(tests), futures_util::future::join_all(deliveries));
    for tested in tests {
        assert_eq!(tested["test"]["outcome"], "CONNECTED", "{tested}");
    }
    assert!(deliveries.iter().all(|dispatched| dispatched["__typename"] == "DispatchAccepted"), "{deliveries:?}");
    // Every event arrives, with one refresh for all.
    let delivered = "{ deliveryLog(filter: {outcomes: [DELIVERED]}) { totalCount } }";
    while app.graphql(&token, delivered, json!({})).await["data"]["deliveryLog"]["totalCount"] != 100 {
        app.clock.advance(TimeDelta::seconds(1));
        tokio::task::yield_now().await;
    }
    let book = granting.book();
    assert_eq!((book.refreshes, book.reused), (1, 0));
}

async fn passing_trouble_is_no_dead_grant(database: Database) {
    let granting = Granting::start().await;
    let app = TestApp::with_grants(database, &granting).await;
    let token = app.token("Administrator");
    let id = connected(&app, &granting, &token, "acme").await;
    granting.book().planted = vec![Reply::status(503), Reply::json(429, &json!({"error": "slow_down"}))];
    let refreshed = act(&app, &token, "refreshCredentials", &id, "test { outcome detail } connection { state }").await;
    assert_eq!(refreshed["connection"]["state"], "ACTIVE", "{refreshed}");
    assert_eq!(refreshed["test"]["outcome"], "VENDOR_ERROR", "{refreshed}");
    // Whoever insists does not reach the vendor within the minute.
    let again = act(&app, &token, "refreshCredentials", &id, "test { detail }").await;
    assert!(again["test"]["detail"].as_str().expect("words").contains("a moment ago"), "{again}");
    assert_eq!(granting.book().refreshes, 1);
    // The platform tries again by itself, later and later, until it gets through.
    let mut log = app.subscribe(&token, "subscription { activityLogged { entry { outcome } } }").await;
    app.clock.advance(TimeDelta::seconds(61));
    assert_eq!(log.next().await["activityLogged"]["entry"]["outcome"], "FAILED");
    app.clock.advance(TimeDelta::seconds(121));
    assert_eq!(log.next().await["activityLogged"]["entry"]["outcome"], "SUCCEEDED");
    assert_eq!(state(&app, &token, &id).await, "ACTIVE");
    let book = granting.book();
    assert_eq!((book.refreshes, book.reused), (3, 0));
}

async fn a_dead_grant_is_noticed(database: Database) {
    let granting = Granting::start().await;
    let app = TestApp::with_grants(database, &granting).await;
    let token = app.token("Administrator");
    let id = connected(&app, &granting, &token, "acme").await;
    let mut states = app.subscribe(&token, "subscription { connectionStateChanged { state cause reason } }").await;
    granting.book().revoke_all();
    app.clock.advance(TimeDelta::minutes(49));
    let change = states.next().await["connectionStateChanged"].clone();
    assert_eq!((&change["state"], &change["cause"]), (&json!("AUTH_REVOKED"), &json!("REFRESH")), "{change}");
    assert!(change["reason"].as_str().expect("words").contains("revoked"), "{change}");
    // An event is told so at once.
    let rejected = dispatch(&app, &app.module_token("forms"), &id, "submission.created", "1", "REJECT").await;
    assert_eq!(rejected["reason"], "CONNECTION_NOT_ACTIVE", "{rejected}");
}

async fn a_disconnect_gives_the_grant_back(database: Database) {
    let granting = Granting::start().await;
    let app = TestApp::with_grants(database, &granting).await;
    let token = app.token("Administrator");
    // The vendor cannot be told: everything stays.
    let id = connected(&app, &granting, &token, "acme").await;
    granting.book().revocation = Some(Reply::status(503));
    let kept = disconnect(&app, &token, &id).await;
    assert_eq!((&kept["disconnected"], &kept["revocation"]), (&json!(false), &json!("FAILED")), "{kept}");
    assert_eq!(state(&app, &token, &id).await, "ACTIVE");
    let accepted = dispatch(&app, &app.module_token("forms"), &id, "submission.created", "1", "REJECT").await;
    assert_eq!(accepted["__typename"], "DispatchAccepted", "{accepted}");
    // Now it can, and a probe shows it.
    granting.book().revocation = None;
    let gone = disconnect(&app, &token, &id).await;
    assert_eq!(gone["disconnected"], true, "{gone}");
    assert_eq!((&gone["revocation"], &gone["revocationProved"]), (&json!("REVOKED"), &json!(true)), "{gone}");
    assert_eq!(granting.book().live(), 0);
    // A vendor that says so, and lets the token live.
    granting.book().careless = true;
    let id = connected(&app, &granting, &token, "acme").await;
    let gone = disconnect(&app, &token, &id).await;
    assert_eq!((&gone["revocation"], &gone["revocationProved"]), (&json!("REVOKED"), &json!(false)), "{gone}");
    // With force the record goes all the same.
    let id = connected(&app, &granting, &token, "acme").await;
    granting.book().revocation = Some(Reply::status(503));
    let query = "mutation($id: ID!) { disconnectConnection(input: {connectionId: $id, force: true}) { disconnected revocation } }";
    let forced = app.graphql(&token, query, json!({ "id": id })).await;
    let expected = json!({"disconnected": true, "revocation": "FAILED"});
    assert_eq!(forced["data"]["disconnectConnection"], expected, "{forced}");
    assert_eq!(app.count_rows("connections").await, 0);
}

async fn a_token_that_is_born_old_causes_no_storm(database: Database) {
    let granting = Granting::start().await;
    let app = TestApp::with_grants(database, &granting).await;
    let token = app.token("Administrator");
    granting.book().lifetime = 0;
    let mut log = app.subscribe(&token, "subscription { activityLogged { entry { action } } }").await;
    connected(&app, &granting, &token, "acme").await;
    log.next().await;
    for round in 1..=3 {
        app.clock.advance(TimeDelta::seconds(31));
        log.next().await;
        assert_eq!(granting.book().refreshes, round);
    }
}

async fn a_grant_without_a_refresh_token_ends_as_expired(database: Database) {
    let granting = Granting::start().await;
    let app = TestApp::with_grants(database, &granting).await;
    let token = app.token("Administrator");
    granting.book().stingy = true;
    let id = connected(&app, &granting, &token, "acme").await;
    granting.book().expire_all();
    let accepted = dispatch(&app, &app.module_token("forms"), &id, "submission.created", "1", "REJECT").await;
    assert_eq!(accepted["__typename"], "DispatchAccepted", "{accepted}");
    let tested = act(&app, &token, "testConnection", &id, "test { outcome } connection { state }").await;
    assert_eq!(tested, json!({"test": {"outcome": "CREDENTIAL_EXPIRED"}, "connection": {"state": "AUTH_EXPIRED"}}));
    assert_eq!(granting.book().refreshes, 0);
}
