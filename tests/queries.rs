//! A page of N records costs a fixed number of queries.

use serde_json::json;

use crate::support::{
    app::{Database, TestApp, on_both},
    calls,
    vendor::Vendor,
};

on_both!(pages_cost_a_fixed_number_of_queries);

const PAGES: [&str; 3] = [
    "query($n: Int!) { connections(first: $n) { totalCount nodes { displayName connector { slug } operatorOfRecord { name } pendingDeliveries lastTest { outcome } scopes { id } } } }",
    "query($n: Int!) { deliveryLog(first: $n) { totalCount nodes { outcome connection { displayName operatorOfRecord { name } } delivery { status entries { outcome } connection { id } } retryOf { id } } } }",
    "query($n: Int!) { activityLog(first: $n) { nodes { action operator { name } connection { displayName } } } }",
];

async fn pages_cost_a_fixed_number_of_queries(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    for n in 0..6 {
        let signed = calls::connect_webhook(&app, &admin, &receiver, &format!("/{n}")).await;
        calls::dispatch(&app, &app.module_token("forms"), &signed.connection, "a.b", "1", "REJECT").await;
    }
    receiver.wait_for(12).await;
    // Nothing else may run while statements are counted.
    let app = app.restart_without_worker().await;
    for query in PAGES {
        app.graphql(&admin, query, json!({"n": 1})).await;
        let mut costs = Vec::new();
        for n in [2, 6] {
            let before = app.query_count();
            let answer = app.graphql(&admin, query, json!({ "n": n })).await;
            assert_eq!(answer.get("errors"), None, "{answer}");
            costs.push(app.query_count() - before);
        }
        assert_eq!(costs[0], costs[1], "{query}");
        assert!(costs[0] > 0 && costs[0] <= 10, "{} statements for {query}", costs[0]);
    }
    app.stop().await;
}
