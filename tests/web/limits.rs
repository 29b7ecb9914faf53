//! What clients are bounded by, as they come upon it.

use chrono::TimeDelta;
use integrations_gateway::{graphql::Introspection, web::Rate};
use serde_json::{Value, json};

use super::{Answer, GRAPHQL, JSON, VIEWER, post, query, sockets::Socket};
use crate::support::app::TestApp;

const SHOWN: &str = "{ query: __type(name: \"Query\") { fields { name } } mutation: __type(name: \"Mutation\") { fields { name } } entry: __type(name: \"ActivityEntry\") { name } record: __type(name: \"ConnectionRecord\") { fields { name } } __schema { queryType { name } mutationType { name } subscriptionType { fields { name } } types { name } } }";

fn names(fields: &Value) -> Vec<&str> {
    fields.as_array().into_iter().flatten().filter_map(|field| field["name"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn introspection_shows_what_capabilities_reach() {
    let app = TestApp::start().await.restart_showing(Introspection::ByCapability).await;
    app.save_role("Watcher", &["browse_activity_log"]).await;
    let shown = async |role: &str| app.graphql(&app.token(role), SHOWN, json!({})).await["data"].clone();

    let admin = shown("Administrator").await;
    assert!(names(&admin["mutation"]["fields"]).contains(&"disconnectConnection"), "{admin}");
    assert_eq!(admin["entry"]["name"], "ActivityEntry");

    let viewer = shown("Viewer").await;
    let queries = names(&viewer["query"]["fields"]);
    assert!(queries.contains(&"connections") && !queries.contains(&"activityLog"), "{queries:?}");
    assert!(!names(&viewer["record"]["fields"]).contains(&"activityLog"), "{viewer}");
    assert_eq!((&viewer["mutation"], &viewer["__schema"]["mutationType"]), (&json!(null), &json!(null)), "{viewer}");
    let followed = names(&viewer["__schema"]["subscriptionType"]["fields"]);
    assert_eq!(followed, ["connectionStateChanged", "deliveryLogged", "authorizationUpdated"]);
    assert!(!names(&viewer["__schema"]["types"]).contains(&"CreateConnectionInput"), "{viewer}");

    // A role of the site's own reaches what it says, and nothing of the rest.
    let watcher = shown("watcher").await;
    assert_eq!(names(&watcher["query"]["fields"]), ["viewer", "node", "nodes", "authorization", "activityLog"]);
    assert_eq!((&watcher["record"], &watcher["entry"]["name"]), (&json!(null), &json!("ActivityEntry")), "{watcher}");

    // What is not shown is validated and executed all the same.
    let asked = app.graphql(&app.token("Viewer"), "{ activityLog { nodes { id } } }", json!({})).await;
    assert_eq!(asked["errors"][0]["extensions"]["code"], "FORBIDDEN", "{asked}");

    // Nor does a message name what is not shown; where all of it is, it helps.
    let create = "mutation($input: CreateConnectionInput!) { createConnection(input: $input) { __typename } }";
    let known = json!({ "connectorSlug": "stripe", "authFlow": "API_KEY", "fields": [] });
    let with = |name: &str, value: &str| {
        let mut input = known.clone();
        input[name] = json!(value);
        json!({ "input": input })
    };
    for wrong in [with("nothingOfTheKind", "x"), with("authFlow", "NOTHING_OF_THE_KIND")] {
        let hidden = app.graphql(&app.token("Viewer"), create, wrong.clone()).await;
        assert_eq!(hidden["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{hidden}");
        assert!(!["displayName", "SIGNED_TOKEN"].iter().any(|name| hidden.to_string().contains(name)), "{hidden}");
    }
    let app = app.restart_showing(Introspection::On).await;
    let told = app.graphql(&app.token("Viewer"), create, with("nothingOfTheKind", "x")).await;
    assert!(told.to_string().contains("displayName"), "{told}");

    let app = app.restart_showing(Introspection::Off).await;
    let refused = app.graphql(&app.token("Administrator"), SHOWN, json!({})).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED", "{refused}");
    assert_eq!(refused.get("data"), None);
    let typename = app.graphql(&app.token("Viewer"), "{ __typename }", json!({})).await;
    assert_eq!(typename["data"]["__typename"], "Query");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_over_a_bound_is_told_the_bound_and_its_setting() {
    let app = TestApp::start().await;
    let nested = |levels: usize| {
        let inner = "delivery { entries { ".repeat(levels);
        format!("{{ deliveryLog {{ nodes {{ {inner} id {} }} }} }}", "} }".repeat(levels))
    };
    for (document, setting) in [
        (format!("{{ __typename }} # {}", "x".repeat(70_000)), "GATEWAY_MAX_DOCUMENT"),
        (format!("{{ {} }}", "__typename ".repeat(5_000)), "GATEWAY_MAX_TOKENS"),
        (nested(12), "GATEWAY_MAX_DEPTH"),
        (nested(4), "GATEWAY_MAX_COST"),
    ] {
        let answer = Answer::of(post(&app, &query(&document)).header("accept", GRAPHQL)).await;
        let error = &answer.json()["errors"][0];
        assert_eq!((answer.status, &error["extensions"]["code"]), (400, &json!("LIMIT_EXCEEDED")), "{}", answer.body);
        assert!(error["message"].as_str().is_some_and(|message| message.contains(setting)), "{error}");
        let (found, bound) = (&error["extensions"]["found"], &error["extensions"]["bound"]);
        assert!(found.as_u64() > bound.as_u64(), "{error}");
    }
    app.stop().await;
}

/// Documents that grow without end where each of their fragments is looked at wherever it is spread.
fn bombs() -> Vec<(&'static str, String)> {
    let chain = |count: usize, body: &dyn Fn(usize) -> String| {
        let fragments: Vec<_> = (0..count).map(|n| format!("fragment f{n} on Query {{ {} }} ", body(n + 1))).collect();
        format!("{{ ...f0 }} {}fragment f{count} on Query {{ viewer {{ role }} }}", fragments.concat())
    };
    let below_lists = || {
        let body = |n: usize| format!("fragment f{} on Connector {{ a: id ...f{n} b: id ...f{n} ...f{n} }} ", n - 1);
        let fragments: Vec<_> = (1..10).map(body).collect();
        let spreads = ["x", "y", "z"].map(|alias| format!("{alias}: connectors(first: 100) {{ nodes {{ ...f0 }} }} "));
        let last = "fragment f9 on Connector { authFlows { fields { name } } }";
        format!("{{ {} }} {}{last}", spreads.concat(), fragments.concat())
    };
    let aliases = || {
        let lists: Vec<_> = (0..300).map(|n| format!("a{n}: connections(first: 100) {{ nodes {{ id }} }} ")).collect();
        format!("{{ {} }}", lists.concat())
    };
    let large = |unit: &str| format!("{{ {} }}", unit.repeat(900_000 / unit.len()));
    vec![
        ("doubling", chain(60, &|n| format!("...f{n} ...f{n}"))),
        ("doubling below lists", below_lists()),
        ("aliases", aliases()),
        ("a long chain", chain(300, &|n| format!("...f{n}"))),
        ("circles", "{ ...a } fragment a on Query { ...b ...b } fragment b on Query { ...a ...a }".to_owned()),
        ("a megabyte of fields", large("viewer { role } ")),
        ("a megabyte of braces", large("{")),
        ("a megabyte of spreads", large("...f ")),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_are_refused_before_anything_runs() {
    let app = TestApp::start().await;
    app.graphql(&app.token("Viewer"), VIEWER, json!({})).await;
    for (what, document) in bombs() {
        let before = app.query_count();
        let answer = Answer::of(post(&app, &query(&document))).await;
        let code = answer.code();
        assert!(
            code == "LIMIT_EXCEEDED" || (what == "circles" && code == "GRAPHQL_VALIDATION_FAILED"),
            "{what}: {}",
            answer.body
        );
        assert_eq!(app.query_count(), before, "{what}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_asks_too_often_is_told_when_to_come_back() {
    let rate = Some(Rate { count: 3, seconds: 60 });
    let app = TestApp::start().await.restart_bounded(|limits| limits.rate = rate).await;
    for _ in 0..3 {
        assert_eq!(Answer::of(post(&app, &query(VIEWER))).await.status, 200);
    }
    let refused = Answer::of(post(&app, &query(VIEWER))).await;
    assert_eq!((refused.status, refused.code(), refused.header("retry-after")), (429, json!("LIMIT_EXCEEDED"), "20"));
    // Somebody else, and the same operator of another site, have rates of their own.
    let other = app.operator_token(2, "Viewer");
    let elsewhere = app.site_token(2, "Viewer");
    for token in [&other, &elsewhere, &app.module_token("forms")] {
        assert_eq!(app.graphql(token, "{ __typename }", json!({})).await["data"]["__typename"], "Query");
    }
    // Operations on a socket count as well, and the socket stays.
    let mut socket = Socket::ready(&app, "Viewer").await;
    socket.subscribe("1", VIEWER).await;
    let error = socket.next().await;
    assert_eq!(
        (&error["type"], &error["payload"][0]["extensions"]["retryAfter"]),
        (&json!("error"), &json!(20)),
        "{error}"
    );
    app.clock.advance(TimeDelta::seconds(20));
    socket.subscribe("1", VIEWER).await;
    assert_eq!(socket.next().await["type"], "next");
    drop(socket);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_asks_too_often_is_refused_before_its_token_is_looked_at() {
    let rate = Some(Rate { count: 2, seconds: 1 });
    let app = TestApp::start().await.restart_bounded(|limits| limits.address_rate = rate).await;
    let bare = || app.client.post(format!("{}/graphql", app.url)).header("content-type", JSON).body(query(VIEWER));
    for _ in 0..2 {
        assert_eq!(Answer::of(bare()).await.status, 401);
    }
    let refused = Answer::of(bare()).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "1"), "{}", refused.body);
    assert!(super::connect(&app, &[]).await.is_err_and(|status| status == 429), "a handshake counts as well");
    assert_eq!(Answer::of(app.client.get(format!("{}/healthz", app.url))).await.status, 200);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_over_the_bound_closes_its_socket() {
    let app = TestApp::start().await.restart_bounded(|limits| limits.max_body = 2_000).await;
    let mut socket = Socket::ready(&app, "Viewer").await;
    socket.subscribe("1", &format!("{{ __typename }} # {}", "x".repeat(4_000))).await;
    assert_eq!(socket.closed().await.0, 1009);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_of_a_payload_is_special() {
    let receiver = crate::support::vendor::Vendor::plain().await;
    let app = TestApp::start().await;
    let signed = crate::support::calls::connect_webhook(&app, &app.token("Administrator"), &receiver, "/").await;
    let payload = json!({ "a": 1, "$serde_json::private::RawValue": "not json", "$serde_json::private::Number": "x" });
    let input = json!({ "input": { "connectionId": signed.connection, "eventType": "a.b", "eventIdentifier": "1", "payload": payload } });
    let answer = app.graphql(&app.module_token("forms"), crate::support::calls::DISPATCH, input).await;
    assert_eq!(answer["data"]["dispatchEvent"]["__typename"], "DispatchAccepted", "{answer}");
    let sent = receiver.wait_for(2).await;
    assert!(sent[1].body.contains("$serde_json::private::RawValue"), "{}", sent[1].body);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_still_sends_a_body_that_is_too_long_hears_why() {
    let app = TestApp::start().await;
    let large = query(&format!("{{ __typename }} # {}", "x".repeat(1_500_000)));
    for _ in 0..40 {
        let answer = Answer::of(post(&app, &large)).await;
        assert_eq!((answer.status, answer.code()), (413, json!("LIMIT_EXCEEDED")), "{}", answer.body);
    }
    app.stop().await;
}
