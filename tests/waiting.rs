//! What a delivery waits for, as it says itself.

use serde_json::{Value, json};

use crate::support::{
    app::{Database, TestApp, on_both},
    calls,
    vendor::{Reply, Vendor},
};

on_both!(one_that_waits_for_a_place_or_for_an_older_one_says_so, a_vendor_that_asks_for_later_is_left_alone_until_then,);

const WAITING: &str = "query($id: ID!) { delivery(id: $id) { status waitingFor } }";

async fn handed_over(app: &TestApp, connection: &str, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..count {
        let event = calls::dispatch(app, &app.module_token("forms"), connection, "a.b", &n.to_string(), "REJECT").await;
        ids.push(event["delivery"]["id"].as_str().expect("an id").to_owned());
    }
    ids
}

/// What each of them says, once so many requests have come to the receiver.
async fn said(app: &TestApp, ids: &[String]) -> Vec<Value> {
    let mut all = Vec::new();
    for id in ids {
        let answer = app.graphql(&app.token("Administrator"), WAITING, json!({ "id": id })).await;
        assert_eq!(answer["data"]["delivery"]["status"], "QUEUED", "{answer}");
        all.push(answer["data"]["delivery"]["waitingFor"].clone());
    }
    all
}

async fn one_that_waits_for_a_place_or_for_an_older_one_says_so(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let many = calls::connect_webhook(&app, &admin, &receiver, "/many").await.connection;
    let ordered = calls::connect_webhook(&app, &admin, &receiver, "/ordered").await.connection;
    let configure = "mutation($id: ID!) { configureConnection(input: {connectionId: $id, orderedDelivery: true}) { connection { orderedDelivery } } }";
    app.graphql(&admin, configure, json!({ "id": ordered })).await;
    let before = receiver.requests().len();
    // Nothing is answered: eight are under way, and one of those that go in order.
    receiver.answer(|_| Reply::status(204).held());
    let many = handed_over(&app, &many, 10).await;
    receiver.wait_for(before + 8).await;
    let ordered = handed_over(&app, &ordered, 3).await;
    receiver.wait_for(before + 9).await;
    let waits = said(&app, &many).await;
    assert_eq!(waits.iter().filter(|wait| **wait == "CONCURRENCY").count(), 2, "{waits:?}");
    assert_eq!(waits.iter().filter(|wait| wait.is_null()).count(), 8, "{waits:?}");
    assert_eq!(said(&app, &ordered).await, [Value::Null, json!("ORDER"), json!("ORDER")]);
    receiver.answer(|_| Reply::status(204));
    receiver.release();
    receiver.wait_for(before + 13).await;
    app.stop().await;
}

async fn a_vendor_that_asks_for_later_is_left_alone_until_then(database: Database) {
    let (busy, other) = (Vendor::plain().await, Vendor::plain().await);
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let connection = calls::connect_webhook(&app, &admin, &busy, "/").await.connection;
    let beside = calls::connect_webhook(&app, &admin, &other, "/").await.connection;
    busy.answer(|_| Reply::status(429).header("retry-after", "60"));
    // One is told, and the rest is not even tried: the first goes alone.
    let mut logged = app.subscribe(&admin, "subscription { deliveryLogged { entry { outcome failure } } }").await;
    calls::dispatch(&app, &app.module_token("forms"), &connection, "a.b", "first", "REJECT").await;
    let told = logged.next().await["deliveryLogged"]["entry"].clone();
    assert_eq!(told, json!({"outcome": "RETRIED", "failure": "RATE_LIMITED"}));
    let before = busy.requests().len();
    let waiting = handed_over(&app, &connection, 20).await;
    for second in 0..12 {
        app.clock.advance(chrono::TimeDelta::seconds(4));
        calls::dispatch(&app, &app.module_token("forms"), &beside, "a.b", &second.to_string(), "REJECT").await;
        other.wait_for(2 + second).await;
    }
    assert_eq!(busy.requests().len(), before, "it was asked for later");
    assert!(said(&app, &waiting).await.iter().all(|wait| *wait == "RATE_LIMIT"));
    busy.answer(|_| Reply::status(204));
    app.clock.advance(chrono::TimeDelta::seconds(30));
    busy.wait_for(before + 21).await;
    app.stop().await;
}
