//! Pages: what they cost does not depend on their records, and how they are written not on who writes them.

use serde_json::json;

use crate::support::{
    app::{Database, TestApp, on_both},
    calls,
    vendor::Vendor,
};

on_both!(pages_cost_a_fixed_number_of_queries, rows_write_what_the_executor_would);

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

/// Each list with a field that its rows cannot write themselves.
const LISTS: [(&str, &str, &str); 4] = [
    ("connections", "ConnectionRecord", "connector { slug }"),
    ("deliveryLog", "DeliveryEntry", "delivery { id }"),
    ("activityLog", "ActivityEntry", "operator { name }"),
    ("connectors", "Connector", "scopes { id }"),
];

/// Rows that are asked for nothing else write themselves; beside another field the executor writes them.
async fn rows_write_what_the_executor_would(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    for n in 0..3 {
        let signed = calls::connect_webhook(&app, &admin, &receiver, &format!("/{n}")).await;
        calls::dispatch(&app, &app.module_token("forms"), &signed.connection, "a.b", "1\"é", "REJECT").await;
    }
    receiver.wait_for(6).await;
    let app = app.restart_without_worker().await;
    for (list, object, other) in LISTS {
        let fields = leaves(object);
        let ask = async |beside: &str| {
            let node = format!("__typename {fields} again: id {beside}");
            let document = format!("{{ {list} {{ nodes {{ {node} }} edges {{ cursor node {{ {node} }} }} }} }}");
            let answer = app.graphql(&admin, &document, json!({})).await;
            assert_eq!(answer.get("errors"), None, "{answer}");
            answer["data"][list].clone()
        };
        let written = ask("").await;
        let mut executed = ask(&format!("other: {other}")).await;
        for node in executed["nodes"].as_array_mut().expect("a list") {
            node.as_object_mut().and_then(|node| node.remove("other")).expect("the other field");
        }
        for edge in executed["edges"].as_array_mut().expect("a list") {
            edge["node"].as_object_mut().and_then(|node| node.remove("other")).expect("the other field");
        }
        assert!(written["nodes"].as_array().is_some_and(|nodes| nodes.len() >= 3), "{written}");
        // The order of the fields, too.
        assert_eq!(written.to_string(), executed.to_string(), "{list}");
    }
    let history = "{ connections(first: 1) { nodes { stateHistory { nodes { __typename state previousState cause reason } } } } }";
    let answer = app.graphql(&admin, history, json!({})).await;
    let step = json!({ "__typename": "StateHistoryEntry", "state": "ACTIVE", "previousState": null, "cause": "TEST", "reason": null });
    assert_eq!(answer["data"]["connections"]["nodes"][0]["stateHistory"]["nodes"], json!([step]));
    app.stop().await;
}

/// The fields of a type that take no argument and have no fields themselves.
fn leaves(object: &str) -> String {
    let schema = apollo_compiler::Schema::parse_and_validate(integrations_gateway::graphql::sdl(), "schema.graphql");
    let schema = schema.expect("the exported schema is valid");
    let fields = &schema.get_object(object).expect("an object").fields;
    let leaf = |ty: &str| schema.types[ty].is_scalar() || schema.types[ty].is_enum();
    let leaves = fields.iter().filter(|(_, field)| field.arguments.is_empty() && leaf(field.ty.inner_named_type()));
    leaves.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ")
}
