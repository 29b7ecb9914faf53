//! How deliveries went, and which modules use a connection.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{
    app::{Database, TestApp, on_both},
    calls::{self, dispatch},
    vendor::{Reply, Vendor},
};

on_both!(attempts_are_counted, wrong_times_are_refused);

const STATISTICS: &str = "query($since: DateTime!, $until: DateTime, $buckets: Int) { connections { nodes { displayName usedBy { module deliveries lastEventAt } deliveryStatistics(since: $since, until: $until, buckets: $buckets) { delivered retried failed latencyMsP50 latencyMsP95 latencyMsP99 buckets { from until delivered retried failed latencyMsP95 } } } } }";

async fn attempts_are_counted(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let id = calls::connect_webhook(&app, &admin, &receiver, "/one").await.connection;
    calls::connect_webhook(&app, &admin, &receiver, "/two").await;
    let mut logged = app.subscribe(&admin, "subscription { deliveryLogged { entry { outcome attemptedAt } } }").await;
    let next = async |logged: &mut crate::support::subscription::Subscription, outcome: &str| {
        let entry = logged.next().await["deliveryLogged"]["entry"].clone();
        assert_eq!(entry["outcome"], outcome);
        entry["attemptedAt"].as_str().expect("a time").to_owned()
    };
    dispatch(&app, &app.module_token("forms"), &id, "a.b", "1", "REJECT").await;
    let first = next(&mut logged, "DELIVERED").await;
    receiver.answer(|request| if request.body.contains("\"2\"") { Reply::status(400) } else { Reply::status(204) });
    app.clock.advance(TimeDelta::hours(3));
    dispatch(&app, &app.module_token("posts"), &id, "a.b", "2", "REJECT").await;
    next(&mut logged, "FAILED").await;
    dispatch(&app, &app.module_token("forms"), &id, "a.b", "3", "REJECT").await;
    let last = next(&mut logged, "DELIVERED").await;

    // The worker's statements would be counted too.
    let app = app.restart_without_worker().await;
    app.graphql(&admin, STATISTICS, json!({ "since": first })).await;
    let before = app.query_count();
    let answer = app.graphql(&admin, STATISTICS, json!({"since": first, "buckets": 2})).await;
    let statements = app.query_count() - before;
    let nodes = &answer["data"]["connections"]["nodes"];
    let node = |at: usize| &nodes[at]["deliveryStatistics"];
    // By creation, the newest first.
    let (used, unused) = (node(1), node(0));
    assert_eq!((&used["delivered"], &used["retried"], &used["failed"]), (&json!(2), &json!(0), &json!(1)), "{answer}");
    assert!(used["latencyMsP50"].is_i64() && used["latencyMsP99"].is_i64());
    let counts: Vec<Value> = used["buckets"]
        .as_array()
        .expect("buckets")
        .iter()
        .map(|bucket| json!([bucket["delivered"], bucket["failed"]]))
        .collect();
    assert_eq!(counts, [json!([1, 0]), json!([1, 1])]);
    assert_eq!(used["buckets"][0]["until"], used["buckets"][1]["from"]);
    assert!(used["buckets"][0]["from"].as_str().expect("a time").ends_with(":00:00.000Z"));
    assert_eq!((&unused["delivered"], &unused["latencyMsP50"]), (&json!(0), &Value::Null));
    assert_eq!(nodes[0]["usedBy"], json!([]));
    let usage = &nodes[1]["usedBy"];
    assert_eq!(usage[0]["module"], "forms");
    assert_eq!((&usage[0]["deliveries"], &usage[1]["deliveries"]), (&json!(2), &json!(1)));
    assert!(
        usage[0]["lastEventAt"].as_str() <= Some(last.as_str())
            && usage[0]["lastEventAt"].as_str() > Some(first.as_str())
    );
    // A page of many connections costs no more statements.
    calls::connect_webhook(&app, &admin, &receiver, "/three").await;
    let before = app.query_count();
    app.graphql(&admin, STATISTICS, json!({"since": first, "buckets": 2})).await;
    assert_eq!(app.query_count() - before, statements);
    // The first hour alone.
    let answer = app.graphql(&admin, STATISTICS, json!({"since": first, "until": first.replace('Z', "1Z")})).await;
    let alone = &answer["data"]["connections"]["nodes"][2]["deliveryStatistics"];
    assert_eq!((&alone["delivered"], alone["buckets"].as_array().map(Vec::len)), (&json!(1), Some(1)), "{answer}");
    let seen = app.graphql(&app.token("Viewer"), STATISTICS, json!({"since": first})).await;
    assert_eq!(seen.get("errors"), None, "a viewer browses the log");
    let unseen = app.graphql(&app.module_token("forms"), STATISTICS, json!({"since": first})).await;
    assert_eq!(unseen["errors"][0]["extensions"]["capability"], "BROWSE_DELIVERY_LOG", "{unseen}");
    app.stop().await;
}

async fn wrong_times_are_refused(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    calls::connect_webhook(&app, &admin, &receiver, "/one").await;
    let (early, late) = ("2029-01-01T00:00:00Z", "2029-02-01T00:00:00Z");
    for (variables, field) in [
        (json!({"since": late, "until": early}), "since"),
        (json!({"since": late, "until": late}), "since"),
        (json!({"since": "2027-01-01T00:00:00Z", "until": late}), "since"),
        (json!({"since": early, "until": late, "buckets": 0}), "buckets"),
        (json!({"since": early, "until": late, "buckets": 401}), "buckets"),
        (json!({"since": early, "until": late, "buckets": -1}), "buckets"),
    ] {
        let answer = app.graphql(&admin, STATISTICS, variables.clone()).await;
        let extensions = &answer["errors"][0]["extensions"];
        assert_eq!((&extensions["code"], &extensions["field"]), (&json!("BAD_USER_INPUT"), &json!(field)), "{answer}");
        assert_eq!(answer["data"]["connections"]["nodes"][0]["displayName"], "Orders");
    }
}
