//! Failed deliveries that are tried once more together.

use serde_json::{Value, json};

use crate::support::{
    app::{Database, TestApp, on_both},
    calls::{self, act},
    subscription::Subscription,
    vendor::{Reply, Vendor},
};

on_both!(what_failed_goes_back_into_the_queue, what_is_held_or_gone_counts_too, more_than_one_round);

const RETRY: &str = "mutation($filter: DeliveryFilter!, $dry: Boolean!) { retryDeliveries(input: {filter: $filter, dryRun: $dry}) { matched queued batch { id total done failed } } }";

async fn retry(app: &TestApp, filter: Value, dry: bool) -> Value {
    let answer = app.graphql(&app.token("Administrator"), RETRY, json!({"filter": filter, "dry": dry})).await;
    assert_eq!(answer.get("errors"), None, "{answer}");
    answer["data"]["retryDeliveries"].clone()
}

/// Dispatches events of these numbers, and waits until each has its entry.
async fn failed(app: &TestApp, logged: &mut Subscription, connection: &str, numbers: std::ops::Range<u32>) {
    let events = |numbers: std::ops::Range<u32>| -> Vec<Value> {
        numbers
            .map(|n| json!({"connectionId": connection, "eventType": "a.b", "eventIdentifier": format!("event-{n}"), "payload": {"event": format!("event-{n}")}}))
            .collect()
    };
    let batch = "mutation($input: [DispatchEventInput!]!) { dispatchEvents(input: $input) { __typename } }";
    let input = events(numbers.clone());
    app.graphql(&app.module_token("forms"), batch, json!({ "input": input })).await;
    for _ in numbers {
        assert_eq!(logged.next().await["deliveryLogged"]["entry"]["outcome"], "FAILED");
    }
}

async fn progress(app: &TestApp, id: &Value) -> Value {
    let query = "query($id: ID!) { node(id: $id) { ... on RetryBatch { total done failed } } }";
    app.graphql(&app.token("Editor"), query, json!({ "id": id })).await["data"]["node"].clone()
}

/// Waits until so many of a batch are done.
async fn done(app: &TestApp, id: &Value, count: u32) -> Value {
    let mut last = Value::Null;
    let wait = async {
        while last["done"] != count {
            last = progress(app, id).await;
        }
    };
    let in_time = tokio::time::timeout(std::time::Duration::from_secs(30), wait).await;
    assert!(in_time.is_ok(), "{count} were to be done: {last}");
    last
}

async fn what_failed_goes_back_into_the_queue(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let one = calls::connect_webhook(&app, &admin, &receiver, "/one").await.connection;
    let two = calls::connect_webhook(&app, &admin, &receiver, "/two").await.connection;
    receiver.answer(|_| Reply::status(400));
    let mut logged = app.subscribe(&admin, "subscription { deliveryLogged { entry { outcome } } }").await;
    failed(&app, &mut logged, &one, 0..4).await;
    failed(&app, &mut logged, &two, 4..6).await;
    let of_one = json!({ "connectionIds": [one] });
    assert_eq!(retry(&app, json!({}), true).await, json!({"matched": 6, "queued": 0, "batch": null}));
    assert_eq!(retry(&app, of_one.clone(), true).await["matched"], 4);
    assert_eq!(retry(&app, json!({"search": "event-5"}), true).await["matched"], 1);
    assert_eq!(retry(&app, json!({"outcomes": ["DELIVERED"]}), false).await["matched"], 0);
    let refused = app.graphql(&app.token("Viewer"), RETRY, json!({"filter": {}, "dry": true})).await;
    assert_eq!(refused["errors"][0]["extensions"]["capability"], "RETRY_DELIVERY", "{refused}");

    // One of them fails again, and stays failed: a retry by hand is one more attempt.
    receiver.answer(|request| if request.body.contains("event-2") { Reply::status(503) } else { Reply::status(204) });
    let before = receiver.requests().len();
    let began = retry(&app, of_one.clone(), false).await;
    assert_eq!((&began["matched"], &began["queued"]), (&json!(4), &json!(4)));
    assert_eq!(began["batch"]["total"], 4);
    let ended = done(&app, &began["batch"]["id"], 4).await;
    assert_eq!(ended, json!({"total": 4, "done": 4, "failed": 1}));
    receiver.wait_for(before + 4).await;
    let log = "query($filter: DeliveryFilter) { deliveryLog(filter: $filter) { nodes { eventIdentifier outcome attempt retryable retryOf { attempt outcome } } } }";
    let shown = app.graphql(&admin, log, json!({"filter": {"connectionIds": [one], "outcomes": ["DELIVERED"]}})).await;
    let rows = shown["data"]["deliveryLog"]["nodes"].as_array().expect("rows").clone();
    assert_eq!(rows.len(), 3);
    for row in rows {
        assert_eq!(row["retryOf"], json!({"attempt": 1, "outcome": "FAILED"}), "{row}");
    }
    assert_eq!(retry(&app, of_one, true).await["matched"], 1, "the one that failed again");
    let activity =
        "{ activityLog(filter: {actions: [DELIVERY_RETRIED]}) { nodes { detail outcome operator { id } } } }";
    let activity = app.graphql(&admin, activity, json!({})).await["data"]["activityLog"]["nodes"].clone();
    let expected = json!([{"detail": "4 failed deliveries go back into the queue", "outcome": "SUCCEEDED", "operator": {"id": 1}}]);
    assert_eq!(activity, expected);

    // Another site's are not found, and its operators do not see the batch.
    let other = app.site_token(2, "Administrator");
    let answer = app.graphql(&other, RETRY, json!({"filter": {}, "dry": false})).await;
    assert_eq!(answer["data"]["retryDeliveries"]["matched"], 0, "{answer}");
    let node = "query($id: ID!) { node(id: $id) { id } nodes(ids: [$id]) { id } }";
    let answer = app.graphql(&other, node, json!({"id": began["batch"]["id"]})).await;
    assert_eq!(answer["data"], json!({"node": null, "nodes": [null]}));
    let own = app.graphql(&admin, node, json!({"id": began["batch"]["id"]})).await;
    assert_eq!(own["data"]["nodes"][0]["id"], began["batch"]["id"], "{own}");
    app.stop().await;
}

async fn what_is_held_or_gone_counts_too(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let id = calls::connect_webhook(&app, &admin, &receiver, "/").await.connection;
    receiver.answer(|_| Reply::status(400));
    let mut logged = app.subscribe(&admin, "subscription { deliveryLogged { entry { outcome } } }").await;
    failed(&app, &mut logged, &id, 0..3).await;
    act(&app, &admin, "pauseConnection", &id, "connection { state }").await;
    let began = retry(&app, json!({}), false).await;
    assert_eq!(began["queued"], 3);
    assert_eq!(progress(&app, &began["batch"]["id"]).await, json!({"total": 3, "done": 0, "failed": 0}));
    let pending = "{ connections { nodes { pendingDeliveries } } }";
    let pending = app.graphql(&admin, pending, json!({})).await;
    assert_eq!(pending["data"]["connections"]["nodes"][0]["pendingDeliveries"], 3);
    // A second call of the same client finds nothing left.
    assert_eq!(retry(&app, json!({}), false).await, json!({"matched": 0, "queued": 0, "batch": null}));
    calls::disconnect(&app, &admin, &id).await;
    assert_eq!(done(&app, &began["batch"]["id"], 3).await, json!({"total": 3, "done": 3, "failed": 3}));
    assert_eq!(retry(&app, json!({}), true).await["matched"], 0, "their connection is gone");
    app.stop().await;
}

async fn more_than_one_round(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let id = calls::connect_webhook(&app, &admin, &receiver, "/").await.connection;
    receiver.answer(|_| Reply::status(400));
    let mut logged = app.subscribe(&admin, "subscription { deliveryLogged { entry { outcome } } }").await;
    failed(&app, &mut logged, &id, 0..400).await;
    failed(&app, &mut logged, &id, 400..510).await;
    act(&app, &admin, "pauseConnection", &id, "connection { state }").await;
    let began = retry(&app, json!({}), false).await;
    assert_eq!(
        (&began["matched"], &began["queued"], &began["batch"]["total"]),
        (&json!(510), &json!(510), &json!(510))
    );
    receiver.answer(|_| Reply::status(204));
    act(&app, &admin, "resumeConnection", &id, "connection { state }").await;
    assert_eq!(done(&app, &began["batch"]["id"], 510).await["failed"], 0);
    app.stop().await;
}
