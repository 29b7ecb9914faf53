//! What is kept, and for how long; and what waits too long.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{
    app::{Database, TestApp, on_both},
    calls::{self, act, dispatch},
    vendor::{Reply, Vendor},
};

on_both!(what_has_ended_goes_with_its_payload, what_is_held_waits_so_long_and_fails, what_goes_back_is_not_cut_short);

const LOG: &str =
    "{ deliveryLog { totalCount nodes { eventIdentifier outcome failure } } activityLog { nodes { action } } }";

async fn log(app: &TestApp) -> Value {
    app.graphql(&app.token("Administrator"), LOG, json!({})).await["data"].clone()
}

/// Waits until the log shows so many rows, while the worker of what is kept has its turns.
async fn until_left(app: &TestApp, count: i64) -> Value {
    let shown = async {
        loop {
            let log = log(app).await;
            if log["deliveryLog"]["totalCount"] == count {
                return log;
            }
        }
    };
    let shown = tokio::time::timeout(std::time::Duration::from_secs(20), shown).await;
    shown.unwrap_or_else(|_| panic!("{count} rows were expected"))
}

async fn what_has_ended_goes_with_its_payload(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let id = calls::connect_webhook(&app, &admin, &receiver, "/").await.connection;
    app.save_settings(|settings| settings.delivery_log_retention_days = 10).await;
    let mut logged = app.subscribe(&admin, "subscription { deliveryLogged { entry { outcome } } }").await;
    // More than one batch, and one that failed.
    let many: Vec<Value> = (0..450)
        .map(|n| json!({"connectionId": id, "eventType": "a.b", "eventIdentifier": n.to_string(), "payload": {}}))
        .collect();
    let batch = "mutation($input: [DispatchEventInput!]!) { dispatchEvents(input: $input) { __typename } }";
    app.graphql(&app.module_token("forms"), batch, json!({ "input": many })).await;
    for _ in 0..450 {
        assert_eq!(logged.next().await["deliveryLogged"]["entry"]["outcome"], "DELIVERED");
    }
    receiver.answer(|_| Reply::status(400));
    dispatch(&app, &app.module_token("forms"), &id, "a.b", "failed", "REJECT").await;
    assert_eq!(logged.next().await["deliveryLogged"]["entry"]["outcome"], "FAILED");
    receiver.answer(|_| Reply::status(204));
    app.clock.advance(TimeDelta::days(6));
    dispatch(&app, &app.module_token("forms"), &id, "a.b", "later", "REJECT").await;
    assert_eq!(logged.next().await["deliveryLogged"]["entry"]["outcome"], "DELIVERED");
    // What is held stays, however old the log gets.
    act(&app, &admin, "pauseConnection", &id, "connection { state }").await;
    dispatch(&app, &app.module_token("forms"), &id, "a.b", "held", "HOLD").await;
    assert_eq!(log(&app).await["deliveryLog"]["totalCount"], 452);
    app.clock.advance(TimeDelta::days(4));
    let left = until_left(&app, 1).await;
    assert_eq!(left["deliveryLog"]["nodes"][0]["eventIdentifier"], "later", "{left}");
    assert_eq!(app.count_rows("deliveries").await, 2);
    // The same key is good again.
    let again = dispatch(&app, &app.module_token("forms"), &id, "a.b", "1", "HOLD").await;
    assert_eq!(again["duplicate"], false, "{again}");
    // The activity log stays longer, and then goes too.
    assert!(log(&app).await["activityLog"]["nodes"].as_array().expect("rows").len() >= 2);
    app.clock.advance(TimeDelta::days(401));
    let gone = async { while app.count_rows("activity_entries WHERE action = 'connection_created'").await > 0 {} };
    tokio::time::timeout(std::time::Duration::from_secs(20), gone).await.expect("it goes");
    app.stop().await;
}

async fn what_is_held_waits_so_long_and_fails(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let id = calls::connect_webhook(&app, &admin, &receiver, "/").await.connection;
    act(&app, &admin, "pauseConnection", &id, "connection { state }").await;
    let mut logged = app
        .subscribe(&admin, "subscription { deliveryLogged { entry { eventIdentifier outcome failure retryable } } }")
        .await;
    dispatch(&app, &app.module_token("forms"), &id, "a.b", "1", "HOLD").await;
    app.clock.advance(TimeDelta::hours(2));
    dispatch(&app, &app.module_token("forms"), &id, "a.b", "2", "HOLD").await;
    app.clock.advance(TimeDelta::hours(166) + TimeDelta::minutes(11));
    let entry = logged.next().await["deliveryLogged"]["entry"].clone();
    let expected = json!({"eventIdentifier": "1", "outcome": "FAILED", "failure": "HOLD_EXPIRED", "retryable": true});
    assert_eq!(entry, expected);
    // The other one is sent once the connection is back.
    act(&app, &admin, "resumeConnection", &id, "connection { state }").await;
    let entry = logged.next().await["deliveryLogged"]["entry"].clone();
    assert_eq!((&entry["eventIdentifier"], &entry["outcome"]), (&json!("2"), &json!("DELIVERED")));
    app.stop().await;
}

/// An event that was accepted long ago waits for its connection anew once that has been active since.
async fn what_goes_back_is_not_cut_short(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let id = calls::connect_webhook(&app, &admin, &receiver, "/").await.connection;
    act(&app, &admin, "pauseConnection", &id, "connection { state }").await;
    dispatch(&app, &app.module_token("forms"), &id, "a.b", "1", "HOLD").await;
    app.clock.advance(TimeDelta::hours(160));
    // It is tried in vain, and paused again before the next attempt.
    let mut logged = app.subscribe(&admin, "subscription { deliveryLogged { entry { outcome failure } } }").await;
    let tested = receiver.requests().len();
    receiver.answer(move |request| Reply::status(if request.body.contains("integration.test") { 204 } else { 503 }));
    act(&app, &admin, "resumeConnection", &id, "connection { state }").await;
    receiver.wait_for(tested + 2).await;
    assert_eq!(logged.next().await["deliveryLogged"]["entry"]["outcome"], "RETRIED");
    act(&app, &admin, "pauseConnection", &id, "connection { state }").await;
    app.clock.advance(TimeDelta::hours(20));
    app.clock.advance(TimeDelta::hours(149));
    let entry = logged.next().await["deliveryLogged"]["entry"].clone();
    assert_eq!(entry, json!({"outcome": "FAILED", "failure": "HOLD_EXPIRED"}));
    let waited = app.graphql(&admin, "{ deliveryLog(first: 1) { nodes { attemptedAt } } }", json!({})).await;
    let at = waited["data"]["deliveryLog"]["nodes"][0]["attemptedAt"].as_str().expect("a time").to_owned();
    // 160 + 169 hours after the start, and not 168.
    assert!(at.starts_with("2030-01-29T05"), "{at}");
    app.stop().await;
}
