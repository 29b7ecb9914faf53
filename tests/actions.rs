//! What a connection says can be done with it is what its mutations do.

use std::fmt::Write as _;

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::{
    oauth::connected,
    support::{
        app::{Database, TestApp, on_both},
        calls,
        grants::Granting,
        vendor::Vendor,
    },
};

on_both!(every_action_is_refused_exactly_where_it_is_not_available);

/// A key at the vendor that grants access, in the family that asks for more.
fn by_key() -> String {
    let mut manifest = String::from(
        r#"version = 1
slug = "paid"
display_name = "Paid"
family = "payments"
description = "A vendor that is made up."

[[flows]]
flow = "api_key"
proof = "account"

[[flows.fields]]
name = "key"
label = "Key"
secret = true

[flows.credentials.default]
in = "header"
name = "Authorization"
value = "Bearer {field.key}"

[[test]]
name = "account"
request = { method = "GET", url = "https://granting.example/me" }
account = { id = "/id", name = "/name" }
"#,
    );
    let operation = r#"
[[operations]]
event_type = "submission.created"
title = "Charge"
payload_schema = { type = "object" }
example_payload = {}
request = { method = "POST", url = "https://granting.example/contacts", json = "{payload}" }
"#;
    write!(manifest, "{operation}").expect("a string takes text");
    manifest
}

/// How an action is tried: nothing that would really change the credential is handed in.
const TRIED: [(&str, &str, &str); 11] = [
    ("RENAME", "renameConnection", r#"displayName: "A""#),
    ("CONFIGURE", "configureConnection", "values: []"),
    ("EDIT_SCOPES", "editConnectionScopes", r#"scopes: ["contacts"], returnTo: "https://elsewhere.example/""#),
    ("REFRESH", "refreshCredentials", ""),
    ("ROTATE", "rotateCredentials", "overlapSeconds: -1"),
    ("REAUTHORIZE", "reauthorizeConnection", r#"returnTo: "https://elsewhere.example/""#),
    ("TEST", "testConnection", ""),
    ("PAUSE", "pauseConnection", ""),
    ("RESUME", "resumeConnection", ""),
    ("DISPATCH", "dispatchEvent", ""),
    ("DISCONNECT", "disconnectConnection", ""),
];

/// Whether an action is refused by capability, state, connector or setting.
async fn refused(
    app: &TestApp,
    token: &str,
    connection: &str,
    (mutation, more): (&str, &str),
    number: u32,
) -> Option<Value> {
    let (query, variables) = if mutation == "dispatchEvent" {
        let input = json!({"connectionId": connection, "eventType": "submission.created", "eventIdentifier": number.to_string(), "payload": {}, "originatingModule": "forms"});
        let query = "mutation($input: DispatchEventInput!) { dispatchEvent(input: $input) { __typename ... on DispatchRejected { reason message } } }";
        (query.to_owned(), json!({ "input": input }))
    } else {
        let query =
            format!("mutation($id: ID!) {{ {mutation}(input: {{connectionId: $id, {more}}}) {{ __typename }} }}");
        (query, json!({ "id": connection }))
    };
    let answer = app.graphql(token, &query, variables).await;
    if answer["data"][mutation]["__typename"] == "DispatchRejected" {
        return Some(answer["data"][mutation]["message"].clone());
    }
    let error = &answer["errors"][0];
    match error["extensions"]["code"].as_str() {
        None | Some("BAD_USER_INPUT") => None,
        Some("FORBIDDEN") => Some(error["extensions"]["capability"].clone()),
        Some("CONFLICT") => Some(error["message"].clone()),
        Some(_) => panic!("{mutation}: {answer}"),
    }
}

/// What stands in the way, as the connection itself says.
async fn said(app: &TestApp, token: &str, connection: &str) -> Vec<(String, Option<Value>)> {
    let query = "query($id: ID!) { connection(id: $id) { actions { action available missingCapabilities reason } } }";
    let answer = app.graphql(token, query, json!({ "id": connection })).await;
    let actions = answer["data"]["connection"]["actions"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let said = actions.iter().map(|said| {
        let way = match (&said["missingCapabilities"][0], &said["reason"]) {
            (Value::Null, Value::Null) => None,
            (Value::Null, reason) => Some(reason.clone()),
            (capability, _) => Some(capability.clone()),
        };
        assert_eq!(said["available"], way.is_none(), "{said}");
        (said["action"].as_str().expect("an action").to_owned(), way)
    });
    said.collect()
}

async fn every_action_is_refused_exactly_where_it_is_not_available(database: Database) {
    let granting = Granting::start().await;
    granting.book().plant("key-planted", "never used");
    let manifest = include_str!("manifests/granting.toml");
    let files = [("granting.toml", manifest), ("paid.toml", &*by_key())];
    let app = TestApp::with_connectors(database, &granting.vendor, &files).await;
    // Nothing moves but what is asked for.
    let app = app.restart_without_worker().await;
    let admin = app.token("Administrator");
    let create = "mutation($key: Secret!) { createConnection(input: {connectorSlug: \"paid\", authFlow: API_KEY, fields: [{name: \"key\", value: $key}]}) { ... on ConnectionCreated { connection { id } } ... on ConnectionRejected { test { detail } violations { message } } } }";
    let created = app.graphql(&admin, create, json!({"key": "key-planted"})).await;
    let by_key = created["data"]["createConnection"]["connection"]["id"].as_str();
    let by_key = by_key.unwrap_or_else(|| panic!("{created}")).to_owned();
    let by_grant = connected(&app, &granting, &admin, "acme").await;
    let receiver = Vendor::plain().await;
    let signed = calls::connect_webhook(&app, &admin, &receiver, "/").await.connection;

    app.save_role("Clerk", &["list_connections", "create_connection", "refresh_credentials", "disconnect"]).await;
    app.save_role("Module", &["list_connections", "dispatch_events", "create_connection", "edit_scopes"]).await;
    let tokens: Vec<String> = ["Administrator", "Editor", "Viewer", "Clerk"].map(|role| app.token(role)).into();
    let tokens = [&tokens[..], &[app.module_token("forms")]].concat();
    let own = |extra: Value, enabled: bool| {
        json!([
            {"family": "CRM", "extraCapabilities": extra, "enabled": enabled},
            {"family": "PAYMENTS", "extraCapabilities": extra, "enabled": enabled},
            {"family": "WEBHOOKS", "extraCapabilities": extra, "enabled": enabled},
        ])
    };
    let update = "mutation($own: [FamilyOverrideInput!]) { updateSettings(input: {familyOverrides: $own}) { settings { holdLimitHours } } }";
    let (mut tried, mut taken) = (0, 0);
    for overrides in [json!([]), own(json!(["MANAGE_SETTINGS"]), true), own(json!([]), false)] {
        let set = app.graphql(&admin, update, json!({ "own": overrides })).await;
        assert_eq!(set.get("errors"), None, "{set}");
        for connection in [&by_key, &by_grant, &signed] {
            for state in ["active", "paused", "error", "auth_expired", "auth_revoked"] {
                for token in &tokens {
                    let set = format!("UPDATE connections SET state = '{state}'");
                    app.execute(&set).await;
                    let said = said(&app, token, connection).await;
                    assert_eq!(said.len(), TRIED.len(), "{said:?}");
                    for (action, mutation, more) in TRIED {
                        let (_, way) = said.iter().find(|(of, _)| of == action).expect("every action is said");
                        if action == "DISCONNECT" && way.is_none() {
                            continue;
                        }
                        app.execute(&set).await;
                        if action == "REFRESH" && way.is_none() {
                            // A vendor is asked at its pace.
                            app.clock.advance(TimeDelta::seconds(61));
                        }
                        let refused = refused(&app, token, connection, (mutation, more), tried).await;
                        assert_eq!(refused, *way, "{action} of {connection} while {state}, {overrides}");
                        tried += 1;
                        taken += u32::from(way.is_none());
                    }
                }
            }
        }
    }
    // Both ends are well tried.
    assert!(tried > 2_000 && taken > 300, "{taken} of {tried}");
    app.graphql(&admin, update, json!({ "own": [] })).await;
    for connection in [&by_key, &by_grant] {
        assert_eq!(calls::disconnect(&app, &tokens[0], connection).await["disconnected"], true);
    }
    app.stop().await;
}
