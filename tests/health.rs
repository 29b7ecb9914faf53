//! What nobody asks for: credentials are tested once a day, and connections in error find back by themselves.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{
    app::{Database, TestApp, on_both},
    calls::{self, act, dispatch},
    keys::{FIRST, SECOND, accepting, connected, last_key},
    vendor::{Recorded, Reply, Vendor},
};

on_both!(
    a_key_that_was_taken_back_is_noticed,
    a_passing_test_once_a_day_leaves_no_trace,
    what_is_paused_is_not_tested,
    a_test_says_nothing_of_a_key_that_came_meanwhile,
    an_error_ends_by_itself,
);

const STATES: &str = "subscription { connectionStateChanged { state cause } }";

async fn activities(app: &TestApp, token: &str) -> Value {
    let query = "{ activityLog { nodes { action outcome operator { id } connectionName } } }";
    app.graphql(token, query, json!({})).await["data"]["activityLog"]["nodes"].clone()
}

async fn state(app: &TestApp, token: &str, id: &str) -> Value {
    let query = "query($id: ID!) { connection(id: $id) { state } }";
    app.graphql(token, query, json!({ "id": id })).await["data"]["connection"]["state"].clone()
}

async fn a_key_that_was_taken_back_is_noticed(database: Database) {
    let (vendor, app, admin, _id) = connected(database).await;
    let mut states = app.subscribe(&admin, STATES).await;
    vendor.answer(accepting(&[]));
    app.clock.advance(TimeDelta::hours(24));
    let change = states.next().await["connectionStateChanged"].clone();
    assert_eq!(change, json!({"state": "AUTH_REVOKED", "cause": "TEST"}));
    let log = activities(&app, &admin).await;
    let noticed =
        json!({"action": "CONNECTION_TESTED", "outcome": "FAILED", "operator": null, "connectionName": "Brevo"});
    assert_eq!((&log[0], log.as_array().expect("rows").len()), (&noticed, 2), "{log}");
    // What was settled before the restart is due a day later; the vendor has let the key in again.
    let app = app.restart().await;
    let mut states = app.subscribe(&admin, STATES).await;
    vendor.answer(accepting(&[(FIRST, "acme")]));
    app.clock.advance(TimeDelta::hours(24));
    let change = states.next().await["connectionStateChanged"].clone();
    assert_eq!(change, json!({"state": "ACTIVE", "cause": "TEST"}));
    assert_eq!(activities(&app, &admin).await.as_array().expect("rows").len(), 2);
    app.stop().await;
}

async fn a_passing_test_once_a_day_leaves_no_trace(database: Database) {
    let (vendor, app, admin, id) = connected(database).await;
    app.clock.advance(TimeDelta::hours(24));
    vendor.wait_for(2).await;
    // A stop waits until what was begun is settled.
    let app = app.restart().await;
    app.clock.advance(TimeDelta::hours(22));
    let app = app.restart().await;
    assert_eq!(vendor.requests().len(), 2, "not twice within a day");
    app.clock.advance(TimeDelta::hours(2));
    vendor.wait_for(3).await;
    // An outage is no verdict; it is asked again an hour later.
    let app = app.restart().await;
    vendor.answer(|_| Reply::status(503));
    app.clock.advance(TimeDelta::hours(24));
    vendor.wait_for(4).await;
    let app = app.restart().await;
    app.clock.advance(TimeDelta::minutes(59));
    let app = app.restart().await;
    assert_eq!(vendor.requests().len(), 4);
    app.clock.advance(TimeDelta::minutes(1));
    vendor.wait_for(5).await;
    let app = app.restart().await;
    assert_eq!(vendor.requests().len(), 5);
    assert_eq!(state(&app, &admin, &id).await, "ACTIVE");
    let query = "query($id: ID!) { connection(id: $id) { updatedAt lastTest { outcome } } }";
    let shown = app.graphql(&admin, query, json!({ "id": id })).await["data"]["connection"].clone();
    assert_eq!(shown, json!({"updatedAt": "2030-01-15T12:00:00.000Z", "lastTest": {"outcome": "VENDOR_ERROR"}}));
    assert_eq!(activities(&app, &admin).await.as_array().expect("rows").len(), 1, "it was created");
    app.stop().await;
}

async fn what_is_paused_is_not_tested(database: Database) {
    let (vendor, app, admin, id) = connected(database).await;
    act(&app, &admin, "pauseConnection", &id, "connection { state }").await;
    app.clock.advance(TimeDelta::hours(24));
    let app = app.restart().await.restart().await;
    assert_eq!(vendor.requests().len(), 1, "only the first test");
    act(&app, &admin, "resumeConnection", &id, "connection { state }").await;
    app.clock.advance(TimeDelta::hours(24));
    vendor.wait_for(3).await;
    app.stop().await;
    assert_eq!(vendor.requests().len(), 3, "two by hand, and one since it is active");
}

async fn a_test_says_nothing_of_a_key_that_came_meanwhile(database: Database) {
    let (vendor, app, admin, id) = connected(database).await;
    // The old key has been taken back; the vendor says so once a fourth request has come.
    vendor.answer(|request| {
        let answer = accepting(&[(SECOND, "acme")])(request);
        if request.header("api-key") == FIRST { Reply { hold_until: 4, ..answer } } else { answer }
    });
    app.clock.advance(TimeDelta::hours(24));
    vendor.wait_for(2).await;
    let rotate = "mutation($input: RotateCredentialsInput!) { rotateCredentials(input: $input) { rotated } }";
    let input = json!({"connectionId": id, "fields": [{"name": "api_key", "value": SECOND}]});
    let rotated = app.graphql(&admin, rotate, json!({ "input": input })).await;
    assert_eq!(rotated["data"]["rotateCredentials"]["rotated"], true, "{rotated}");
    act(&app, &admin, "testConnection", &id, "test { outcome }").await;
    // The test is made once more, with the new key.
    vendor.wait_for(5).await;
    assert_eq!(last_key(&vendor), SECOND);
    let app = app.restart().await;
    assert_eq!(state(&app, &admin, &id).await, "ACTIVE");
    let log = activities(&app, &admin).await;
    assert!(log.as_array().expect("rows").iter().all(|row| row["outcome"] == "SUCCEEDED"), "{log}");
    app.stop().await;
}

/// How many test messages have come.
fn messages(receiver: &Vendor) -> usize {
    let is_test = |request: &&Recorded| request.body.contains("integration.test");
    receiver.requests().iter().filter(is_test).count()
}

async fn an_error_ends_by_itself(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let (admin, module) = (app.token("Administrator"), app.module_token("forms"));
    let id = calls::connect_webhook(&app, &admin, &receiver, "/events").await.connection;
    let mut states = app.subscribe(&admin, STATES).await;
    let mut log = app.subscribe(&admin, "subscription { deliveryLogged { entry { outcome } } }").await;
    receiver.answer(|_| Reply::status(500));
    for n in 0..19 {
        dispatch(&app, &module, &id, "a.b", &n.to_string(), "REJECT").await;
        log.next().await;
    }
    app.clock.advance(TimeDelta::minutes(11));
    assert_eq!(states.next().await["connectionStateChanged"]["state"], "ERROR");
    // What was under way is settled; from now on nothing but probes is sent.
    let app = app.restart().await;
    let sent = receiver.requests().len();
    assert_eq!(messages(&receiver), 1, "the test when it was connected");
    app.clock.advance(TimeDelta::seconds(60));
    receiver.wait_for(sent + 1).await;
    let app = app.restart().await;
    // It did not pass: the next pause is twice as long.
    receiver.answer(|_| Reply::status(200));
    app.clock.advance(TimeDelta::seconds(119));
    let app = app.restart().await;
    assert_eq!((receiver.requests().len(), messages(&receiver)), (sent + 1, 2));
    let mut states = app.subscribe(&admin, STATES).await;
    app.clock.advance(TimeDelta::seconds(1));
    let change = states.next().await["connectionStateChanged"].clone();
    assert_eq!(change, json!({"state": "ACTIVE", "cause": "TEST"}));
    // A webhook is not tested day by day: each test is a message to its receiver.
    let app = app.restart().await;
    app.clock.advance(TimeDelta::hours(25));
    let none_is_due = async {
        while app.count_rows("checks").await > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), none_is_due).await.expect("the last one is taken off the list");
    assert_eq!(messages(&receiver), 3);
    app.stop().await;
}
