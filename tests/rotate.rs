//! Another key, password or signing secret in the place of the old one, which serves until the new one has passed.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{
    app::{Database, TestApp, on_both},
    calls::{self, Signed, act, dispatch},
    grants::Granting,
    keys::{FIRST, SECOND, accepting, connected, last_key},
    vendor::{Reply, Vendor},
};

on_both!(
    a_key_serves_once_its_test_has_passed,
    a_fresh_key_brings_a_revoked_connection_back,
    whoever_comes_second_is_told,
    a_signing_secret_signs_beside_the_old_one,
    a_refused_message_leaves_the_secret_alone,
    what_does_not_fit_is_refused,
    payment_keys_need_one_capability_more,
);

const ROTATE: &str = "mutation($input: RotateCredentialsInput!) { rotateCredentials(input: $input) { rotated secret oldSecretUntil test { outcome detail } connection { state updatedAt } } }";
async fn rotate(app: &TestApp, token: &str, input: Value) -> Value {
    let answer = app.graphql(token, ROTATE, json!({ "input": input })).await;
    assert_eq!(answer.get("errors"), None, "{answer}");
    answer["data"]["rotateCredentials"].clone()
}

fn key(connection: &str, key: &str) -> Value {
    json!({"connectionId": connection, "fields": [{"name": "api_key", "value": key}]})
}

async fn a_key_serves_once_its_test_has_passed(database: Database) {
    let (vendor, app, admin, id) = connected(database).await;
    app.clock.advance(TimeDelta::hours(1));
    // The vendor does not know the new key: the old one serves on.
    let refused = rotate(&app, &admin, key(&id, SECOND)).await;
    assert_eq!((&refused["rotated"], &refused["test"]["outcome"]), (&json!(false), &json!("CREDENTIAL_REVOKED")));
    let unchanged = json!({"state": "ACTIVE", "updatedAt": "2030-01-15T12:00:00.000Z"});
    assert_eq!(refused["connection"], unchanged, "{refused}");
    assert_eq!(last_key(&vendor), SECOND);
    act(&app, &admin, "testConnection", &id, "test { outcome }").await;
    assert_eq!(last_key(&vendor), FIRST);
    // A key of another account is refused as well, though it passes.
    vendor.answer(accepting(&[(FIRST, "acme"), (SECOND, "other")]));
    let other = rotate(&app, &admin, key(&id, SECOND)).await;
    assert_eq!((&other["rotated"], &other["test"]["outcome"]), (&json!(false), &json!("CONNECTED")), "{other}");
    assert!(other["test"]["detail"].as_str().is_some_and(|why| why.contains("another account (other)")), "{other}");
    act(&app, &admin, "testConnection", &id, "test { outcome }").await;
    assert_eq!(last_key(&vendor), FIRST);

    vendor.answer(accepting(&[(FIRST, "acme"), (SECOND, "acme")]));
    let rotated = rotate(&app, &admin, key(&id, SECOND)).await;
    assert_eq!((&rotated["rotated"], &rotated["secret"]), (&json!(true), &json!(null)), "{rotated}");
    assert_eq!(rotated["connection"], json!({"state": "ACTIVE", "updatedAt": "2030-01-15T13:00:00.000Z"}));
    act(&app, &admin, "testConnection", &id, "test { outcome }").await;
    assert_eq!(last_key(&vendor), SECOND);
    let query = "{ activityLog(filter: {actions: [CREDENTIALS_ROTATED]}) { nodes { outcome connectionName detail } } }";
    let log = app.graphql(&admin, query, json!({})).await["data"]["activityLog"]["nodes"].clone();
    let outcomes: Vec<&Value> = log.as_array().expect("rows").iter().map(|row| &row["outcome"]).collect();
    assert_eq!(outcomes, ["SUCCEEDED", "REJECTED", "REJECTED"], "{log}");
    assert!(![refused, other, rotated, log].iter().any(|answer| answer.to_string().contains("0planted")));
    app.stop().await;
}

async fn a_fresh_key_brings_a_revoked_connection_back(database: Database) {
    let (vendor, app, admin, id) = connected(database).await;
    vendor.answer(accepting(&[(SECOND, "acme")]));
    let tested = act(&app, &admin, "testConnection", &id, "connection { state }").await;
    assert_eq!(tested["connection"]["state"], "AUTH_REVOKED");
    let rotated = rotate(&app, &admin, key(&id, SECOND)).await;
    assert_eq!((&rotated["rotated"], &rotated["connection"]["state"]), (&json!(true), &json!("ACTIVE")), "{rotated}");
    // A paused connection stays paused.
    act(&app, &admin, "pauseConnection", &id, "connection { state }").await;
    let rotated = rotate(&app, &admin, key(&id, SECOND)).await;
    assert_eq!((&rotated["rotated"], &rotated["connection"]["state"]), (&json!(true), &json!("PAUSED")), "{rotated}");
    app.stop().await;
}

/// A configuration that was read before a rotation must not write the old key back.
async fn whoever_comes_second_is_told(database: Database) {
    let (vendor, app, admin, id) = connected(database).await;
    // What is sent with the old key is answered only once a fourth request has come.
    vendor.answer(|request| {
        let passed = accepting(&[(FIRST, "acme"), (SECOND, "acme")])(request);
        if request.header("api-key") == FIRST { Reply { hold_until: 4, ..passed } } else { passed }
    });
    let configure = "mutation($id: ID!) { configureConnection(input: {connectionId: $id, values: [{name: \"list_id\", value: \"7\"}]}) { test { outcome } } }";
    let variables = json!({ "id": id });
    let configured = app.graphql(&admin, configure, variables);
    let rotated = async {
        vendor.wait_for(2).await;
        let rotated = rotate(&app, &admin, key(&id, SECOND)).await;
        assert_eq!(rotated["rotated"], true, "{rotated}");
        act(&app, &admin, "testConnection", &id, "test { outcome }").await
    };
    let (configured, tested) = tokio::join!(configured, rotated);
    assert_eq!(configured["errors"][0]["extensions"]["code"], "CONFLICT", "{configured}");
    assert_eq!(tested["test"]["outcome"], "CONNECTED");
    act(&app, &admin, "testConnection", &id, "test { outcome }").await;
    assert_eq!(last_key(&vendor), SECOND);
    app.stop().await;
}

async fn a_signing_secret_signs_beside_the_old_one(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let old = calls::connect_webhook(&app, &admin, &receiver, "/events").await;
    let rotated = rotate(&app, &admin, json!({"connectionId": old.connection, "overlapSeconds": 3600})).await;
    assert_eq!((&rotated["rotated"], &rotated["test"]["outcome"]), (&json!(true), &json!("CONNECTED")), "{rotated}");
    assert_eq!(rotated["oldSecretUntil"], "2030-01-15T13:00:00.000Z");
    let secret = rotated["secret"].as_str().expect("a secret").to_owned();
    let new = Signed { connection: old.connection.clone(), secret };
    assert_ne!(new.secret, old.secret);
    // The test, and what follows within the overlap.
    let module = app.module_token("forms");
    dispatch(&app, &module, &old.connection, "a.b", "1", "REJECT").await;
    let sent = receiver.wait_for(3).await;
    assert!(sent[1..].iter().all(|request| old.verifies(request) && new.verifies(request)));
    // Another address does not make the old secret live on.
    let configure =
        "mutation($input: ConfigureConnectionInput!) { configureConnection(input: $input) { test { outcome } } }";
    let url = format!("http://{}/moved", receiver.address);
    let input = json!({"connectionId": old.connection, "values": [{"name": "url", "value": url}]});
    let moved = app.graphql(&admin, configure, json!({ "input": input })).await;
    assert_eq!(moved["data"]["configureConnection"]["test"]["outcome"], "CONNECTED", "{moved}");
    // Then the old one stops.
    app.clock.advance(TimeDelta::seconds(3601));
    dispatch(&app, &module, &old.connection, "a.b", "2", "REJECT").await;
    let sent = receiver.wait_for(5).await;
    assert!(new.verifies(&sent[4]) && !old.verifies(&sent[4]), "only the new one signs");
    // At once, where it has leaked; and the default is a day.
    let at_once = rotate(&app, &admin, json!({"connectionId": old.connection, "overlapSeconds": 0})).await;
    assert_eq!(at_once["rotated"], true, "{at_once}");
    dispatch(&app, &module, &old.connection, "a.b", "3", "REJECT").await;
    let sent = receiver.wait_for(7).await;
    assert!(new.verifies(&sent[5]) && !new.verifies(&sent[6]), "its last message is the test");
    let by_default = rotate(&app, &admin, json!({"connectionId": old.connection})).await;
    assert_eq!(by_default["oldSecretUntil"], "2030-01-16T13:00:01.000Z", "{by_default}");
    // A message carries five signatures at most.
    for _ in 0..3 {
        rotate(&app, &admin, json!({"connectionId": old.connection})).await;
    }
    let many = app.graphql(&admin, ROTATE, json!({"input": {"connectionId": old.connection}})).await;
    assert_eq!(many["errors"][0]["extensions"]["code"], "CONFLICT", "{many}");
    app.stop().await;
}

async fn a_refused_message_leaves_the_secret_alone(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let old = calls::connect_webhook(&app, &admin, &receiver, "/events").await;
    receiver.answer(|_| Reply::status(401));
    let refused = rotate(&app, &admin, json!({"connectionId": old.connection})).await;
    let nothing = (&json!(false), &json!(null), &json!(null));
    assert_eq!((&refused["rotated"], &refused["secret"], &refused["oldSecretUntil"]), nothing, "{refused}");
    receiver.answer(|_| Reply::status(200));
    act(&app, &admin, "testConnection", &old.connection, "test { outcome }").await;
    let last = receiver.requests().pop().expect("a request");
    assert_eq!(last.header("webhook-signature").split(' ').count(), 1);
    assert!(old.verifies(&last));
    app.stop().await;
}

async fn what_does_not_fit_is_refused(database: Database) {
    let granting = Granting::start().await;
    let receiver = Vendor::plain().await;
    let app = TestApp::with_grants(database, &granting).await;
    let admin = app.token("Administrator");
    let signed = calls::connect_webhook(&app, &admin, &receiver, "/").await.connection;
    let refused = async |input: Value| {
        let answer = app.graphql(&admin, ROTATE, json!({ "input": input })).await;
        let extensions = &answer["errors"][0]["extensions"];
        (extensions["code"].clone(), extensions["field"].clone())
    };
    let fields = json!([{"name": "url", "value": "https://example.com/"}]);
    let bad = |field: &str| (json!("BAD_USER_INPUT"), json!(field));
    assert_eq!(refused(json!({"connectionId": signed, "fields": fields})).await, bad("fields"));
    for seconds in [-1, 604_801] {
        let input = json!({"connectionId": signed, "overlapSeconds": seconds});
        assert_eq!(refused(input).await, bad("overlapSeconds"), "{seconds}");
    }
    let nothing = calls::id_of_nothing(&signed);
    assert_eq!(refused(json!({"connectionId": nothing})).await, (json!("NOT_FOUND"), json!(null)));
    let granted = crate::oauth::connected(&app, &granting, &admin, "acme").await;
    let by_consent = app.graphql(&admin, ROTATE, json!({"input": {"connectionId": granted}})).await;
    assert_eq!(by_consent["errors"][0]["extensions"]["code"], "CONFLICT", "{by_consent}");
    let message = by_consent["errors"][0]["message"].as_str().expect("words");
    assert!(message.contains("reauthorizeConnection"), "{message}");
    assert_eq!(receiver.requests().len(), 1, "nothing was sent");
    app.stop().await;

    let (vendor, app, admin, id) = connected(database).await;
    let refused = async |input: Value| {
        let answer = app.graphql(&admin, ROTATE, json!({ "input": input })).await;
        assert!(!answer.to_string().contains("0planted"), "{answer}");
        let extensions = &answer["errors"][0]["extensions"];
        (extensions["code"].clone(), extensions["field"].clone())
    };
    assert_eq!(refused(json!({"connectionId": id})).await, bad("fields"));
    assert_eq!(refused(key(&id, "no-such-form0planted")).await, bad("fields.api_key"));
    assert_eq!(refused(key(&id, "")).await, bad("fields.api_key"));
    // Settings alone are no rotation: that takes another capability.
    let settings = json!({"connectionId": id, "fields": [{"name": "list_id", "value": "7"}]});
    assert_eq!(refused(settings).await, bad("fields.api_key"));
    let unknown = json!({"connectionId": id, "fields": [{"name": "api_key", "value": SECOND}, {"name": "no_such", "value": "0planted"}]});
    assert_eq!(refused(unknown).await, bad("fields.no_such"));
    let mut overlap = key(&id, SECOND);
    overlap["overlapSeconds"] = json!(60);
    assert_eq!(refused(overlap).await, bad("overlapSeconds"));
    assert_eq!(vendor.requests().len(), 1, "the vendor was not called");
    app.stop().await;
}

async fn payment_keys_need_one_capability_more(database: Database) {
    let vendor = Vendor::tls(&["api.stripe.com"]).await;
    let app = TestApp::with_vendor(database, &vendor).await;
    vendor.answer(|_| Reply::json(200, &json!({"id": "acct_1", "object": "account"})));
    let create = "mutation($input: CreateConnectionInput!) { createConnection(input: $input) { ... on ConnectionCreated { connection { id } } } }";
    let fields = |key: &str| json!([{"name": "api_key", "value": key}]);
    let input = json!({"connectorSlug": "stripe", "authFlow": "API_KEY", "fields": fields("sk_test_first0planted")});
    let created = app.graphql(&app.token("Administrator"), create, json!({ "input": input })).await;
    let id = created["data"]["createConnection"]["connection"]["id"].clone();
    assert!(id.is_string(), "{created}");
    app.save_role("Clerk", &["list_connections", "refresh_credentials"]).await;
    let input = json!({"input": {"connectionId": id, "fields": fields("sk_test_second0planted")}});
    let refused = app.graphql(&app.token("Clerk"), ROTATE, input.clone()).await;
    assert_eq!(refused["errors"][0]["extensions"]["capability"], "MANAGE_PAYMENT_CREDENTIALS", "{refused}");
    let rotated = app.graphql(&app.token("Administrator"), ROTATE, input).await;
    assert_eq!(rotated["data"]["rotateCredentials"]["rotated"], true, "{rotated}");
    app.stop().await;
}
