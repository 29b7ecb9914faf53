//! What a caller may not see is null beside what it may, and its verbs are refused.

use serde_json::json;

use crate::support::{
    app::{Database, TestApp, on_both},
    calls,
    vendor::Vendor,
};

on_both!(forbidden_fields_are_null_beside_living_siblings, payment_connectors_need_one_capability_more);

async fn forbidden_fields_are_null_beside_living_siblings(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let signed = calls::connect_webhook(&app, &app.token("Administrator"), &receiver, "/").await;
    let viewer = app.token("Viewer");
    let answer = app
        .graphql(&viewer, "query($id: ID!) { viewer { role capabilities } connections { nodes { displayName activityLog { nodes { id } } deliveryLog { totalCount } } } activityLog { nodes { id } } connection(id: $id) { state } }", json!({"id": signed.connection}))
        .await;
    assert_eq!(
        answer["data"]["connections"]["nodes"],
        json!([{"displayName": "Orders", "activityLog": null, "deliveryLog": {"totalCount": 0}}]),
        "{answer}"
    );
    assert_eq!(answer["data"]["activityLog"], json!(null));
    assert_eq!(answer["data"]["connection"]["state"], "ACTIVE");
    let mut paths: Vec<String> = answer["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| {
            assert_eq!(
                error["extensions"],
                json!({"code": "FORBIDDEN", "capability": "BROWSE_ACTIVITY_LOG"}),
                "{error}"
            );
            error["path"].to_string()
        })
        .collect();
    paths.sort();
    assert_eq!(paths, ["[\"activityLog\"]", "[\"connections\",\"nodes\",0,\"activityLog\"]"]);

    let module = app.module_token("forms");
    let refused = app
        .graphql(
            &module,
            "mutation($id: ID!) { pauseConnection(input: {connectionId: $id}) { connection { id } } }",
            json!({"id": signed.connection}),
        )
        .await;
    assert_eq!(refused["data"], json!({"pauseConnection": null}), "{refused}");
    assert_eq!(refused["errors"][0]["extensions"]["capability"], "PAUSE_RESUME");
    let nobody =
        app.graphql(&app.token("Auditor"), "{ viewer { capabilities } connections { totalCount } }", json!({})).await;
    assert_eq!(nobody["data"], json!({"viewer": {"capabilities": []}, "connections": null}));
    app.stop().await;
}

async fn payment_connectors_need_one_capability_more(database: Database) {
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let listed = app.graphql(&admin, "{ connector(slug: \"stripe\") { extraCapabilities } }", json!({})).await;
    assert_eq!(listed["data"]["connector"]["extraCapabilities"], json!(["MANAGE_PAYMENT_CREDENTIALS"]));
    app.save_role("Clerk", &["list_connections", "create_connection"]).await;
    let create = "mutation($input: CreateConnectionInput!) { createConnection(input: $input) { __typename } }";
    let input = json!({"input": {"connectorSlug": "stripe", "authFlow": "API_KEY", "fields": []}});
    let refused = app.graphql(&app.token("clerk"), create, input.clone()).await;
    assert_eq!(refused["errors"][0]["extensions"]["capability"], "MANAGE_PAYMENT_CREDENTIALS", "{refused}");
    let admitted = app.graphql(&admin, create, input).await;
    assert_eq!(admitted["data"]["createConnection"]["__typename"], "ConnectionRejected", "{admitted}");
    app.stop().await;
}
