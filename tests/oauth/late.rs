//! What arrives late, or not at all, burns no grant and takes none away.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{authorize, connected};
use crate::support::{
    app::{Database, TestApp, on_both},
    calls::{act, dispatch},
    grants::Granting,
    vendor::Reply,
};

on_both!(
    a_token_whose_answer_was_lost_is_used_again_only_when_nothing_is_left,
    what_a_renewal_brings_too_late_is_given_back,
    a_test_of_a_replaced_token_says_nothing,
    a_grant_that_ends_with_the_one_before_is_noticed,
    an_event_is_not_retried_while_its_connection_is_given_up,
);

const REAUTHORIZE: &str = "mutation($id: ID!) { reauthorizeConnection(input: {connectionId: $id}) { authorization { id authorizationUrl } } }";

async fn reauthorize(app: &TestApp, granting: &Granting, token: &str, id: &str) -> Value {
    let begun = app.graphql(token, REAUTHORIZE, json!({ "id": id })).await;
    let begun = &begun["data"]["reauthorizeConnection"]["authorization"];
    authorize(app, granting, token, begun, "acme").await
}

async fn a_token_whose_answer_was_lost_is_used_again_only_when_nothing_is_left(database: Database) {
    let granting = Granting::start().await;
    let app = TestApp::with_grants(database, &granting).await;
    let token = app.token("Administrator");
    let id = connected(&app, &granting, &token, "acme").await;
    granting.book().lost = 1;
    let mut log = app.subscribe(&token, "subscription { activityLogged { entry { outcome detail } } }").await;
    let refreshed = act(&app, &token, "refreshCredentials", &id, "test { outcome } connection { state }").await;
    assert_eq!(refreshed, json!({"test": {"outcome": "VENDOR_ERROR"}, "connection": {"state": "ACTIVE"}}));
    assert_eq!(log.next().await["activityLogged"]["entry"]["outcome"], "FAILED");
    // As long as the access record serves, the token that may be used up is left alone.
    app.clock.advance(TimeDelta::minutes(59));
    let tested = act(&app, &token, "testConnection", &id, "test { outcome }").await;
    assert_eq!(tested["test"]["outcome"], "CONNECTED");
    assert_eq!(log.next().await["activityLogged"]["entry"]["outcome"], "SUCCEEDED");
    assert_eq!(granting.uses(), (1, 0));
    app.clock.advance(TimeDelta::minutes(2));
    let entry = log.next().await["activityLogged"]["entry"].clone();
    assert_eq!(entry["outcome"], "FAILED", "{entry}");
    assert_eq!(granting.uses(), (2, 1));
    let query = "query($id: ID!) { connection(id: $id) { state } }";
    let answer = app.graphql(&token, query, json!({ "id": id })).await;
    assert_eq!(answer["data"]["connection"]["state"], "AUTH_EXPIRED", "{answer}");
}

async fn what_a_renewal_brings_too_late_is_given_back(database: Database) {
    let granting = Granting::start().await;
    let app = TestApp::with_grants(database, &granting).await;
    let token = app.token("Administrator");
    let id = connected(&app, &granting, &token, "acme").await;
    // The refresh is answered only when the operator has authorized anew: exchange, test, and the old grant given back.
    let before = granting.vendor.requests().len();
    granting.book().held = Some(("/token", before + 4));
    let refresh = act(&app, &token, "refreshCredentials", &id, "test { outcome } connection { state }");
    let anew = async {
        granting.vendor.wait_for(before + 1).await;
        reauthorize(&app, &granting, &token, &id).await
    };
    let (refreshed, anew) = tokio::join!(refresh, anew);
    assert_eq!(anew["status"], "SUCCEEDED", "{anew}");
    assert_eq!(refreshed, json!({"test": {"outcome": "CONNECTED"}, "connection": {"state": "ACTIVE"}}));
    let book = granting.book();
    assert_eq!((book.refreshes, book.exchanges, book.live(), book.reused), (1, 2, 1, 0));
}

async fn a_test_of_a_replaced_token_says_nothing(database: Database) {
    let granting = Granting::start().await;
    let app = TestApp::with_grants(database, &granting).await;
    let token = app.token("Administrator");
    let id = connected(&app, &granting, &token, "acme").await;
    let before = granting.vendor.requests().len();
    granting.book().revoke_all();
    granting.book().held = Some(("/me", before + 4));
    let mut states =
        app.subscribe(&token, "subscription { connectionStateChanged { state previousState cause reason } }").await;
    let test = act(&app, &token, "testConnection", &id, "test { outcome } connection { state }");
    let anew = async {
        granting.vendor.wait_for(before + 1).await;
        reauthorize(&app, &granting, &token, &id).await
    };
    let (tested, anew) = tokio::join!(test, anew);
    assert_eq!(anew["status"], "SUCCEEDED", "{anew}");
    assert_eq!(tested, json!({"test": {"outcome": "CONNECTED"}, "connection": {"state": "ACTIVE"}}));
    // Nothing else came between the authorization and the operator's pause.
    act(&app, &token, "pauseConnection", &id, "connection { state }").await;
    let change = states.next().await["connectionStateChanged"].clone();
    assert_eq!(change["previousState"], "ACTIVE", "{change}");
    assert_eq!(change["state"], "ACTIVE", "{change}");
    let change = states.next().await["connectionStateChanged"].clone();
    assert_eq!(change["state"], "PAUSED", "{change}");
}

async fn a_grant_that_ends_with_the_one_before_is_noticed(database: Database) {
    let granting = Granting::start().await;
    let app = TestApp::with_grants(database, &granting).await;
    let token = app.token("Administrator");
    let id = connected(&app, &granting, &token, "acme").await;
    granting.book().united = true;
    reauthorize(&app, &granting, &token, &id).await;
    let query = "query($id: ID!) { connection(id: $id) { state stateReason } }";
    let answer = app.graphql(&token, query, json!({ "id": id })).await;
    assert_eq!(answer["data"]["connection"]["state"], "AUTH_REVOKED", "{answer}");
    let reason = answer["data"]["connection"]["stateReason"].as_str().expect("words");
    assert!(reason.contains("the grant before was given back"), "{reason}");
}

async fn an_event_is_not_retried_while_its_connection_is_given_up(database: Database) {
    let granting = Granting::start().await;
    let app = TestApp::with_grants(database, &granting).await;
    let token = app.token("Administrator");
    let id = connected(&app, &granting, &token, "acme").await;
    let other = connected(&app, &granting, &token, "other").await;
    let mut log = app.subscribe(&token, "subscription { deliveryLogged { entry { id outcome } } }").await;
    granting.book().refused = true;
    dispatch(&app, &app.module_token("forms"), &id, "submission.created", "1", "REJECT").await;
    let failed = log.next().await["deliveryLogged"]["entry"].clone();
    assert_eq!(failed["outcome"], "FAILED");
    let before = granting.vendor.requests().len();
    granting.book().revocation = Some(Reply::status(503));
    granting.book().held = Some(("/revoke", before + 3));
    let closing = act(&app, &token, "disconnectConnection", &id, "disconnected");
    let retry = async {
        // The probe of what is to be given back comes first.
        granting.vendor.wait_for(before + 2).await;
        let query =
            "mutation($id: ID!) { retryDelivery(input: {deliveryEntryId: $id}) { ... on RetryRejected { reason } } }";
        let answer = app.graphql(&token, query, json!({"id": failed["id"]})).await;
        // The next call lets the vendor answer.
        act(&app, &token, "testConnection", &other, "test { outcome }").await;
        answer
    };
    let (_, retried) = tokio::join!(closing, retry);
    assert_eq!(retried["data"]["retryDelivery"]["reason"], "CONNECTION_REMOVED", "{retried}");
}
