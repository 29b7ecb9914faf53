//! The shipped connectors through the whole house: real host names, TLS, the real egress, a vendor that
//! answers as the recorded facts say.

use serde_json::{Value, json};

use crate::support::{
    app::{Database, TestApp, on_both},
    calls,
    vendor::{Recorded, Reply, Vendor},
};

on_both!(
    an_api_key_in_a_bearer_header,
    an_api_key_in_a_header_of_its_own,
    a_token_in_the_form_body,
    basic_credentials,
    a_self_hosted_vendor_at_an_address_of_its_own,
    a_key_takes_events_that_a_grant_needs_scopes_for,
);

const CREATE: &str = "mutation($input: CreateConnectionInput!) { createConnection(input: $input) { __typename ... on ConnectionCreated { connection { id displayName vendorAccountId vendorAccountName authFlow } test { outcome proof } } ... on ConnectionRejected { test { outcome missingScopes vendorErrorCode detail } violations { field message } } } }";

async fn create(app: &TestApp, slug: &str, flow: &str, fields: &[(&str, &str)]) -> Value {
    let fields: Vec<Value> = fields.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let input = json!({"input": {"connectorSlug": slug, "authFlow": flow, "fields": fields}});
    let answer = app.graphql(&app.token("Administrator"), CREATE, input).await;
    assert_eq!(answer.get("errors"), None, "{answer}");
    answer["data"]["createConnection"].clone()
}

async fn dispatch(app: &TestApp, connection: &Value, event_type: &str) -> Value {
    let example = app
        .graphql(
            &app.token("Administrator"),
            "query($id: ID!) { connection(id: $id) { connector { operations { eventType examplePayload } } } }",
            json!({"id": connection["id"]}),
        )
        .await;
    let operations = example["data"]["connection"]["connector"]["operations"].as_array().expect("operations");
    let operation = operations.iter().find(|o| o["eventType"] == event_type).unwrap_or_else(|| panic!("{example}"));
    let input = json!({"input": {"connectionId": connection["id"], "eventType": event_type, "eventIdentifier": "1", "payload": operation["examplePayload"]}});
    let answer = app.graphql(&app.module_token("forms"), calls::DISPATCH, input).await;
    answer["data"]["dispatchEvent"].clone()
}

fn last(requests: &[Recorded]) -> Recorded {
    requests.last().expect("a request").clone()
}

async fn an_api_key_in_a_bearer_header(database: Database) {
    let vendor = Vendor::tls(&["api.stripe.com"]).await;
    let app = TestApp::with_vendor(database, &vendor).await;
    vendor
        .answer(|_| Reply::json(200, &json!({"id": "acct_1AbC", "settings": {"dashboard": {"display_name": "ACME"}}})));
    let created = create(&app, "stripe", "API_KEY", &[("api_key", "sk_test_abcDEF123")]).await;
    assert_eq!(created["connection"]["vendorAccountId"], "acct_1AbC", "{created}");
    assert_eq!(created["connection"]["vendorAccountName"], "ACME");
    assert_eq!(created["test"], json!({"outcome": "CONNECTED", "proof": "ACCOUNT"}));
    let request = last(&vendor.requests());
    assert_eq!((request.path.as_str(), request.header("authorization")), ("/v1/account", "Bearer sk_test_abcDEF123"));
    assert_eq!(request.header("host"), "api.stripe.com");

    vendor.answer(|_| Reply::json(200, &json!({"id": "cus_1"})));
    let accepted = dispatch(&app, &created["connection"], "submission.created").await;
    assert_eq!(accepted["__typename"], "DispatchAccepted", "{accepted}");
    let sent = last(&vendor.wait_for(2).await);
    assert_eq!(sent.path, "/v1/customers");
    assert!(!sent.header("idempotency-key").is_empty());
    app.stop().await;
}

async fn an_api_key_in_a_header_of_its_own(database: Database) {
    let vendor = Vendor::tls(&["api.brevo.com"]).await;
    let app = TestApp::with_vendor(database, &vendor).await;
    let key = [("api_key", "xkeysib-0123456789abcdef")];
    vendor.answer(|_| Reply::json(200, &json!({"organization_id": "org-1", "companyName": "ACME"})));
    let created = create(&app, "brevo", "API_KEY", &key).await;
    assert_eq!(created["connection"]["vendorAccountName"], "ACME", "{created}");
    let request = last(&vendor.requests());
    assert_eq!((request.path.as_str(), request.header("api-key")), ("/v3/account", key[0].1));
    vendor.answer(|_| Reply::json(401, &json!({"message": "Key not found", "code": "unauthorized"})));
    dispatch(&app, &created["connection"], "submission.created").await;
    vendor.wait_for(2).await;
    let mut states =
        app.subscribe(&app.token("Administrator"), "subscription { connectionStateChanged { state } }").await;
    let state = app
        .graphql(
            &app.token("Administrator"),
            "query($id: ID!) { connection(id: $id) { state } }",
            json!({"id": created["connection"]["id"]}),
        )
        .await["data"]["connection"]["state"]
        .clone();
    if state != "AUTH_REVOKED" {
        assert_eq!(states.next().await["connectionStateChanged"]["state"], "AUTH_REVOKED");
    }
    app.stop().await;
}

async fn a_token_in_the_form_body(database: Database) {
    let vendor = Vendor::tls(&["analytics.example.com"]).await;
    let app = TestApp::with_vendor(database, &vendor).await;
    let token = "0123456789abcdef0123456789abcdef";
    let fields = [("base_url", "https://analytics.example.com/matomo/"), ("token_auth", token), ("id_site", "7")];
    vendor.answer(|_| Reply::json(401, &json!({"result": "error", "message": "Unable to authenticate with the provided token. It is either invalid or expired."})));
    let flow = flow_of(&app, "matomo").await;
    let rejected = create(&app, "matomo", &flow, &fields).await;
    assert_eq!(rejected["__typename"], "ConnectionRejected", "{rejected}");
    vendor.answer(|_| Reply::json(200, &json!({"idsite": "7", "name": "Shop", "main_url": "https://example.com"})));
    let created = create(&app, "matomo", &flow, &fields).await;
    assert_eq!(created["connection"]["vendorAccountName"], "Shop", "{created}");
    let request = last(&vendor.requests());
    assert_eq!(request.path, "/matomo/index.php");
    assert!(
        request.body.contains(&format!("token_auth={token}")) && request.body.contains("idSite=7"),
        "{}",
        request.body
    );
    app.stop().await;
}

async fn basic_credentials(database: Database) {
    let vendor = Vendor::tls(&["api.twilio.com"]).await;
    let app = TestApp::with_vendor(database, &vendor).await;
    let sid = "AC0123456789abcdef0123456789abcdef";
    let fields = [("account_sid", sid), ("auth_token", "fedcba9876543210fedcba9876543210"), ("from", "+15005550006")];
    let answer = json!({"sid": sid, "friendly_name": "ACME", "status": "active"});
    vendor.answer(move |_| Reply::json(200, &answer));
    let created = create(&app, "twilio", "BASIC", &fields).await;
    assert_eq!(created["connection"]["vendorAccountId"], sid, "{created}");
    let request = last(&vendor.requests());
    assert_eq!(request.path, format!("/2010-04-01/Accounts/{sid}.json"));
    assert!(request.header("authorization").starts_with("Basic "));
    vendor.answer(|_| Reply::json(201, &json!({"sid": "SM1", "status": "queued"})));
    let accepted = dispatch(&app, &created["connection"], "notification.sent").await;
    assert_eq!(accepted["__typename"], "DispatchAccepted", "{accepted}");
    let sent = last(&vendor.wait_for(2).await);
    assert!(sent.path.ends_with("/Messages.json") && sent.body.contains("From=%2B15005550006"), "{sent:?}");
    app.stop().await;
}

async fn a_self_hosted_vendor_at_an_address_of_its_own(database: Database) {
    let vendor = Vendor::tls(&["stats.example.org"]).await;
    let app = TestApp::with_vendor(database, &vendor).await;
    let fields = [("base_url", "https://stats.example.org"), ("site_id", "example.com"), ("api_key", "k-0123456789")];
    vendor.answer(|_| Reply::json(200, &json!({"results": [], "domain": "example.com", "timezone": "Etc/UTC"})));
    let flow = flow_of(&app, "plausible").await;
    let created = create(&app, "plausible", &flow, &fields).await;
    assert_eq!(created["__typename"], "ConnectionCreated", "{created}");
    assert_eq!(created["connection"]["vendorAccountId"], "example.com");
    vendor.answer(|_| Reply::status(202));
    let accepted = dispatch(&app, &created["connection"], "analytics.event").await;
    assert_eq!(accepted["__typename"], "DispatchAccepted", "{accepted}");
    let sent = last(&vendor.wait_for(vendor.requests().len().max(2)).await);
    assert!(sent.path.starts_with("/api/"), "{sent:?}");
    app.stop().await;
}

/// The list and the stream find what takes an event, and it does.
async fn a_key_takes_events_that_a_grant_needs_scopes_for(database: Database) {
    let vendor = Vendor::tls(&["api.hubapi.com"]).await;
    let app = TestApp::with_vendor(database, &vendor).await;
    let admin = app.token("Administrator");
    let accepts = "filter: {acceptsEventType: \"submission.created\"}";
    let follow = format!("subscription {{ connectionStateChanged({accepts}) {{ connectionId }} }}");
    let mut followed = app.subscribe(&admin, &follow).await;
    vendor.answer(|_| Reply::json(200, &json!({"portalId": 1, "hubId": 1})));
    let key = [("access_token", "pat-na1-01234567-89ab-cdef-0123-456789abcdef")];
    let created = create(&app, "hubspot", "API_KEY", &key).await;
    let id = &created["connection"]["id"];
    assert!(id.is_string(), "{created}");
    assert_eq!(followed.next().await["connectionStateChanged"]["connectionId"], *id);
    let list = format!(
        "{{ connections({accepts}) {{ totalCount nodes {{ id connector {{ operations {{ eventType requiredScopes }} }} }} }} }}"
    );
    let listed = app.graphql(&admin, &list, json!({})).await;
    let nodes = &listed["data"]["connections"]["nodes"];
    assert_eq!((&nodes[0]["id"], &listed["data"]["connections"]["totalCount"]), (id, &json!(1)), "{listed}");
    assert_ne!(nodes[0]["connector"]["operations"][0]["requiredScopes"], json!([]), "{listed}");
    let accepted = dispatch(&app, &created["connection"], "submission.created").await;
    assert_eq!(accepted["__typename"], "DispatchAccepted", "{accepted}");
    app.stop().await;
}

async fn flow_of(app: &TestApp, slug: &str) -> String {
    let answer = app
        .graphql(
            &app.token("Administrator"),
            "query($slug: String!) { connector(slug: $slug) { authFlows { flow } } }",
            json!({ "slug": slug }),
        )
        .await;
    answer["data"]["connector"]["authFlows"][0]["flow"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}
