//! Bad input: a clear error with its code and field, and nothing stored.

use serde_json::{Value, json};

use crate::support::{
    app::{Database, TestApp, on_both},
    calls,
    vendor::{Reply, Vendor},
};

on_both!(
    wrong_creations_store_nothing,
    a_failed_test_stores_nothing,
    an_answer_that_cannot_be_read_is_a_failed_test,
    oauth_is_not_connected_by_fields,
    wrong_arguments_name_their_field,
    ids_of_another_site_are_ids_of_nothing,
    pages_have_bounds,
    payloads_have_bounds,
    variables_that_are_required_must_be_given,
);

const CREATE: &str = "mutation($input: CreateConnectionInput!) { createConnection(input: $input) { __typename ... on ConnectionCreated { connection { id } } ... on ConnectionRejected { test { outcome detail } violations { field message } } } }";
const BEGIN: &str = "mutation($input: BeginSignedConnectionInput!) { beginSignedConnection(input: $input) { id } }";

fn code(answer: &Value) -> (&str, &str) {
    let extensions = &answer["errors"][0]["extensions"];
    (extensions["code"].as_str().unwrap_or_default(), extensions["field"].as_str().unwrap_or_default())
}

fn creation(slug: &str, flow: &str, fields: &Value) -> Value {
    json!({"input": {"connectorSlug": slug, "authFlow": flow, "fields": fields}})
}

/// No connection and no credential, whatever was tried.
async fn assert_nothing_stored(app: &TestApp) {
    for table in ["connections", "credentials", "deliveries", "delivery_entries"] {
        assert_eq!(app.count_rows(table).await, 0, "{table}");
    }
}

async fn wrong_creations_store_nothing(database: Database) {
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let unknown = app.graphql(&admin, CREATE, creation("no_such", "API_KEY", &json!([]))).await;
    assert_eq!(code(&unknown), ("BAD_USER_INPUT", "connectorSlug"), "{unknown}");
    let flow = app.graphql(&admin, CREATE, creation("stripe", "BASIC", &json!([]))).await;
    assert_eq!(code(&flow), ("BAD_USER_INPUT", "authFlow"), "{flow}");
    let signed = app.graphql(&admin, CREATE, creation("webhook_generic", "SIGNED_TOKEN", &json!([]))).await;
    assert_eq!(code(&signed), ("BAD_USER_INPUT", "authFlow"), "{signed}");
    let long = json!({"input": {"connectorSlug": "stripe", "authFlow": "API_KEY", "displayName": "x".repeat(121), "fields": []}});
    let name = app.graphql(&admin, CREATE, long).await;
    assert_eq!(code(&name), ("BAD_USER_INPUT", "displayName"), "{name}");

    let bad_key = "pk_live_planted0secret0key";
    let fields =
        json!([{"name": "api_key", "value": bad_key}, {"name": "no_such_field", "value": "planted0secret0two"}]);
    let rejected = app.graphql(&admin, CREATE, creation("stripe", "API_KEY", &fields)).await;
    let violations = rejected["data"]["createConnection"]["violations"].as_array().expect("violations").clone();
    let named: Vec<&str> = violations.iter().filter_map(|v| v["field"].as_str()).collect();
    assert!(named.contains(&"api_key") && named.contains(&"no_such_field"), "{rejected}");
    assert_eq!(rejected["data"]["createConnection"]["test"], json!(null), "the vendor was not called");
    assert!(!rejected.to_string().contains("planted0secret"), "{rejected}");
    let missing = app.graphql(&admin, CREATE, creation("stripe", "API_KEY", &json!([]))).await;
    assert_eq!(missing["data"]["createConnection"]["violations"][0]["field"], "api_key");

    let begin = json!({"input": {"connectorSlug": "webhook_generic", "fields": [{"name": "url", "value": "ftp://example.com/"}]}});
    let url = app.graphql(&admin, BEGIN, begin).await;
    assert_eq!(code(&url), ("BAD_USER_INPUT", "fields.url"), "{url}");
    let literal = app
        .graphql(&admin, "mutation { createConnection(input: {connectorSlug: \"stripe\", authFlow: API_KEY, fields: [{name: \"api_key\", value: \"sk_live_planted0secret\"}]}) { __typename } }", json!({}))
        .await;
    assert_eq!(code(&literal).0, "BAD_USER_INPUT", "a secret as a literal: {literal}");
    assert!(!literal.to_string().contains("planted0secret"), "{literal}");
    assert_nothing_stored(&app).await;
    app.stop().await;
}

async fn a_failed_test_stores_nothing(database: Database) {
    let vendor = Vendor::tls(&["api.brevo.com"]).await;
    let app = TestApp::with_vendor(database, &vendor).await;
    let admin = app.token("Administrator");
    vendor.answer(|_| Reply::json(401, &json!({"message": "Key not found", "code": "unauthorized"})));
    let fields = json!([{"name": "api_key", "value": "xkeysib-planted0secret0key"}]);
    let rejected = app.graphql(&admin, CREATE, creation("brevo", "API_KEY", &fields)).await;
    assert_eq!(rejected["data"]["createConnection"]["__typename"], "ConnectionRejected", "{rejected}");
    assert_eq!(rejected["data"]["createConnection"]["test"]["outcome"], "CREDENTIAL_REVOKED");
    assert_nothing_stored(&app).await;
    let log = app.graphql(&admin, "{ activityLog { nodes { action outcome detail } } }", json!({})).await;
    assert_eq!(log["data"]["activityLog"]["nodes"][0]["outcome"], "REJECTED");
    app.stop().await;
}

async fn an_answer_that_cannot_be_read_is_a_failed_test(database: Database) {
    let vendor = Vendor::tls(&["api.stripe.com"]).await;
    let app = TestApp::with_vendor(database, &vendor).await;
    let admin = app.token("Administrator");
    let fields = json!([{"name": "api_key", "value": "sk_test_planted0secret"}]);
    let long = json!({"id": "acct_1", "filler": "x".repeat(10_000_000)}).to_string();
    for (body, reason) in [
        ("<html>Sign in</html>".to_owned(), "the answer is no JSON"),
        (String::new(), "the answer is no JSON"),
        ("[".repeat(200_000), "the answer is no JSON"),
        (long, "the answer is longer"),
    ] {
        vendor.answer(move |_| Reply { body: body.clone(), ..Reply::status(200) });
        let rejected = app.graphql(&admin, CREATE, creation("stripe", "API_KEY", &fields)).await;
        let test = &rejected["data"]["createConnection"]["test"];
        assert_eq!(test["outcome"], "VENDOR_ERROR", "{rejected}");
        assert!(test["detail"].as_str().is_some_and(|detail| detail.starts_with(reason)), "{rejected}");
    }
    assert_nothing_stored(&app).await;
    app.stop().await;
}

async fn oauth_is_not_connected_by_fields(database: Database) {
    let app = TestApp::with_manifest(database, include_str!("manifests/oauth.toml")).await;
    let admin = app.token("Administrator");
    let library = "{ connector(slug: \"sample_oauth\") { scopes { id title default sensitive } operations { requiredScopes } authFlows { flow refreshable scopesEditable revocableAtVendor expires fields { name } } } }";
    let shown = app.graphql(&admin, library, json!({})).await;
    let expected = json!({
        "scopes": [{"id": "contacts", "title": "Contacts", "default": true, "sensitive": true}],
        "operations": [{"requiredScopes": ["contacts"]}],
        "authFlows": [{"flow": "OAUTH", "refreshable": true, "scopesEditable": true, "revocableAtVendor": false, "expires": true, "fields": [{"name": "region"}]}],
    });
    assert_eq!(shown["data"]["connector"], expected, "{shown}");
    let refused = app
        .graphql(&admin, CREATE, creation("sample_oauth", "OAUTH", &json!([{"name": "region", "value": "eu"}])))
        .await;
    assert_eq!(code(&refused), ("BAD_USER_INPUT", "authFlow"), "{refused}");
    let message = refused["errors"][0]["message"].as_str().unwrap_or_default();
    assert!(message.contains("beginOAuthConnection"), "{message}");
    assert_nothing_stored(&app).await;
    app.stop().await;
}

async fn wrong_arguments_name_their_field(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let signed = calls::connect_webhook(&app, &admin, &receiver, "/").await;
    let id = &signed.connection;
    let dispatch = |patch: Value| {
        let mut input = json!({"connectionId": id, "eventType": "a.b", "eventIdentifier": "1", "payload": {}, "originatingModule": "forms"});
        for (key, value) in patch.as_object().expect("a patch") {
            input[key] = value.clone();
        }
        json!({ "input": input })
    };
    for (patch, field) in [
        (json!({"eventType": "a b"}), "eventType"),
        (json!({"eventIdentifier": ""}), "eventIdentifier"),
        (json!({"originatingModule": null}), "originatingModule"),
        (json!({"originatingModule": "Forms!"}), "originatingModule"),
        (json!({"idempotencyKey": "k".repeat(401)}), "idempotencyKey"),
        (json!({"connectionId": "garbage"}), "connectionId"),
    ] {
        let answer = app.graphql(&admin, calls::DISPATCH, dispatch(patch)).await;
        assert_eq!(code(&answer), ("BAD_USER_INPUT", field), "{answer}");
    }
    let rename = "mutation($id: ID!, $name: String!) { renameConnection(input: {connectionId: $id, displayName: $name}) { connection { id } } }";
    let empty = app.graphql(&admin, rename, json!({"id": id, "name": "  "})).await;
    assert_eq!(code(&empty), ("BAD_USER_INPUT", "displayName"), "{empty}");
    let configure = "mutation($id: ID!, $v: [ConfigurationValueInput!]) { configureConnection(input: {connectionId: $id, values: $v}) { test { outcome } } }";
    let unknown = app.graphql(&admin, configure, json!({"id": id, "v": [{"name": "nope", "value": "1"}]})).await;
    assert_eq!(code(&unknown), ("BAD_USER_INPUT", "values.nope"), "{unknown}");
    let not_there = app.graphql(&app.module_token("forms"), calls::DISPATCH, json!({"input": {"connectionId": calls::id_of_nothing(id), "eventType": "a.b", "eventIdentifier": "1", "payload": {}}})).await;
    assert_eq!(not_there["data"]["dispatchEvent"]["reason"], "CONNECTION_NOT_FOUND", "{not_there}");
    app.stop().await;
}

async fn ids_of_another_site_are_ids_of_nothing(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let (admin, stranger) = (app.token("Administrator"), app.site_token(2, "Administrator"));
    let signed = calls::connect_webhook(&app, &admin, &receiver, "/").await;
    let nothing = calls::id_of_nothing(&signed.connection);
    for (mutation, extra) in [
        ("testConnection", ""),
        ("pauseConnection", ""),
        ("resumeConnection", ""),
        ("disconnectConnection", ""),
        ("renameConnection", ", displayName: \"x\""),
        ("configureConnection", ", orderedDelivery: true"),
    ] {
        let query =
            format!("mutation($id: ID!) {{ {mutation}(input: {{connectionId: $id{extra}}}) {{ __typename }} }}");
        let foreign = app.graphql(&stranger, &query, json!({"id": signed.connection})).await;
        assert_eq!(code(&foreign).0, "NOT_FOUND", "{mutation}: {foreign}");
        let absent = app.graphql(&stranger, &query, json!({ "id": nothing })).await;
        assert_eq!(foreign, absent, "{mutation}");
    }
    let read = app.graphql(&stranger, "query($id: ID!) { node(id: $id) { id } connection(id: $id) { id } connections { totalCount } deliveryLog(filter: {connectionIds: [$id]}) { totalCount } }", json!({"id": signed.connection})).await;
    assert_eq!(
        read,
        json!({"data": {"node": null, "connection": null, "connections": {"totalCount": 0}, "deliveryLog": {"totalCount": 0}}})
    );
    app.stop().await;
}

async fn pages_have_bounds(database: Database) {
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    for (arguments, expected) in [
        ("first: 0", ("BAD_USER_INPUT", "first")),
        ("last: -1", ("BAD_USER_INPUT", "last")),
        ("first: 1, last: 1", ("BAD_USER_INPUT", "last")),
        ("after: \"broken\"", ("BAD_USER_INPUT", "after")),
        ("before: \"WyJ4Il0\"", ("BAD_USER_INPUT", "before")),
    ] {
        for list in ["connections", "deliveryLog", "activityLog", "connectors"] {
            let answer =
                app.graphql(&admin, &format!("{{ {list}({arguments}) {{ nodes {{ id }} }} }}"), json!({})).await;
            assert_eq!(code(&answer), expected, "{list}({arguments}): {answer}");
        }
    }
    let large = app.graphql(&admin, "{ connections(first: 101) { nodes { id } } viewer { role } }", json!({})).await;
    assert_eq!(code(&large).0, "LIMIT_EXCEEDED", "{large}");
    assert_eq!(large["data"]["viewer"]["role"], "Administrator", "siblings survive");
    app.stop().await;
}

async fn payloads_have_bounds(database: Database) {
    let receiver = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let signed = calls::connect_webhook(&app, &app.token("Administrator"), &receiver, "/").await;
    let input = json!({"connectionId": signed.connection, "eventType": "a.b", "eventIdentifier": "1", "payload": {"x": "y".repeat(300 * 1024)}});
    let answer = app.graphql(&app.module_token("forms"), calls::DISPATCH, json!({ "input": input })).await;
    assert_eq!(code(&answer).0, "LIMIT_EXCEEDED", "{answer}");
    assert_eq!(app.count_rows("deliveries").await, 0);
    app.stop().await;
}

async fn variables_that_are_required_must_be_given(database: Database) {
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let query = "query($f: ConnectionFilter!, $n: Int = 5) { connections(filter: $f, first: $n) { totalCount } }";
    for variables in [json!({}), json!({"f": null})] {
        let refused = app.graphql(&admin, query, variables).await;
        assert_eq!(code(&refused), ("BAD_USER_INPUT", "$f"), "{refused}");
    }
    let given = app.graphql(&admin, query, json!({"f": {}})).await;
    assert_eq!(given, json!({"data": {"connections": {"totalCount": 0}}}));
    app.stop().await;
}
