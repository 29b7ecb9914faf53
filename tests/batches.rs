//! Many events in one call and one commit, each with an answer of its own.

use serde_json::{Value, json};

use crate::support::{
    app::{Database, TestApp, on_both},
    calls::{self, act},
    vendor::Vendor,
};

on_both!(
    each_event_has_an_answer_of_its_own,
    one_malformed_event_stops_the_call,
    five_hundred_arrive,
    no_more_wait_than_may
);

const DISPATCH: &str = "mutation($input: [DispatchEventInput!]!) { dispatchEvents(input: $input) { __typename ... on DispatchAccepted { duplicate delivery { id eventIdentifier } } ... on DispatchRejected { reason } } }";

fn event(connection: &str, id: &str) -> Value {
    json!({"connectionId": connection, "eventType": "a.b", "eventIdentifier": id, "payload": {"n": id}})
}

async fn send(app: &TestApp, events: &[Value]) -> Value {
    app.graphql(&app.module_token("forms"), DISPATCH, json!({ "input": events })).await
}

async fn each_event_has_an_answer_of_its_own(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let one = calls::connect_webhook(&app, &admin, &receiver, "/one").await.connection;
    let two = calls::connect_webhook(&app, &admin, &receiver, "/two").await.connection;
    let paused = calls::connect_webhook(&app, &admin, &receiver, "/three").await.connection;
    let before = calls::dispatch(&app, &app.module_token("forms"), &paused, "a.b", "0", "REJECT").await;
    receiver.wait_for(4).await;
    act(&app, &admin, "pauseConnection", &paused, "connection { state }").await;
    let other = json!({"connectionId": one, "eventType": "a.b", "eventIdentifier": "1", "payload": {"n": "other"}});
    let held = json!({"connectionId": paused, "eventType": "a.b", "eventIdentifier": "3", "payload": {}, "whenNotActive": "HOLD"});
    let events = [
        event(&one, "1"),
        event(&two, "1"),
        event(&one, "1"),
        other,
        event(&calls::id_of_nothing(&one), "1"),
        event(&paused, "2"),
        held,
        // What came before is answered as it was, whatever the state is now.
        event(&paused, "0"),
        event(&one, "2"),
    ];
    let answer = send(&app, &events).await;
    let results = answer["data"]["dispatchEvents"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let told: Vec<String> = results
        .iter()
        .map(|result| match result["reason"].as_str() {
            Some(reason) => reason.to_owned(),
            None => format!("{} {}", result["delivery"]["eventIdentifier"], result["duplicate"]),
        })
        .collect();
    assert_eq!(
        told,
        [
            "\"1\" false",
            "\"1\" false",
            "\"1\" true",
            "IDEMPOTENCY_MISMATCH",
            "CONNECTION_NOT_FOUND",
            "CONNECTION_NOT_ACTIVE",
            "\"3\" false",
            "\"0\" true",
            "\"2\" false",
        ],
        "{answer}"
    );
    assert_eq!(results[0]["delivery"]["id"], results[2]["delivery"]["id"]);
    assert_eq!(results[7]["delivery"]["id"], before["delivery"]["id"]);
    let sent = receiver.wait_for(7).await;
    let mut paths: Vec<&str> = sent[4..].iter().map(|request| request.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/one", "/one", "/two"]);
    // The same call once more hands over nothing new.
    let again = send(&app, &events[..3]).await;
    let again = again["data"]["dispatchEvents"].as_array().expect("results");
    assert!(again.iter().all(|result| result["duplicate"] == true), "{again:?}");
    assert_eq!(app.count_rows("deliveries").await, 5);
    let refused = app.graphql(&app.token("Viewer"), DISPATCH, json!({ "input": [] })).await;
    assert_eq!(refused["errors"][0]["extensions"]["capability"], "DISPATCH_EVENTS", "{refused}");
    assert_eq!(send(&app, &[]).await["data"]["dispatchEvents"], json!([]));
    app.stop().await;
}

/// What is over the bound is rejected, each event for itself; what was taken before is not, and what has gone out makes
/// room.
async fn no_more_wait_than_may(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await.restart_bounded(|limits| limits.max_queued = 3).await;
    let admin = app.token("Administrator");
    let one = calls::connect_webhook(&app, &admin, &receiver, "/one").await.connection;
    let two = calls::connect_webhook(&app, &admin, &receiver, "/two").await.connection;
    for id in [&one, &two] {
        act(&app, &admin, "pauseConnection", id, "connection { state }").await;
    }
    let held = |connection: &str, id: &str| {
        let mut event = event(connection, id);
        event["whenNotActive"] = json!("HOLD");
        event
    };
    let told = async |events: &[Value]| {
        let answer = send(&app, events).await;
        let results = answer["data"]["dispatchEvents"].as_array().unwrap_or_else(|| panic!("{answer}")).clone();
        let told = results.iter().map(|result| match result["reason"].as_str() {
            Some(reason) => reason.to_owned(),
            None => result["duplicate"].to_string(),
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(told(&[held(&one, "1"), held(&one, "2")]).await, ["false", "false"]);
    let more = [held(&one, "3"), held(&two, "1"), held(&one, "4"), held(&one, "1"), held(&one, "5"), held(&two, "2")];
    assert_eq!(told(&more).await, ["false", "false", "QUEUE_FULL", "true", "QUEUE_FULL", "false"]);
    let alone = dispatch_held(&app, &one, "6").await;
    assert_eq!(alone["reason"], "QUEUE_FULL", "{alone}");
    assert!(alone["message"].as_str().expect("words").starts_with("3 events wait"), "{alone}");
    // Nothing was stored for them, and a restart knows how many there are.
    assert_eq!(app.count_rows("deliveries").await, 5);
    let app = app.restart().await;
    assert_eq!(dispatch_held(&app, &one, "6").await["reason"], "QUEUE_FULL");
    let mut logged = app.subscribe(&admin, "subscription { deliveryLogged { entry { outcome } } }").await;
    act(&app, &admin, "resumeConnection", &one, "connection { state }").await;
    for _ in 0..3 {
        assert_eq!(logged.next().await["deliveryLogged"]["entry"]["outcome"], "DELIVERED");
    }
    // It is counted anew within a second.
    app.clock.advance(chrono::TimeDelta::seconds(1));
    assert_eq!(dispatch_held(&app, &one, "6").await["duplicate"], false);
    app.stop().await;
}

async fn dispatch_held(app: &TestApp, connection: &str, id: &str) -> Value {
    calls::dispatch(app, &app.module_token("forms"), connection, "a.b", id, "HOLD").await
}

async fn one_malformed_event_stops_the_call(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let id = calls::connect_webhook(&app, &admin, &receiver, "/").await.connection;
    let wrong = |field: &str, value: Value| {
        let mut event = event(&id, "2");
        event[field] = value;
        event
    };
    for (field, value) in [
        ("connectionId", json!("nonsense")),
        ("eventType", json!("a b")),
        ("eventIdentifier", json!("")),
        ("idempotencyKey", json!("x".repeat(401))),
        ("originatingModule", json!("posts")),
    ] {
        let answer = send(&app, &[event(&id, "1"), wrong(field, value)]).await;
        let extensions = json!({"code": "BAD_USER_INPUT", "field": format!("input.1.{field}")});
        assert_eq!(answer["errors"][0]["extensions"], extensions, "{answer}");
        assert_eq!(answer["data"], json!({"dispatchEvents": null}));
    }
    let large = wrong("payload", json!("x".repeat(300 * 1024)));
    let many: Vec<Value> = (0..501).map(|n| event(&id, &n.to_string())).collect();
    for (events, words) in [(vec![event(&id, "1"), large], "input.1: the payload has"), (many, "input has 501 events")]
    {
        let answer = send(&app, &events).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "LIMIT_EXCEEDED", "{answer}");
        assert!(answer["errors"][0]["message"].as_str().is_some_and(|said| said.contains(words)), "{answer}");
    }
    assert_eq!(app.count_rows("deliveries").await, 0);
    app.stop().await;
}

async fn five_hundred_arrive(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let id = calls::connect_webhook(&app, &admin, &receiver, "/").await.connection;
    let events: Vec<Value> = (0..500).map(|n| event(&id, &n.to_string())).collect();
    let answer = send(&app, &events).await;
    let results = answer["data"]["dispatchEvents"].as_array().unwrap_or_else(|| panic!("{answer}"));
    assert!(results.iter().all(|result| result["duplicate"] == false), "{answer}");
    // As long as some come, the rest is waited for.
    let mut sent = Vec::new();
    for count in (51..=501).step_by(50) {
        sent = receiver.wait_for(count).await;
    }
    let arrived: std::collections::BTreeSet<String> =
        sent[1..].iter().map(|request| request.json()["data"]["n"].as_str().expect("a number").to_owned()).collect();
    assert_eq!(arrived.len(), 500, "each arrived, and none twice");
    app.stop().await;
}
